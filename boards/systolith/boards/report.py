# SPDX-License-Identifier: Apache-2.0
"""What a build came to: timing, utilisation, times; as JSON and as text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["BuildReport", "Use", "read_nextpnr_report"]


@dataclass(frozen=True)
class Use:
    """Cells of a kind: used and there."""

    used: int
    available: int


@dataclass(frozen=True, kw_only=True)
class BuildReport:
    """The figures of one bitstream."""

    board: str
    arch: str
    arch_hash: int
    key: str
    """Identity of the design's files and of the tools; a build with the same key is not repeated."""
    bitstream: str
    """File name beside the report."""
    clock_mhz: float
    """What the engine runs at."""
    fmax_mhz: float
    """What the routed design could run at, by nextpnr's estimate for the slowest corner."""
    critical_path: str
    """From and to of the slowest path."""
    baud: int
    use: Mapping[str, Use]
    seconds: Mapping[str, float]
    """Of each step."""

    @property
    def meets_timing(self) -> bool:
        """Whether the clock is within the estimate."""
        return self.fmax_mhz >= self.clock_mhz

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self) | {"meets_timing": self.meets_timing}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> BuildReport:
        """The inverse of :meth:`to_json`. Raises KeyError or TypeError for another object."""
        if not isinstance(data, dict) or not isinstance(data["use"], dict):
            raise TypeError(f"expected the JSON object of a build report, got {data!r}")
        body = {key: value for key, value in data.items() if key != "meets_timing"}
        return cls(**body | {"use": {kind: Use(**entry) for kind, entry in data["use"].items()}})

    def text(self) -> str:
        """For people."""
        verdict = "met" if self.meets_timing else "MISSED"
        lines = [
            f"board      {self.board}",
            f"arch       {self.arch} (hash {self.arch_hash:08x})",
            f"timing     {self.fmax_mhz:.1f} MHz possible, {self.clock_mhz:g} MHz needed: {verdict}",
            f"slowest    {self.critical_path}",
            f"link       {self.baud} baud",
        ]
        for kind, use in self.use.items():
            lines.append(f"{kind:<11}{use.used:>6} of {use.available:>6}  {use.used / max(1, use.available):>5.0%}")
        lines += [f"{step:<16}{seconds:>7.1f} s" for step, seconds in self.seconds.items()]
        return "\n".join(lines)


def _slowest_clock(data: dict[str, Any]) -> float:
    return min((float(clock["achieved"]) for clock in data.get("fmax", {}).values()), default=0.0)


def _slowest_path(data: dict[str, Any]) -> str:
    """First and last cell of the longest path inside one clock domain."""
    paths = [
        entry["path"]
        for entry in data.get("critical_paths", [])
        if entry["path"] and not entry["from"].endswith("<async>") and not entry["to"].endswith("<async>")
    ]
    if not paths:
        return "none"
    longest = max(paths, key=lambda path: sum(part["delay"] for part in path))
    return f"{longest[0]['from']['cell']} -> {longest[-1]['to']['cell']}"


def read_nextpnr_report(path: Path, cells: Mapping[str, str]) -> tuple[float, str, dict[str, Use]]:
    """Fmax in MHz, slowest path and use by kind from the file that ``nextpnr --report`` writes."""
    data = json.loads(path.read_text())
    table = data["utilization"]
    use = {kind: Use(table[cell]["used"], table[cell]["available"]) for kind, cell in cells.items() if cell in table}
    return _slowest_clock(data), _slowest_path(data), use
