# SPDX-License-Identifier: Apache-2.0
"""The lanes against the normative arithmetic, on every target whose form differs."""

import random
from collections.abc import Iterator
from typing import Any

import pytest

from systolith.hdl.lanes import Lane, Lanes
from systolith.hdl.target import Target
from systolith.spec.arch import Arch
from systolith.spec.fixed import (
    FINER,
    Scaler,
    make_add_multiplier,
    make_scaler,
    requantise,
    residual_add,
    residual_multiply,
)
from systolith.spec.timing import OPERAND_DELAY, lane_latency
from tests.support.simulate import simulate

Element = dict[str, int]
Config = dict[str, int]


def arch_of(act_bits: int, acc_bits: int, *, residual: bool, precision: int = 0) -> Arch:
    return Arch(
        name=f"{act_bits} bits",
        rows=2,
        cols=2,
        psum_spacing=2,
        act_bits=act_bits,
        weight_bits=4,
        acc_bits=acc_bits,
        precision=precision,
        residual=residual,
    )


SIZES = [(4, 16, 0), (8, 32, 0), (8, 32, 2), (16, 48, 0), (16, 48, 3)]


def clamped(value: int, bits: int) -> int:
    return max(-(1 << (bits - 1)), min((1 << (bits - 1)) - 1, value))


class Cases:
    """Draws configurations and elements, often at the edges."""

    def __init__(self, arch: Arch, seed: int) -> None:
        self.arch, self.rng = arch, random.Random(seed)
        self.widths = arch.lane_widths
        self.top = 1 << (arch.act_bits - 1)

    def config(self) -> Config:
        """Bounds that the outputs' own range respects, as a program's do."""
        rng, top, zero = self.rng, self.top, self.rng.choice([-self.top, 0, self.top - 1, self.rng.randrange(self.top)])
        lo, hi = rng.choice([(-top - zero, top - 1 - zero), (max(0, -top - zero), max(0, top - 1 - zero))])
        config = {"out_zero": zero, "lo": lo, "hi": hi}
        if self.arch.residual:
            full, scales = 2 * self.top - 1, [rng.uniform(0.01, 7.9), 1.0, 2.0 ** -rng.randrange(1, 4)]
            config |= {"residual": int(rng.random() < 0.8), "res_zero": rng.choice([-top, 0, top - 1])}
            config |= {name: make_add_multiplier(rng.choice(scales), self.widths) for name in ("m_own", "m_res")}
            config |= {"lo_sum": lo, "hi_sum": hi}
            if rng.random() < 0.1:
                config["product"] = 1  # means nothing without a residual operand
            if config["residual"] and (config.get("product") or rng.random() < 0.35):
                wide = 1 << (self.widths.own - 1)
                config |= {"product": 1, "m_res": 0, "lo": -wide, "hi": wide - 1}
            elif config["residual"]:
                config |= {"lo": -full, "hi": full}
        return config

    def _scaler(self) -> Scaler:
        rng, widths = self.rng, self.widths
        kind = rng.randrange(4)
        if kind == 0:
            return Scaler(rng.choice([0, 1, (1 << widths.mult) - 1]), rng.choice([0, 1, 7, 8, widths.max_shift]))
        if kind == 1:
            return make_scaler(2.0 ** rng.randrange(-widths.act_bits, 2), widths)
        if kind == 2:
            return make_scaler(2 ** rng.uniform(-16, 1.99), widths)
        return Scaler(rng.randrange(1 << widths.mult), rng.randrange(1 << widths.shift))

    def _accumulator(self, scaler: Scaler) -> int:
        """The ends, anything, or what lies near a tie of the final rounding."""
        rng, bits = self.rng, self.arch.acc_bits
        kind = rng.randrange(4)
        if kind == 0:
            return rng.choice([-(1 << (bits - 1)), (1 << (bits - 1)) - 1, -1, 0, 1])
        if kind == 1 and scaler.multiplier:
            half = ((2 * rng.randrange(-self.top, self.top) + 1) << (self.widths.post - 1)) // scaler.multiplier
            return clamped((half << scaler.shift) >> self.widths.headroom, bits) + rng.choice([0, 0, 1, -1])
        return rng.randrange(-1 << rng.randrange(bits), 1 << rng.randrange(bits)) >> 1

    def element(self) -> Element:
        scaler = self._scaler()
        total = clamped(self._accumulator(scaler), self.arch.acc_bits)
        bias = self.rng.choice([0, clamped(total, 12), -clamped(total, 10)])
        element = {"acc": clamped(total - bias, self.arch.acc_bits), "bias": bias}
        element |= {"multiplier": scaler.multiplier, "shift": scaler.shift}
        if self.arch.residual:
            element["residual"] = self.rng.choice([-self.top, self.top - 1, self.rng.randrange(-self.top, self.top)])
        return element

    def expected(self, config: Config, element: Element) -> int:
        scaler = Scaler(element["multiplier"], element["shift"])
        total = element["acc"] + element["bias"]
        finer = FINER if config.get("residual") and config.get("product") else 0
        value = requantise(total, scaler, config["lo"], config["hi"], self.widths, finer)
        if config.get("residual"):
            other = element["residual"] - config["res_zero"]
            bounds = (config["lo_sum"], config["hi_sum"])
            if config.get("product"):
                return residual_multiply(value, other, *bounds, self.widths) + config["out_zero"]
            value = residual_add(value, other, config["m_own"], config["m_res"], *bounds, self.widths)
        return value + config["out_zero"]


def exact_ties(cases: Cases) -> Iterator[Element]:
    """All halves of the output's range, both signs: a scale of one half is exact."""
    scaler = make_scaler(0.5, cases.widths)
    for total in range(-2 * cases.top, 2 * cases.top, max(1, cases.top // 64)):
        element = {"acc": total, "bias": 0, "multiplier": scaler.multiplier, "shift": scaler.shift}
        yield element | ({"residual": 0} if cases.arch.residual else {})


def check(cases: Cases, configs: int, elements: int, target: Target) -> None:
    """An element a cycle, each compared when the latency says."""
    dut, latency = Lanes(arch=cases.arch, target=target), lane_latency(cases.arch)

    async def bench(ctx: Any) -> None:
        for _ in range(configs):
            config = cases.config()
            ctx.set(dut.config, config)
            stream = [*exact_ties(cases), *(cases.element() for _ in range(elements))]
            pairs = list(zip(stream, reversed(stream), strict=True))
            for cycle in range(len(pairs) + latency):
                for lane, element in enumerate(pairs[cycle] if cycle < len(pairs) else ()):
                    ctx.set(dut.input[lane], element | ({"residual": 0} if cases.arch.residual else {}))
                late = cycle - OPERAND_DELAY
                for lane, element in enumerate(pairs[late] if cases.arch.residual and 0 <= late < len(pairs) else ()):
                    ctx.set(dut.input[lane].residual, element["residual"])
                if cycle >= latency:
                    for lane, element in enumerate(pairs[cycle - latency]):
                        assert ctx.get(dut.output[lane]) == cases.expected(config, element), (config, element)
                await ctx.tick()

    simulate(dut, bench)


def test_lanes_of_an_arch_are_the_same_hardware() -> None:
    arch = arch_of(8, 32, residual=True)
    assert Lane(arch=arch).identity == Lane(arch=arch).identity
    assert Lane(arch=arch).identity != Lane(arch=arch, target=Target.ICE40).identity


@pytest.mark.parametrize("residual", [False, True], ids=["plain", "residual"])
@pytest.mark.parametrize(("act_bits", "acc_bits", "precision"), SIZES)
def test_computes_as_specified(act_bits: int, acc_bits: int, precision: int, residual: bool) -> None:
    arch = arch_of(act_bits, acc_bits, residual=residual, precision=precision)
    check(Cases(arch, seed=act_bits), 6, 250, Target.GENERIC)


@pytest.mark.parametrize("precision", [0, 1])
@pytest.mark.parametrize("residual", [False, True], ids=["plain", "residual"])
def test_the_ice40_form_computes_the_same(residual: bool, precision: int) -> None:
    check(Cases(arch_of(8, 32, residual=residual, precision=precision), seed=1), 2, 200, Target.ICE40)
