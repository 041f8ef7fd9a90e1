# SPDX-License-Identifier: Apache-2.0
"""An integer-level graph as a file, so that a build folder carries its own reference.

The file is an ``.npz``: one array per constant (``constant:NAME``) and the JSON text of everything else (``graph``).
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .array_file import read_arrays
from .errors import InputFileError
from .ir import AddAttributes, Graph, Move, Node, QParams, Run, Tensor

__all__ = ["load_graph", "save_graph"]

_PREFIX = "constant:"


def _node(node: Node) -> dict[str, Any]:
    return asdict(replace(node, attributes=dict(node.attributes)))


def _head(graph: Graph) -> dict[str, Any]:
    return {
        "name": graph.name,
        "inputs": graph.inputs,
        "outputs": graph.outputs,
        "nodes": [_node(node) for node in graph.nodes],
        "tensors": [asdict(tensor) for tensor in graph.tensors.values()],
        "host_tail": dict(graph.host_tail),
        "integer_io": sorted(graph.integer_io),
    }


def save_graph(graph: Graph, path: Path) -> None:
    """Write an integer-level graph; ``path`` should end in ``.npz``."""
    content: dict[str, Any] = {_PREFIX + name: np.asarray(value) for name, value in graph.constants.items()}
    content["graph"] = np.array(json.dumps(_head(graph)))
    with path.open("wb") as file:
        np.savez_compressed(file, **content)


def _tuples(value: object) -> object:
    """JSON lists back to the tuples they were."""
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _load_move(data: dict[str, Any]) -> Move:
    return Move(**{**data, **{axis: Run(**data[axis]) for axis in ("channels", "rows", "columns")}})


def _load_node(data: dict[str, Any]) -> Node:
    attributes = {key: _tuples(value) for key, value in data["attributes"].items()}
    if "add" in attributes:
        attributes["add"] = AddAttributes(**data["attributes"]["add"])
    if "inner" in attributes:
        attributes["inner"] = QParams(**data["attributes"]["inner"])
    if "moves" in attributes:
        attributes["moves"] = tuple(_load_move(move) for move in data["attributes"]["moves"])
    inputs, outputs, origin = (tuple(data[key]) for key in ("inputs", "outputs", "origin"))
    return Node(data["op"], data["name"], inputs, outputs, attributes, origin)


def _load_tensor(data: dict[str, Any]) -> Tensor:
    qparams = QParams(**data["qparams"]) if data["qparams"] else None
    return Tensor(data["name"], tuple(data["shape"]), qparams)


def _graph(head: dict[str, Any], constants: dict[str, NDArray[Any]]) -> Graph:
    return Graph(
        name=head["name"],
        inputs=tuple(head["inputs"]),
        outputs=tuple(head["outputs"]),
        nodes=tuple(_load_node(node) for node in head["nodes"]),
        tensors={tensor["name"]: _load_tensor(tensor) for tensor in head["tensors"]},
        constants=constants,
        host_tail={name: tuple(steps) for name, steps in head["host_tail"].items()},
        integer_io=frozenset(head["integer_io"]),
    )


def load_graph(path: Path) -> Graph:
    """Read a graph written by :func:`save_graph`.

    Raises:
        InputFileError: the file is missing, damaged or something else.
    """
    try:
        arrays = read_arrays(path)
        constants = {name.removeprefix(_PREFIX): value for name, value in arrays.items() if name.startswith(_PREFIX)}
        return _graph(json.loads(str(arrays["graph"])), constants)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputFileError(f"{path}: not a network file of a build folder ({error}); compile again") from error
