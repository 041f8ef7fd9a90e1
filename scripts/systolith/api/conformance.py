# SPDX-License-Identifier: Apache-2.0
"""The node cases of the onnx package's own backend tests, through the float importer and interpreter.

A case counts where every operator of its model is one that is imported. What a case feeds at run time but an importer
needs to know (shapes, axes, pads, scales of quantisers) is given as a constant with the case's value; weights stay
inputs. Results have the case's shapes; floats are within its tolerance, integers equal.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from systolith.compiler.errors import CompileError
from systolith.compiler.frontend.load import load_model
from systolith.compiler.frontend.operators import COMPUTED, DIALECTS, ELEMENTWISE, QUANTISERS
from systolith.compiler.interp import run_float

from .flow import Step, no_step

__all__ = ["CLAIMED", "Outcome", "conformance", "summary"]

CLAIMED = frozenset({*COMPUTED, *QUANTISERS, *DIALECTS[""]})
"""The operators whose cases count."""

_PARAMETERS: Mapping[str, Sequence[int]] = {
    "Clip": (1, 2),
    "DequantizeLinear": (1, 2),
    "Dropout": (1, 2),
    "Pad": (1, 2, 3),
    "QLinearConv": (1, 2, 4, 5, 6, 7),
    "QLinearMatMul": (1, 2, 4, 5, 6, 7),
    "QuantizeLinear": (1, 2),
    "ReduceMean": (1,),
    "Reshape": (1,),
    "Resize": (1, 2, 3),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "Squeeze": (1,),
    "Unsqueeze": (1,),
    "Upsample": (1,),
}
"""The inputs of an operator that must be constant."""

_FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE, onnx.TensorProto.BFLOAT16)

Array = NDArray[Any]


@dataclass(frozen=True)
class Outcome:
    """What became of a case: ``passed``, ``refused`` or ``failed``, or ``outside`` of what is claimed, and why."""

    case: str
    operators: tuple[str, ...]
    verdict: str
    reason: str = ""


def conformance(step: Step = no_step) -> list[Outcome]:
    """Run all cases of claimed operators; ``step`` is told the progress."""
    cases = [case for case in _node_cases() if _operators(case.model) <= CLAIMED]
    outcomes = []
    for index, case in enumerate(cases):
        step("cases", index, len(cases))
        outcomes.append(_outcome(case))
    return outcomes


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Counts by verdict, by operator and by reason, the share that passed, and all outcomes; JSON types only."""
    names = sorted({name for outcome in outcomes for name in outcome.operators})
    counted = [outcome for outcome in outcomes if outcome.verdict != "outside"]
    return {
        "onnx": onnx.__version__,
        **_counts(outcomes),
        "share": sum(outcome.verdict == "passed" for outcome in counted) / max(len(counted), 1),
        "operators": {name: _counts([one for one in outcomes if name in one.operators]) for name in names},
        "outcomes": [asdict(outcome) for outcome in outcomes],
    }


def _counts(outcomes: Sequence[Outcome]) -> dict[str, int]:
    verdicts = [outcome.verdict for outcome in outcomes]
    return {verdict: verdicts.count(verdict) for verdict in ("passed", "refused", "failed", "outside")}


def _node_cases() -> Iterator[Any]:
    """The package's cases, each with ``name``, ``model``, ``data_sets``, ``rtol`` and ``atol``."""
    with warnings.catch_warnings():
        # Cases of other operators overflow on purpose while they are made.
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        yield from collect_testcases(None)


def _operators(model: onnx.ModelProto) -> set[str]:
    return {node.op_type if node.domain in ("", "ai.onnx") else node.domain for node in model.graph.node}


def _outcome(case: Any) -> Outcome:
    operators = tuple(sorted(_operators(case.model)))
    beyond = _beyond_the_claim(case.model)
    if beyond:
        return Outcome(case.name, operators, "outside", beyond)
    try:
        inputs, outputs = ([_array(value) for value in values] for values in case.data_sets[0])
        problem = _difference(case, inputs, outputs)
    except CompileError as error:
        return Outcome(case.name, operators, "refused", str(error))
    return Outcome(case.name, operators, "failed" if problem else "passed", problem)


def _beyond_the_claim(model: onnx.ModelProto) -> str:
    """Why a case asks for what is not claimed of its operator, empty if it does not."""
    for node in model.graph.node:
        if any(entry.name == "training_mode" and entry.i for entry in node.attribute):
            return "training"
        if node.op_type == "Dropout" and len(node.input) > 2:
            return "training"
        if node.op_type in ELEMENTWISE and _type_of(model, node.input[0]) not in _FLOATS:
            return "arithmetic of integers"
    return ""


def _type_of(model: onnx.ModelProto, name: str) -> int:
    """The element type of an input; that of a float where it is computed."""
    types = {value.name: value.type.tensor_type.elem_type for value in model.graph.input}
    return int(types.get(name, onnx.TensorProto.FLOAT))


def _array(value: object) -> Array:
    """A case's value; raises CompileError where it is no tensor."""
    if isinstance(value, onnx.TensorProto):
        return np.asarray(numpy_helper.to_array(value))
    if isinstance(value, np.ndarray | np.generic):
        return np.asarray(value)
    raise CompileError("sequences and optional values; accepted: tensors")


def _difference(case: Any, inputs: Sequence[Array], outputs: Sequence[Array]) -> str:
    """How the results differ from the case's, empty if they do not; raises CompileError where it is refused."""
    feeds = {value.name: array for value, array in zip(case.model.graph.input, inputs, strict=True)}
    model = _with_parameters(case.model, feeds)
    with tempfile.TemporaryDirectory(prefix="systolith-") as folder:
        path = Path(folder) / "case.onnx"
        onnx.save(model, str(path))
        graph = load_model(path, batch=None)
    results = run_float(graph, {name: feeds[name] for name in graph.inputs})
    for value, expected in zip(model.graph.output, outputs, strict=True):
        got = results[value.name]
        if got.shape != expected.shape or graph.tensors[value.name].shape != expected.shape:
            return f"output {value.name!r} has shape {list(got.shape)}, expected {list(expected.shape)}"
        if not _equal(got, expected, case):
            return f"output {value.name!r} differs"
    return ""


def _with_parameters(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> onnx.ModelProto:
    """The model with inputs that must be constant as initialisers."""
    wanted = {
        node.input[index]
        for node in model.graph.node
        for index in _PARAMETERS.get(node.op_type, ())
        if index < len(node.input) and node.input[index] in feeds
    }
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.input[:]
    result.graph.input.extend(value for value in model.graph.input if value.name not in wanted)
    result.graph.initializer.extend(numpy_helper.from_array(feeds[name], name) for name in sorted(wanted))
    return result


def _equal(got: Array, expected: Array, case: Any) -> bool:
    exact = expected.dtype.name.lstrip("u").startswith(("int", "bool"))
    # bfloat16 has 8 bits: results computed in it are that far from the truth, whatever a case allows.
    rtol = max(case.rtol, 2.0**-7) if expected.dtype.name == "bfloat16" else case.rtol
    tolerance = {"rtol": 0.0, "atol": 0.0} if exact else {"rtol": rtol, "atol": case.atol}
    return np.allclose(got.astype(np.float64), expected.astype(np.float64), **tolerance, equal_nan=True)
