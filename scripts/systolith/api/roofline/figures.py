# SPDX-License-Identifier: Apache-2.0
"""All figures of the roofline report, JSON-able; every one is computed from the program, by the exact cycle model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from systolith.compiler.model import Prediction, predict
from systolith.spec.arch import Arch
from systolith.spec.encoding import decode_program
from systolith.spec.image import LayerInfo, Program
from systolith.spec.link import Counter, Space

from ..attribution import attribution, named
from .occupancy import occupancy
from .traffic import KINDS, Access, descriptor_traffic, total_traffic

__all__ = ["REFERENCE_MHZ", "Figures", "roofline_figures"]

Figures = dict[str, Any]

REFERENCE_MHZ = 100.0
"""The clock that times refer to where the user gives none."""

_Traffic = Mapping[str, tuple[int, float]]


def _roofs(arch: Arch) -> Figures:
    """What the engine does at most in a cycle."""
    return {
        "macs_per_cycle": arch.rows * arch.cols,
        "weight_bytes_per_cycle": arch.weight_line_bits / 8,
        "activation_bytes_per_cycle": arch.rows * arch.act_bits / 8,
    }


PORTS = {
    "weights": ("weights", "weight_bytes_per_cycle"),
    "activations": ("windows", "activation_bytes_per_cycle"),
}
"""The ports with a roof: the kind of traffic that goes through each, and its name in :func:`_roofs`. Residual operands
and stores have ports of their own, or cost cycles that are counted as memory stalls."""


def _intensity(macs: int, traffic: _Traffic, roofs: Figures) -> Figures:
    """MACs a byte through each port, and what the engine can do there at most; None without MACs or bytes."""
    points: Figures = {}
    for name, (kind, port) in PORTS.items():
        moved = traffic[kind][1]
        intensity = macs / moved if macs and moved else None
        roof = None if intensity is None else min(roofs["macs_per_cycle"], intensity * roofs[port])
        points[name] = {"macs_per_byte": intensity, "roof_macs_per_cycle": roof}
    return points


_BOUNDS = {
    "useful": "multipliers",
    "idle": "padding",
    "weights": "weight port",
    "memory": "act. memory",
    "lanes": "lanes",
    "drain": "drain",
    "vector": "vector unit",
    "control": "descriptors",
}
"""What a layer is said to be bound by, by the cause that most of its MAC slots went to."""


def bound(counters: Mapping[Counter, int], arch: Arch) -> str:
    """The cause that most of the MAC slots went to, of all counters and the two parts of ACTIVE."""
    useful = counters[Counter.WORK] / (arch.rows * arch.cols)
    causes = {"useful": useful, "idle": counters[Counter.ACTIVE] - useful}
    waits = [counter for counter in Counter if counter not in (Counter.CYCLES, Counter.ACTIVE, Counter.WORK)]
    causes |= {counter.name.lower(): float(counters[counter]) for counter in waits}
    most = max(causes, key=lambda name: causes[name])
    return _BOUNDS.get(most, most)


def _traffic_json(traffic: _Traffic, macs: int) -> Figures:
    return {
        kind: {
            "memory": memory,
            "what": what,
            "accesses": traffic[kind][0],
            "bytes": traffic[kind][1],
            "bytes_per_mac": traffic[kind][1] / macs if macs else None,
        }
        for kind, (memory, what) in KINDS.items()
    }


def _part(macs: int, counters: Mapping[Counter, int], traffic: _Traffic, arch: Arch) -> Figures:
    """What a layer and the whole network have in common."""
    cycles, roofs = counters[Counter.CYCLES], _roofs(arch)
    shares = attribution(counters, arch)
    return {
        "macs": macs,
        "cycles": cycles,
        "macs_per_cycle": macs / max(1, cycles),
        "utilisation": macs / (roofs["macs_per_cycle"] * max(1, cycles)),
        "counters": named(counters),
        "attribution": shares,
        "cycles_by_cause": {name: share * cycles for name, share in shares.items()},
        "dominant": max(shares, key=lambda name: shares[name]),
        "bound": bound(counters, arch),
        "intensity": _intensity(macs, traffic, roofs),
        "traffic": _traffic_json(traffic, macs),
        "bytes_moved": sum(moved for _, moved in traffic.values()),
    }


def _layers(program: Program, predicted: Prediction, moved: list[dict[str, Access]]) -> list[Figures]:
    layers, begins = [], 0
    total = max(1, predicted.total[Counter.CYCLES])
    for number, layer in enumerate(program.layers, start=1):
        counters = predicted.layer(layer.first, layer.count)
        traffic = total_traffic(moved[layer.first : layer.first + layer.count])
        figures = _head(number, layer) | _part(layer.macs, counters, traffic, program.arch)
        layers.append(figures | {"begins": begins, "share": figures["cycles"] / total})
        begins += figures["cycles"]
    return layers


def _head(number: int, layer: LayerInfo) -> Figures:
    return {
        "number": number,
        "name": layer.name,
        "kind": layer.kind,
        "output": list(layer.output.shape[1:]),
        "tiles": layer.count,
        "weight_bytes": layer.weight_bytes,
        "weight_bits": layer.weight_bits,
    }


def _at_clock(cycles: int, macs: int, clock: float | None) -> Figures:
    mhz = REFERENCE_MHZ if clock is None else clock
    rate = mhz * 1e6 / cycles
    return {
        "mhz": mhz,
        "reference": clock is None,
        "latency_us": cycles / mhz,
        "inferences_per_second": rate,
        "gmacs_per_second": macs * rate / 1e9,
    }


def _savings(attributed: Mapping[str, float]) -> dict[str, float]:
    """How many times faster the run would be at most if a class of lost slots vanished and all else stayed."""
    return {name: 1 / (1 - share) for name, share in attributed.items() if name != "useful" and share < 1}


def roofline_figures(program: Program, clock: float | None = None) -> Figures:
    """Everything that the report shows of one inference.

    Args:
        program: what :func:`systolith.api.build_folder.BuildFolder.program` gives.
        clock: in MHz, that times are given for; without it :data:`REFERENCE_MHZ`.
    """
    arch, predicted = program.arch, predict(program)
    moved = [descriptor_traffic(one, arch) for one in decode_program(program.segments[Space.PROGRAM], arch)]
    layers = _layers(program, predicted, moved)
    macs = sum(layer.macs for layer in program.layers)
    whole = _part(macs, predicted.total, total_traffic(moved), arch)
    return {
        "network": program.name,
        "arch": arch.to_json() | {"hash": f"{arch.hash:08x}"},
        "roofs": _roofs(arch),
        **whole,
        "weight_bytes": sum(layer["weight_bytes"] for layer in layers),
        "at_clock": _at_clock(whole["cycles"], macs, clock),
        "speed_up_without": _savings(whole["attribution"]),
        "layers": layers,
        "memory": dict(program.notes["memory"]),
        "occupancy": occupancy(program, [layer["begins"] for layer in layers], whole["cycles"]),
        "host_tail": {name: list(steps) for name, steps in program.host_tail.items()},
        "measured": None,
        "comparison": None,
    }
