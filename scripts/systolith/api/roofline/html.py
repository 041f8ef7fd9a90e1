# SPDX-License-Identifier: Apache-2.0
"""The figures as one page: no script, nothing loaded from elsewhere, legible in the dark and on paper."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..attribution import class_title
from ..views import host_words
from .axes import short
from .plot import FRAME, roofline_plot
from .scaling import scaling_plot
from .strips import LEFT, RIGHT, ROW, cycle_axis, memory_panels, time_rows, waterfall
from .words import (
    CLASS_NAMES,
    NO_TENSORS,
    class_name,
    clip,
    data_size,
    duration,
    engine_facts,
    layers_of,
    percent,
    quantity,
    times,
)

__all__ = ["render_html"]

_TEMPLATES = Path(str(files("systolith.api.roofline"))) / "templates"


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "bytes": data_size,
        "class_name": class_name,
        "class_title": class_title,
        "clip": clip,
        "css": _css_class,
        "duration": duration,
        "layers_of": layers_of,
        "percent": percent,
        "px": lambda value: f"{value:.2f}",
        "quantity": quantity,
        "short": short,
        "times": times,
    }
    return environment


def _css_class(name: str) -> str:
    """The style of a class; one that has no colour of its own gets that of ``other``."""
    return f"c-{name}" if name in (*CLASS_NAMES, "all") else "c-other"


def render_html(figures: Mapping[str, Any], json_name: str) -> str:
    """The page.

    Args:
        figures: of :func:`systolith.api.roofline.figures.roofline_figures`, ``measured`` and ``comparison``
            filled in or None.
        json_name: the file with the same figures, for the page to name.
    """
    roofs = figures["roofs"]
    return (
        _environment()
        .get_template("report.html")
        .render(
            figures=figures,
            json_name=json_name,
            host_words=host_words(figures["host_tail"]),
            version=version("systolith"),
            classes=list(figures["attribution"]),
            facts=engine_facts(figures["arch"]),
            without_macs=[layer["name"] for layer in figures["layers"] if not layer["macs"]],
            no_tensors=NO_TENSORS,
            frame=FRAME,
            plots=[
                roofline_plot(figures, "weights", roofs["weight_bytes_per_cycle"]),
                roofline_plot(figures, "activations", roofs["activation_bytes_per_cycle"]),
            ],
            left=LEFT,
            right=RIGHT,
            row=ROW,
            cycles=cycle_axis(figures["cycles"]),
            rows=time_rows(figures),
            panels=memory_panels(figures),
            waterfall=waterfall(figures),
            scaling=scaling_plot(figures["comparison"] or []),
        )
    )
