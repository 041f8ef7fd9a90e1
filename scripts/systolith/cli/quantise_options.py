# SPDX-License-Identifier: Apache-2.0
"""The options of quantisation, for every command that quantises a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, get_args

import click

from systolith.compiler.quantise_config import Equalise, Method, QuantiseConfig, Rounding
from systolith.compiler.weight_search import Allowance
from systolith.spec.arch import Arch

__all__ = ["Choices", "quantise_options"]

_WIDTHS = ("2", "4", "8")

_METHOD = """How the range of a tensor follows from the calibration inputs. min-max covers all that was seen; percentile
leaves out one value in 10,000 at either end; entropy keeps the distribution (KL divergence); mse makes the squared
error least. auto tries all four and takes the one with the least error at the network's outputs."""

_WEIGHTS = """Bits of the weights: 8, 4 or 2 for all layers, or auto:4,8 (auto:2,4,8, ...) to let each layer have as few
as --max-drop allows. By default the engine's. Layers of fewer than 8 bits are rounded such that their outputs change
least."""

_LAYER = """Bits of one layer's weights, such as conv1=8; may be given several times. Goes before --weights."""

_DROP = """How much auto widths may cost on the calibration inputs, in points: percent of the inputs classified as
labelled (where the .npz has labels, or with --labels), else as by the float network if it classifies (a Softmax,
LogSoftmax or ArgMax follows its first output; only the first output is judged), else percent of error power at the
outputs. Layers whose few bytes would cost much keep theirs."""

_EQUALISE = """Balance the channels between two layers, so that one scale suits all (for depthwise networks). auto
keeps it where it lowers the error at the outputs."""


@dataclass(frozen=True)
class Choices:
    """What was asked for on the command line."""

    options: dict[str, Any]
    allowance: Allowance | None
    labels: Path | None

    def config(self, arch: Arch) -> QuantiseConfig:
        """The options for an engine."""
        return QuantiseConfig.for_arch(arch, **self.options)


def _widths(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[tuple[int, ...], bool]:
    """``8``, ``4``, ``2`` or ``auto:4,8`` as widths and whether to search among them."""
    if text is None:
        return (), False
    search = text.startswith("auto:")
    parts = text.removeprefix("auto:").split(",")
    if any(part not in _WIDTHS for part in parts) or len(parts) > 1 and not search:
        raise click.BadParameter(f"{text!r} is none of 8, 4, 2, auto:4,8, auto:2,4,8", context, parameter)
    return tuple(int(part) for part in parts), search


def _layer_bits(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> dict[str, int]:
    """``NAME=BITS`` as bits by name."""
    found = {}
    for text in texts:
        layer, _, bits = text.rpartition("=")
        if not layer or not bits.isdigit():
            problem = f"{text!r} is not a layer's name, an equals sign and its bits"
            raise click.BadParameter(problem, context, parameter)
        found[layer] = int(bits)
    return found


_OPTIONS: Sequence[Callable[[Any], Any]] = (
    click.option("--method", type=click.Choice(get_args(Method)), default="auto", show_default=True, help=_METHOD),
    click.option("--weights", metavar="BITS", callback=_widths, help=_WEIGHTS),
    click.option("--layer-weights", metavar="NAME=BITS", multiple=True, callback=_layer_bits, help=_LAYER),
    click.option("--max-drop", type=click.FloatRange(0, 100), default=0.5, show_default=True, help=_DROP),
    click.option(
        "--labels", type=click.Path(path_type=Path), help="Classes of the calibration inputs (.npy), for --max-drop."
    ),
    click.option(
        "--symmetric", is_flag=True, help="Activations with a zero point of 0; they lose a bit behind a Relu."
    ),
    click.option(
        "--equalise", type=click.Choice(get_args(Equalise)), default="auto", show_default=True, help=_EQUALISE
    ),
    click.option(
        "--rounding",
        type=click.Choice(get_args(Rounding)),
        default="auto",
        show_default=True,
        help="Round weights to nearest, or reconstruct each layer's outputs (auto: below 8 bits).",
    ),
)


def quantise_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command; they arrive together as the keyword argument ``choices``."""

    @wraps(command)
    def gathered(**given: Any) -> Any:
        return command(**_split(given))

    for option in reversed(_OPTIONS):
        gathered = option(gathered)
    return gathered


def _split(given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of the command, with those of quantisation as ``choices``."""
    widths, search = given.pop("weights")
    max_drop, labels = given.pop("max_drop"), given.pop("labels")
    options = {key: given.pop(key) for key in ("method", "symmetric", "equalise", "rounding")}
    options["layer_bits"] = given.pop("layer_weights")
    if widths and not search:
        options["default_bits"] = widths[0]
    if labels and not search:
        raise click.UsageError("--labels is for the search of --weights auto:4,8")
    allowance = Allowance(bits=widths, max_drop=max_drop) if search else None
    return given | {"choices": Choices(options, allowance, labels)}
