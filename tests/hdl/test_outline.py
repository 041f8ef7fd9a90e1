# SPDX-License-Identifier: Apache-2.0
import re
from typing import Any

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.outline import Outline, component_rtlil, flat_ports, outlined

PAIR = data.StructLayout({"low": signed(4), "high": signed(4)})


class Leaf(wiring.Component):
    """Adds a constant; silent about what it does not drive."""

    def __init__(self, step: int, *, named: bool) -> None:
        super().__init__({"pair": In(PAIR), "sum": Out(8), "idle": Out(1)})
        self._step = step
        self._named = named
        self.elaborated = 0

    @property
    def identity(self) -> object:
        """Of the step if ``named``, else of nothing but itself."""
        return (Leaf, self._step) if self._named else self

    @outlined
    def elaborate(self, platform: Any) -> Module:
        self.elaborated += 1
        m = Module()
        m.d.sync += self.sum.eq(self.pair.low + self.pair.high + self._step)
        return m


class Inverter(wiring.Component):
    """Has no register, hence no clock."""

    def __init__(self) -> None:
        super().__init__({"a": In(1), "y": Out(1)})

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.d.comb += self.y.eq(~self.a)
        return m


class Parent(wiring.Component):
    """Several leaves."""

    def __init__(self, leaves: list[Leaf]) -> None:
        super().__init__({"pairs": In(stream.Signature(PAIR, always_ready=True)), "y": Out(8)})
        self.leaves = leaves

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.inverter = inverter = Inverter()
        total = Signal(8)
        for index, leaf in enumerate(self.leaves):
            m.submodules[f"leaf{index}"] = leaf
            m.d.comb += leaf.pair.eq(self.pairs.payload)
            total = total ^ leaf.sum
        m.d.comb += [inverter.a.eq(total[0]), self.y.eq(total + inverter.y)]
        return m


def emitted(*leaves: Leaf) -> dict[str, str]:
    outline = Outline()
    outline.write(Parent(list(leaves)), "top")
    return outline.texts


def ports(text: str) -> set[str]:
    return {
        f"{way} {name}" for way, name in re.findall(r"wire width \d+ (input|output) \d+ +(?:signed )?\\(\S+)", text)
    }


def test_flat_ports_have_verilog_names_and_no_constants() -> None:
    found = {name: is_input for name, (_, is_input) in flat_ports(Parent([])).items()}
    assert found == {"pairs__payload": True, "pairs__valid": True, "y": False}


def test_undriven_outputs_are_outputs() -> None:
    assert ports(component_rtlil(Leaf(1, named=False), "leaf")) == {
        *("input clk", "input rst", "input pair", "output sum", "output idle")
    }


def test_components_become_modules_with_their_ports_names() -> None:
    texts = emitted(Leaf(1, named=False), Leaf(1, named=False))
    assert list(texts) == ["top", "systolith_inverter", "systolith_leaf", "systolith_leaf_2"]
    assert ports(texts["systolith_leaf"]) == {*("input clk", "input rst", "input pair", "output sum", "output idle")}
    assert ports(texts["systolith_inverter"]) == {"input a", "output y"}
    assert texts["top"].count("cell \\systolith_leaf \\leaf0") == 1


def test_of_equal_identities_only_the_first_is_elaborated() -> None:
    leaves = [Leaf(1, named=True), Leaf(1, named=True), Leaf(2, named=True)]
    texts = emitted(*leaves)
    assert [leaf.elaborated for leaf in leaves] == [1, 0, 1]
    assert re.findall(r"cell \\(systolith_leaf\S*) ", texts["top"]) == [
        "systolith_leaf",
        "systolith_leaf",
        "systolith_leaf_2",
    ]


def test_elsewhere_components_are_elaborated_in_place() -> None:
    leaf = Leaf(1, named=True)
    assert "module \\top.leaf0" in component_rtlil(Parent([leaf]), "top")
    assert leaf.elaborated == 1
