# SPDX-License-Identifier: Apache-2.0
"""From a build folder to the report's two files: what ``systolith report`` does, for Python."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from systolith.compiler.errors import InputFileError
from systolith.spec.arch import Arch

from ..build_folder import BuildFolder
from ..flow import Step, no_step
from .comparison import compare
from .figures import roofline_figures
from .html import render_html
from .measure import differences, measure

__all__ = ["STEM", "report_figures", "report_files", "with_measured", "write_report"]

STEM = "roofline"
"""Name of the report's files where the user gives none; a build folder's own are named ``report``."""


def report_files(build: BuildFolder, page: Path | None) -> tuple[Path, Path]:
    """The page and the file of figures beside it.

    Raises:
        InputFileError: they would overwrite a file of the build.
    """
    chosen = build.path / f"{STEM}.html" if page is None else page
    figures = chosen.with_suffix(".json")
    if chosen.suffix in ("", ".json"):
        raise InputFileError(f"{chosen}: the page needs another suffix than {chosen.suffix!r}; give -o NAME.html")
    if figures.resolve() == build.report_file.resolve():
        raise InputFileError(f"{figures}: is the build's own report; give another name than 'report' with -o")
    return chosen, figures


def report_figures(
    build: BuildFolder,
    *,
    clock: float | None = None,
    archs: Sequence[Arch] = (),
    rtl: bool = False,
    simulator: str | None = None,
    step: Step = no_step,
) -> dict[str, Any]:
    """The report's figures, with the hardware's counters if ``rtl`` asks for them.

    Args:
        build: the compiled network.
        clock: in MHz, that times are given for.
        archs: other engines to compare with.
        rtl: run one inference in the RTL simulator.
        simulator: which one.
        step: told the progress.
    """
    step("cycle model", 0, 0)
    figures = roofline_figures(build.program(), clock)
    if archs:
        figures["comparison"] = compare(figures, build.network(), archs, step)
    return with_measured(figures, measure(build, simulator, step)) if rtl else figures


def with_measured(figures: dict[str, Any], measured: dict[str, Any]) -> dict[str, Any]:
    """The figures with the hardware's beside them (see :func:`systolith.api.roofline.measure.measure`), compared."""
    found = differences(figures["counters"], measured["counters"])
    return figures | {"measured": measured | {"equal": not found, "differences": found}}


def write_report(figures: dict[str, Any], page: Path, json_file: Path) -> None:
    """Write the page and the figures."""
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(render_html(figures, json_file.name), encoding="utf-8")
    json_file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
