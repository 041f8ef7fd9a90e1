# SPDX-License-Identifier: Apache-2.0
"""The accuracy of a network before and after quantisation, and where it is lost: what ``systolith accuracy`` does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from systolith.compiler.calibration_data import load_samples
from systolith.compiler.choose_method import MEASURED, spread
from systolith.compiler.errors import CalibrationError
from systolith.compiler.frontend.input_shapes import Shapes
from systolith.compiler.ir import Graph
from systolith.compiler.labels import LabelledData, calibration_classes, load_labelled
from systolith.compiler.layer_noise import LayerNoise, layer_noise
from systolith.compiler.passes.legalise import legalise
from systolith.compiler.pipeline import import_network, refuse_choices, simplify
from systolith.compiler.quality import Judge, Quality, answers, float_outputs, integer_outputs
from systolith.compiler.quantise_config import QuantiseConfig
from systolith.compiler.quantise_float import Quantised, quantise_float
from systolith.compiler.verify import is_integer_level
from systolith.compiler.weight_search import Allowance
from systolith.spec.arch import Arch, load_arch

from .accuracy_advice import Advice, advise, worst_layers
from .accuracy_figures import classified, compared, reconstructed
from .flow import Step, no_step
from .network import engine_batch

__all__ = ["measure_accuracy"]

Array = NDArray[Any]
Figures = dict[str, Any]


def measure_accuracy(
    model: str | Path,
    arch: str | Arch,
    calibration: str | Path | None,
    data: str | Path,
    *,
    labels: str | Path | None = None,
    calibration_labels: str | Path | None = None,
    config: QuantiseConfig | None = None,
    allowance: Allowance | None = None,
    layers: bool = True,
    step: Step = no_step,
    shapes: Shapes | None = None,
) -> Figures:
    """Quantise a network and judge it on data of its own.

    Args:
        model: an ONNX file, float or quantised.
        arch: whose bits the integers have: a preset's name, a JSON file, or an Arch.
        calibration: real inputs, which a float network needs; not those of ``data``, or the figures flatter.
        data: ``.npz`` with samples and labels (``x`` and ``y``, or ``x_test`` and ``y_test``); without labels the
            outputs are compared with the float network's, and with the inputs where they have one shape.
        labels: another file with the labels of ``data``.
        calibration_labels: a file with the classes of the calibration inputs, for ``allowance``.
        config: options of the quantisation.
        allowance: lets quantisation choose the bits of each layer's weights.
        layers: also look at each layer alone and try what helps; a float network only.
        step: told the progress.
        shapes: sizes of inputs whose shape is dynamic.

    Returns:
        Figures as JSON holds them: ``network``, ``samples``, ``float`` (None for a network that came quantised) and
        ``integer``, each with ``top1`` and its interval or with ``mean_squared_error``; ``comparison``;
        ``quantisation`` (the decisions); ``layers``, ``worst`` and ``advice``.

    Raises:
        CompileError, ArchError: one line that names what is at fault and the way out.
    """
    chosen = arch if isinstance(arch, Arch) else load_arch(arch)
    options = config or QuantiseConfig.for_arch(chosen)
    step("import", 0, 0)
    source = import_network(Path(model), weight_bits=chosen.weight_bits, shapes=shapes)
    samples = load_labelled(Path(data), source, None if labels is None else Path(labels))
    head = {"network": source.name, "arch": chosen.name, "samples": len(samples)}
    if is_integer_level(source):
        refuse_choices(source, config, allowance)
        step("run the integer network", 0, 0)
        network = simplify(source)
        integer = answers(network, engine_batch(network, samples.samples), options)
        return head | {"float": None, "integer": _judged(source, integer, samples)} | _nothing()
    if calibration is None:
        raise CalibrationError(f"network {source.name!r} is float; give calibration inputs (--calib DATA.npz)")
    known = load_samples(Path(calibration), source)
    classes = None
    if allowance:
        file = None if calibration_labels is None else Path(calibration_labels)
        classes = calibration_classes(Path(calibration), source, len(next(iter(known.values()))), file)
    source = legalise(source, tables=options.tables)
    made = quantise_float(source, known, options, allowance, classes, step)
    figures = head | _network(source, made, samples, step) | {"quantisation": dict(made.decisions)} | _no_layers()
    return figures | _layers(source, made, known, samples, step) if layers else figures


def _nothing() -> Figures:
    return {"comparison": None, "quantisation": {}} | _no_layers()


def _no_layers() -> Figures:
    return {"layers": [], "worst": [], "advice": []}


def _network(source: Graph, made: Quantised, data: LabelledData, step: Step) -> Figures:
    """The whole network in float and in integers."""
    step("run the float network", 0, 0)
    exact = float_outputs(source, data.samples)
    step("run the integer network", 0, 0)
    integer = integer_outputs(simplify(made.network), data.samples, made.config)
    first = source.outputs[0]
    return {
        "float": _judged(source, exact, data),
        "integer": _judged(source, integer, data),
        "comparison": compared(integer[first], exact[first], data.labels),
    }


def _judged(graph: Graph, outputs: Mapping[str, Array], data: LabelledData) -> Figures:
    first = outputs[graph.outputs[0]]
    if data.labels is not None:
        return classified(first, data.labels)
    same = [values for values in data.samples.values() if values.shape == first.shape]
    return reconstructed(first, same[0]) if same else {}


def _layers(
    source: Graph, made: Quantised, calibration: Mapping[str, Array], data: LabelledData, step: Step
) -> Figures:
    """Each layer alone, the worst, and what helps; on a part of the data."""
    part = spread(data.samples, MEASURED)
    found = layer_noise(made.source, made.network, part, made.config, step)
    worst = worst_layers(found)
    snr = Judge(source, part).quality(made.network, made.config).snr
    advice = advise(source, calibration, part, made.config, snr, worst, step)
    return {
        "layers": [_layer(layer) for layer in found],
        "worst": [layer.name for layer in worst],
        "advice": [_advice(item) for item in advice],
        "layer_samples": len(next(iter(part.values()))),
    }


def _layer(layer: LayerNoise) -> Figures:
    weights = layer.weights_alone
    return {
        "name": layer.name,
        "op": layer.op,
        "weight_bits": layer.weight_bits,
        "snr": round(layer.snr, 2),
        "alone": _quality(layer.alone),
        "weights_alone": None if weights is None else _quality(weights),
        "result_alone": _quality(layer.result_alone),
    }


def _quality(quality: Quality) -> Figures:
    """At the network's outputs."""
    return {"snr": round(quality.snr, 2), "lost_points": round(100 * quality.lost, 3)}


def _advice(advice: Advice) -> Figures:
    return {"change": advice.change, "how": advice.how, "gain": round(advice.gain, 2)}
