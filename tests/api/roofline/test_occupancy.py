# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import pytest

from systolith.api.roofline.figures import roofline_figures
from systolith.api.roofline.occupancy import occupancy
from systolith.spec.image import Program


@pytest.mark.parametrize("name", ["digits_cnn", "resnet8"])
def test_tensors_lie_where_the_layers_write_them(programs: dict[str, Program], name: str) -> None:
    program = programs[name]
    figures = roofline_figures(program)
    by_name = {tensor["name"]: tensor for tensor in figures["occupancy"]}
    for index, (layer, shown) in enumerate(zip(program.layers, figures["layers"], strict=True)):
        tensor = by_name[layer.output.name]
        assert (tensor["base"], tensor["elements"]) == (layer.output.base, layer.output.elements)
        assert (tensor["first_layer"], tensor["begins"]) == (index, shown["begins"])
    assert [by_name[one.name]["role"] for one in program.inputs] == ["input"]
    assert {one["role"] for one in by_name.values()} == {"input", "inner", "output"}


@pytest.mark.parametrize("name", ["digits_cnn", "resnet8"])
def test_no_moment_needs_more_than_the_peak_and_one_needs_the_bound(programs: dict[str, Program], name: str) -> None:
    """An operand that its result overwrites counts once."""
    program = programs[name]
    tensors, use = roofline_figures(program)["occupancy"], program.notes["memory"]["activations"]
    needed = []
    for index in range(len(program.layers)):
        alive = [one for one in tensors if one["first_layer"] <= index <= one["last_layer"]]
        cells = {cell for one in alive for cell in range(one["base"], one["base"] + one["elements"])}
        needed.append(len(cells))
    assert max(needed) == use["lower_bound"] <= use["elements"]


def test_tensors_are_in_the_segment_of_their_address(programs: dict[str, Program]) -> None:
    tensors = roofline_figures(programs["resnet8"])["occupancy"]
    half = programs["resnet8"].arch.act_depth // 2
    assert {tensor["segment"] for tensor in tensors} == {0, 1}
    assert all(tensor["segment"] == tensor["base"] // half for tensor in tensors)


def test_lifetimes_end_with_their_last_layer(programs: dict[str, Program]) -> None:
    figures = roofline_figures(programs["digits_cnn"])
    ends = [layer["begins"] + layer["cycles"] for layer in figures["layers"]]
    for tensor in figures["occupancy"]:
        assert tensor["ends"] == (ends[-1] if tensor["role"] == "output" else ends[tensor["last_layer"]])


def test_an_older_program_has_none(programs: dict[str, Program]) -> None:
    program = programs["digits_cnn"]
    older = replace(program, notes={"memory": program.notes["memory"]})
    assert occupancy(older, [0], 1) is None
    assert roofline_figures(older)["occupancy"] is None
