# SPDX-License-Identifier: Apache-2.0
"""Which tensor lies where in the activation memory, during which cycles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from systolith.spec.image import Program

__all__ = ["occupancy"]


def _role(tensor: Mapping[str, Any], layers: int) -> str:
    if tensor["first_layer"] < 0:
        return "input"
    return "output" if tensor["last_layer"] >= layers else "inner"


def _segment_of(base: int, program: Program) -> int:
    """The independently addressed part of the memory that an element lies in."""
    return base >> (program.arch.act_addr_bits - 1) if program.arch.act_segments > 1 else 0


def _placed(tensor: Mapping[str, Any], program: Program, times: Sequence[int]) -> dict[str, Any]:
    """A tensor with its cycles: it lives from the begin of its first layer to the end of its last one."""
    last = min(tensor["last_layer"], len(program.layers) - 1)
    return {
        **tensor,
        "role": _role(tensor, len(program.layers)),
        "segment": _segment_of(tensor["base"], program),
        "begins": times[max(0, tensor["first_layer"])],
        "ends": times[last + 1],
    }


def occupancy(program: Program, begins: Sequence[int], cycles: int) -> list[dict[str, Any]] | None:
    """Every stored tensor with its address range and lifetime; None if the program does not tell.

    Args:
        program: its note ``tensors`` is what the compiler's placement left; programs of 0.1.0 before it have none.
        begins: the first cycle of each layer.
        cycles: of the whole run.
    """
    tensors = program.notes.get("tensors")
    if tensors is None:
        return None
    times = [*begins, cycles]
    return [_placed(tensor, program, times) for tensor in tensors]
