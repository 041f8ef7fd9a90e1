# SPDX-License-Identifier: Apache-2.0
"""What travels between the stages of the engine. All internal streams are valid-only: nothing downstream ever waits."""

from __future__ import annotations

from amaranth.hdl import signed, unsigned
from amaranth.lib import data, enum, stream

from systolith.spec.arch import Arch, clog2

__all__ = [
    "Advance",
    "DepthwiseTag",
    "LaneConfig",
    "LanePayload",
    "Setup",
    "SumPayload",
    "Tag",
    "WeightPayload",
    "WindowPayload",
    "flow",
]


class Advance(enum.Enum, shape=unsigned(2)):  # type: ignore[call-arg] # the metaclass takes it
    """Which step of the store walk follows an output pixel."""

    PIXEL = 0
    """The next pixel of the row."""
    ROW = 1
    """The first pixel of the next row."""
    BLOCK = 2
    """The first pixel of the next channel block."""
    END = 3
    """None: the descriptor's last pixel."""


class Setup(enum.Enum, shape=unsigned(2)):  # type: ignore[call-arg] # the metaclass takes it
    """What the walks of the issue stage do before a descriptor; each step is taken once, in this order.

    They are steps of the same registers that the walks move, so that a walk moves where this is not NONE or a window is
    issued, which is one level of logic behind the decision to issue.
    """

    NONE = 0
    CLEAR = 1
    """To the end of all loops. The front section is still being read."""
    ARM = 2
    """To the first iteration, one ahead of what leaves. The front section is complete."""
    FIRST = 3
    """The first iteration leaves; it counts when the descriptor begins, in this cycle or later."""


Tag = data.StructLayout(
    {
        "start": 1,  # first window of a pass; for the array also: swap the weights
        "first": 1,  # first reduction step of its pixel: begin a new sum
        "last": 1,  # last reduction step: the sum leaves
        "advance": Advance,  # with ``last``: the store walk's next step
    }
)
"""What the control knows about a window; it travels with the data."""


class DepthwiseTag(data.StructLayout):
    """What the depthwise feed must know of a window.

    Members: ``depthwise``: its first C elements are a pixel of a raster; ``emit``: an output pixel is complete with it
    (set for all other windows, too); ``mask_x``, ``mask_y``: the taps that read ``fill``.
    """

    def __init__(self, arch: Arch) -> None:
        """Take the taps of ``arch``."""
        super().__init__({"depthwise": 1, "emit": 1, "mask_x": arch.tap_cols, "mask_y": arch.tap_rows})


def flow(payload: data.Layout) -> stream.Signature:
    """A valid-only stream."""
    return stream.Signature(payload, always_ready=True)


class WindowPayload(data.StructLayout):
    """A window of ``arch.window`` activations on its way to the array or the vector unit."""

    def __init__(self, arch: Arch) -> None:
        """Take the widths of ``arch``."""
        members: dict[str, object] = {
            "vector": unsigned(1),  # 1: for the vector unit, 0: for the array
            "tag": Tag,
            "data": data.ArrayLayout(signed(arch.act_bits), arch.window),
        }
        if arch.pool:
            members["maximum"] = unsigned(1)  # the vector unit takes the maximum instead of the sum
        if arch.depthwise:
            members |= {"dw": DepthwiseTag(arch), "fill": signed(arch.act_bits)}
        super().__init__(members)


class WeightPayload(data.StructLayout):
    """``weight_rows`` rows of weights; ``row`` numbers such groups from the top of the array."""

    def __init__(self, arch: Arch) -> None:
        """Take the widths of ``arch``."""
        row = data.ArrayLayout(signed(arch.weight_bits), arch.cols)
        members = {"row": unsigned(clog2(arch.pass_lines)), "data": data.ArrayLayout(row, arch.weight_rows)}
        super().__init__(members)


class SumPayload(data.StructLayout):
    """A finished C-vector of accumulators, and where the walks go behind it."""

    def __init__(self, arch: Arch) -> None:
        """Take the widths of ``arch``."""
        members = {
            "advance": Advance,
            "data": data.ArrayLayout(signed(arch.acc_bits), arch.cols),
        }
        super().__init__(members)


class LanePayload(data.StructLayout):
    """What one lane works on."""

    def __init__(self, arch: Arch) -> None:
        """Take the widths of ``arch``; without ``arch.residual`` there is no operand."""
        widths = arch.lane_widths
        members: dict[str, object] = {
            "acc": signed(arch.acc_bits),
            "bias": signed(arch.acc_bits),
            "multiplier": unsigned(widths.mult),
            "shift": unsigned(widths.shift),
        }
        if arch.residual:
            members["residual"] = signed(arch.act_bits)
        super().__init__(members)


class LaneConfig(data.StructLayout):
    """What all lanes share during a descriptor; the names are those of the ISA's fields."""

    def __init__(self, arch: Arch) -> None:
        """Take the widths of ``arch``; without ``arch.residual`` only the first three members exist."""
        widths = arch.lane_widths
        delta = signed(widths.delta)
        own = signed(widths.own) if arch.residual else delta
        members: dict[str, object] = {"out_zero": signed(arch.act_bits), "lo": own, "hi": own}
        if arch.residual:
            factor = unsigned(widths.add_mult)
            members |= {
                "residual": unsigned(1),
                "res_zero": signed(arch.act_bits),
                "m_own": factor,
                "m_res": factor,
                "product": unsigned(1),
                "lo_sum": delta,
                "hi_sum": delta,
            }
        super().__init__(members)
