# SPDX-License-Identifier: Apache-2.0
from array import array
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from systolith.spec import link
from systolith.spec.arch import PRESETS, Arch
from systolith.spec.encoding import decode_program, encode_program
from systolith.spec.fixed import LaneWidths, make_add_multiplier, make_scaler, requantise, residual_add
from systolith.spec.image import Program, TensorMap
from systolith.spec.isa import Descriptor, IsaError, Loop, Op, Walk
from systolith.spec.link import Space
from systolith.testbench.isa_model import IsaModel, read_tensor, write_tensor

ARCH = PRESETS["tiny"].with_(rows=4, cols=4, lane_cycles=2, psum_spacing=4)
WIDTHS = LaneWidths(ARCH.act_bits, ARCH.acc_bits)
SEED = 20


def tensor(name: str, base: int, size: int, channels: int) -> TensorMap:
    return TensorMap(
        name=name,
        base=base,
        height=size,
        width=size,
        channels=channels,
        channel_pitch=channels,
        row_pitch=size * channels,
        shape=(1, channels, size, size),
        scale=1.0,
        zero_point=0,
    )


def program(descriptors: list[Descriptor], weights: list[list[int]], params: list[list[int]], arch: Arch) -> Program:
    """A program from natural values: weight lines and, per parameter line, packed lane fields."""
    lane_bits = sum(bits for _, bits in link.param_slots(arch).values())
    segments = {
        Space.PROGRAM: array("I", encode_program(descriptors, arch)),
        Space.WEIGHTS: array("I", [word for line in weights for word in link.pack_line(line, arch.weight_bits)]),
        Space.PARAMS: array("I", [word for line in params for word in link.pack_line(line, lane_bits)]),
    }
    maps = (tensor("x", 0, 6, 4), tensor("y", 512, 6, 4))
    return Program(name="t", arch=arch, segments=segments, inputs=maps[:1], outputs=maps[1:], layers=())


def param(bias: int, factor: float) -> int:
    scaler = make_scaler(factor, WIDTHS)
    slots = link.param_slots(ARCH)
    values = {"bias": bias & 0xFFFF_FFFF, "multiplier": scaler.multiplier, "shift": scaler.shift}
    return sum(values[name] << offset for name, (offset, _) in slots.items())


def conv_program(weights: NDArray[np.int64], bias: list[int], factor: float, residual: bool) -> Program:
    """A 3x3 convolution, 4 to 4 channels on 6x6, pad 1, fill 5; one kernel row is 12 elements: 3 passes of 4 rows."""
    row = 6 * 4
    loops = (
        Loop(6, 0, 4),
        Loop(6, row, -5 * 4),
        Loop(3, -5 * row, -5 * 4 + 4),
        Loop(1, 0, 0),
        Loop(3, -5 * row + row, -5 * 4 - 8),
        Loop(1, 0, 0),
    )
    walk = {"x": 4, "y": 4, "block": 4}
    descriptor = Descriptor(
        op=Op.MATRIX,
        row_start=-row,
        col_start=-4,
        plane=6 * row,
        row_len=row,
        fill=5,
        loops=loops,
        residual=residual,
        out=Walk(512, **walk),
        res=Walk(0, **walk),
        out_zero=3,
        lo=-100,
        hi=90,
        res_zero=-7,
        m_own=make_add_multiplier(0.5, WIDTHS),
        m_res=make_add_multiplier(1.25, WIDTHS),
        lo_sum=-120,
        hi_sum=120,
    )
    flat = weights.transpose(2, 3, 1, 0).reshape(36, 4)  # ky, kx, c, o
    lines = [list(map(int, line)) for line in flat]
    params = [[param(bias[2 * step + lane], factor) for lane in range(2)] for step in range(2)]
    return program([descriptor], lines, params, ARCH)


@pytest.mark.parametrize(("narrow", "low", "high"), [(1, -8, 7), (2, -2, 1)])
def test_narrow_weights_share_the_places_of_a_line(narrow: int, low: int, high: int) -> None:
    """The same convolution, its 36 lines in 18 or 9: in each place one weight of each, the first lowest."""
    rng = np.random.default_rng(SEED)
    weights, x = rng.integers(low, high + 1, (4, 4, 3, 3)), rng.integers(-128, 128, (1, 4, 6, 6))
    wide = conv_program(weights, [5, -6, 7, -8], 0.02, False)
    lines = [[int(word) >> (8 * byte) & 0xFF for byte in range(4)] for word in wide.segments[Space.WEIGHTS]]
    bits, parts = 8 >> narrow, 1 << narrow
    places = [
        [
            sum((lines[first + part][place] & (1 << bits) - 1) << part * bits for part in range(parts))
            for place in range(4)
        ]
        for first in range(0, len(lines), parts)
    ]
    arch = ARCH.with_(narrow_weights=True)
    (descriptor,) = decode_program(wide.segments[Space.PROGRAM], ARCH)
    segments = {
        **wide.segments,
        Space.PROGRAM: array("I", encode_program([replace(descriptor, narrow=narrow)], arch)),
        Space.WEIGHTS: array("I", [word for line in places for word in link.pack_line(line, 8)]),
    }
    got = IsaModel(replace(wide, arch=arch, segments=segments)).run({"x": x})["y"]
    np.testing.assert_array_equal(got, IsaModel(wide).run({"x": x})["y"])
    short = {**segments, Space.WEIGHTS: segments[Space.WEIGHTS][:-1]}
    with pytest.raises(IsaError, match=f"weights end at line {36 // parts - 1}, needed up to {36 // parts}"):
        IsaModel(replace(wide, arch=arch, segments=short)).run({"x": x})


def expected(
    x: NDArray[np.int64], weights: NDArray[np.int64], bias: list[int], factor: float, residual: bool
) -> list[int]:
    """The same layer with Python loops and the normative arithmetic."""
    padded = np.pad(x[0], ((0, 0), (1, 1), (1, 1)), constant_values=5)
    scaler = make_scaler(factor, WIDTHS)
    out = []
    for o, y, xx in np.ndindex(4, 6, 6):
        acc = int((padded[:, y : y + 3, xx : xx + 3] * weights[o]).sum()) + bias[o]
        value = requantise(acc, scaler, -100, 90, WIDTHS)
        if residual:
            factors = make_add_multiplier(0.5, WIDTHS), make_add_multiplier(1.25, WIDTHS)
            value = residual_add(value, int(x[0, o, y, xx]) + 7, *factors, -120, 120, WIDTHS)
        out.append(value + 3)
    return out


@pytest.mark.parametrize("residual", [False, True])
def test_convolution_equals_the_normative_arithmetic(residual: bool) -> None:
    rng = np.random.default_rng(SEED)
    x = rng.integers(-128, 128, (1, 4, 6, 6))
    weights = rng.integers(-128, 128, (4, 4, 3, 3))
    bias = [int(value) for value in rng.integers(-5000, 5000, 4)]
    model = IsaModel(conv_program(weights, bias, 0.0021, residual))
    got = model.run({"x": x})["y"]
    assert got.ravel().tolist() == expected(x, weights, bias, 0.0021, residual)


def test_vectors_are_stored_whole_in_pixel_order() -> None:
    model = IsaModel(conv_program(np.zeros((4, 4, 3, 3), dtype=np.int64), [0] * 4, 0.01, False))
    (trace,) = model.stores()
    assert trace.data.shape == (36, 4)
    assert trace.addresses.tolist() == list(range(512, 512 + 144, 4))


@pytest.mark.parametrize(("maximum", "expect"), [(True, "max"), (False, "sum")])
def test_vector_reduces_over_the_window(maximum: bool, expect: str) -> None:
    row = 6 * 8
    loops = (
        Loop(2, 0, 8),
        Loop(2, row, -8),
        Loop(1, 0, 0),
        Loop(3, -row, 8),
        Loop(3, row, -8 * 5),
        Loop(2, -5 * row, -8 * 5 + 4),
    )
    descriptor = Descriptor(
        op=Op.VECTOR,
        maximum=maximum,
        plane=6 * row,
        row_len=row,
        loops=loops,
        out=Walk(512, 8, 8, -8 * 8 + 4),
        lo=-256,
        hi=255,
    )
    identity = [[param(0, 1.0 if maximum else 0.25)] * 2] * 4
    model = IsaModel(program([descriptor], [], identity, ARCH))
    x = np.random.default_rng(SEED).integers(-128, 128, (1, 8, 6, 6))
    write_tensor(model.activations, tensor("x", 0, 6, 8), x)
    list(model.stores())
    out = TensorMap(
        name="y", base=512, height=3, width=3, channels=8, channel_pitch=8, row_pitch=24, shape=(1, 8, 3, 3), scale=1.0,
        zero_point=0,
    )  # fmt: skip
    windows = x.reshape(8, 3, 2, 3, 2).transpose(0, 1, 3, 2, 4).reshape(8, 3, 3, 4)
    want = windows.max(axis=-1) if expect == "max" else np.rint(windows.sum(axis=-1) / 4)
    assert np.array_equal(read_tensor(model.activations, out)[0], want)


def test_inputs_lie_by_columns_and_in_blocks_and_are_padded_with_the_zero_point() -> None:
    model = IsaModel(conv_program(np.zeros((4, 4, 3, 3), dtype=np.int64), [0] * 4, 0.01, False))
    plain = replace(tensor("x", 4, 1, 1), height=2, width=3, shape=(1, 1, 2, 3), row_pitch=3, zero_point=-7)
    columns = replace(plain, channel_pitch=2, row_pitch=1)
    blocked = replace(plain, channel_pitch=4, row_pitch=8, block=(2, 2))
    values = np.arange(6).reshape(1, 1, 2, 3)
    for one, order in ((columns, [0, 3, 1, 4, 2, 5, -7, -7]), (blocked, [0, 1, 3, 4, 2, -7, 5, -7])):
        model.load(one, values)
        assert model.activations[4:12].tolist() == order
        assert np.array_equal(read_tensor(model.activations, one), values)


def _taps_by_the_word(
    x: NDArray[np.int64], descriptor: Descriptor, weights: NDArray[np.int64], arch: Arch
) -> list[list[int]]:
    """Sums of a depthwise descriptor of one block, told as the specification tells them; ``x`` is (windows, cols)."""
    wide, high = descriptor.loops[0].count, descriptor.loops[1].count
    taps_x, taps_y = arch.tap_cols, arch.tap_rows

    def masked(tap: int, taps: int, mask: int, place: int, last: int) -> bool:
        parts = [mask >> (taps * part) & ((1 << taps) - 1) for part in range(4)]
        return any(parts[part] >> tap & 1 and place == at for part, at in enumerate((0, 1, last - 1, last)))

    sums: dict[tuple[int, int], list[int]] = {}
    for number in range(len(weights) * wide * high):
        column, row, step = number % wide, number // wide % high, number // (wide * high)
        if column % (descriptor.skip_x + 1) or row % (descriptor.skip_y + 1):
            continue
        if column > descriptor.last_x or row > descriptor.last_y:
            continue
        total = sums.setdefault((row, column), [0] * arch.cols)
        for tap_y, tap_x, channel in np.ndindex(taps_y, taps_x, arch.cols):
            back = (taps_y - 1 - tap_y) * (descriptor.line_last + 1) + taps_x - 1 - tap_x
            value = int(x[number + descriptor.lag - back, channel]) if number + descriptor.lag < len(x) else 0
            if masked(tap_x, taps_x, descriptor.mask_x, column, descriptor.last_x):
                value = descriptor.fill
            if masked(tap_y, taps_y, descriptor.mask_y, row, descriptor.last_y):
                value = descriptor.fill
            total[channel] += value * int(weights[step, tap_y * taps_x + tap_x, channel])
    return [sums[place] for place in sorted(sums)]


@pytest.mark.parametrize("seed", range(8))
def test_depthwise_takes_the_taps_that_the_specification_names(seed: int) -> None:
    rng = np.random.default_rng(seed)
    arch = PRESETS["16x16"].with_(cols=4, psum_spacing=4)
    wide, high, passes = int(rng.integers(3, 6)), int(rng.integers(3, 6)), int(rng.integers(1, 3))
    descriptor = Descriptor(
        op=Op.MATRIX,
        depthwise=True,
        plane=1,
        row_len=passes * wide * high * 4,
        fill=-9,
        loops=(Loop(wide, 0, 4), Loop(high, 0, 4), Loop(1), Loop(1), Loop(passes, 0, 4), Loop(1)),
        lag=2 * wide + 2,
        line_last=wide - 1,
        last_x=wide - 3,
        last_y=2 * ((high - 3) // 2),
        skip_y=1,
        mask_x=int(rng.integers(0, 1 << 12)),
        mask_y=int(rng.integers(0, 1 << 12)),
        out=Walk(512, 4, 4, 4),
        lo=-256,
        hi=255,
    )
    x = rng.integers(-8, 8, (passes * wide * high, 4))
    weights = rng.integers(-1, 2, (passes, 16, 4))
    # the rows below the taps get their lane of the window, which is not what this test is about
    weights[:, 9:] = 0
    identity = [[param(0, 1.0)] * 4]
    lines = [list(map(int, line)) for line in weights.reshape(-1, arch.weight_rows * 4)]
    model = IsaModel(program([descriptor], lines, identity, arch))
    model.activations[: x.size] = x.ravel()
    (trace,) = model.stores()
    assert trace.data.tolist() == _taps_by_the_word(x, descriptor, weights, arch)


def test_an_overflowing_accumulator_is_an_error() -> None:
    model = IsaModel(conv_program(np.full((4, 4, 3, 3), 127), [2**31 - 1] * 4, 0.01, False))
    with pytest.raises(IsaError, match="descriptor 0: an accumulator overflows 32 bits"):
        model.run({"x": np.full((1, 4, 6, 6), 127)})


def test_weights_that_end_early_are_an_error() -> None:
    whole = conv_program(np.zeros((4, 4, 3, 3), dtype=np.int64), [0] * 4, 0.01, False)
    short = {**whole.segments, Space.WEIGHTS: whole.segments[Space.WEIGHTS][:-1]}
    model = IsaModel(Program(**{**vars(whole), "segments": short}))
    with pytest.raises(IsaError, match="weights end at line 35, needed up to 36"):
        model.run({"x": np.zeros((1, 4, 6, 6), dtype=np.int64)})


def looking_up(table: int, entries: list[int]) -> Program:
    """An identity through a table of TINY's two."""
    loops = (*(Loop(),) * 3, Loop(6, 0, 4), Loop(6, 0, 4), Loop())
    walk = Walk(512, 4, 4, 4)
    identity = Descriptor(op=Op.VECTOR, plane=1, row_len=144, loops=loops, out=walk, out_zero=3, lo=-131, hi=124)
    descriptor = replace(identity, lookup=True, table=table)
    whole = program([descriptor], [], [[param(-3, 1.0)] * 2] * 2, ARCH)
    return replace(whole, segments={**whole.segments, Space.TABLES: array("I", [entry % 256 for entry in entries])})


def test_a_table_is_looked_up_by_the_stored_integer() -> None:
    rng = np.random.default_rng(SEED)
    entries = rng.integers(-128, 128, 512).tolist()
    x = rng.permutation(np.arange(-128, 16)).reshape(1, 4, 6, 6)
    for table in (0, 1):
        got = IsaModel(looking_up(table, entries)).run({"x": x})["y"]
        assert got.tolist() == np.array(entries)[table * 256 + 128 + x].tolist()


def test_a_table_that_the_program_lacks_is_an_error() -> None:
    with pytest.raises(IsaError, match="descriptor 0: it looks up in table 1, the program has 256 lines"):
        IsaModel(looking_up(1, [0] * 256)).run({"x": np.zeros((1, 4, 6, 6), dtype=np.int64)})


# ---------------------------------------------------------------------- weights from activations

DYNAMIC = ARCH.with_(weight_rows=2, dynamic_weights=True)


def product_program(pixels: int = 4, row: int = 0, **fields: Any) -> Program:
    """The first ``pixels`` pixels of x become rows of weights; the first pixel of x then meets them."""
    line = Loop(pixels, 0, 4)
    store = Descriptor(
        op=Op.VECTOR,
        loops=(Loop(), Loop(), Loop(), line, Loop(), Loop()),
        plane=6 * 24,
        row_len=24,
        out=Walk(row, x=1),
        lo=-128,
        hi=127,
        to_weights=True,
    )
    use = Descriptor(
        op=Op.MATRIX,
        loops=(Loop(),) * 6,
        plane=144,
        row_len=24,
        out=Walk(512),
        lo=-128,
        hi=127,
        param_base=2,
        fresh=True,
    )
    params = [[param(0, factor) for _ in range(2)] for factor in (1.0, 1.0, 1 / 256, 1 / 256)]
    weights = [[1] * 8, [1] * 8]
    return program([store, replace(use, **fields)], weights, params, DYNAMIC)


def test_results_become_weights() -> None:
    """Three rows of four: the last one of their line is zero, whatever was there."""
    x = np.random.default_rng(SEED).integers(-128, 128, (1, 4, 6, 6))
    model = IsaModel(product_program(3))
    got = [model.run({"x": x})["y"][0, :, 0, 0] for _ in range(2)]
    matrix = np.concatenate([x[0, :, 0, :3].T, np.zeros((1, 4), dtype=np.int64)])
    exact = x[0, :, 0, 0] @ matrix / 256
    for one in got:
        np.testing.assert_array_equal(one, np.clip(np.rint(exact), -128, 127))
    assert np.abs(exact).max() > 1
    traces = list(model.stores())
    # places behind the activation memory
    assert traces[0].addresses.tolist() == [DYNAMIC.act_depth + row for row in range(3)]


def test_weights_that_break_their_promises_are_refused() -> None:
    x = {"x": np.zeros((1, 4, 6, 6), dtype=np.int64)}
    with pytest.raises(IsaError, match="descriptor 1: its weights are stored in the run, and it is not fresh"):
        IsaModel(product_program(fresh=False)).run(x)
    with pytest.raises(IsaError, match="descriptor 0: it stores weights in row 5, the program has 4"):
        IsaModel(product_program(row=2)).run(x)
    with pytest.raises(IsaError, match="descriptor 0: the rows of a line of weights are not stored one after another"):
        IsaModel(product_program(pixels=1, row=1)).run(x)
