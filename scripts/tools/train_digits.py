# SPDX-License-Identifier: Apache-2.0
"""Trains the two bundled networks on the handwritten digits that scikit-learn ships.

Run it from the development environment, in the root of the repository::

    python -m tools.train_digits

It writes ``digits_cnn.onnx``, ``digits_mlp.onnx`` and ``digits.npz`` where the package keeps them (or into
the folder given with ``--out``) and prints what it measured. Nothing is drawn but from seeded generators, so a
second run gives the same files; another machine's linear algebra may change the last bits of a weight.

The 1,797 images are split once, stratified by class: 500 for the test, which nothing here looks at before the
weights are final, and 1,297 to learn from. The recipes were chosen by cross-validation on the latter alone
(``--validate`` repeats that for the chosen ones); the shipped weights are trained on all 1,297.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from tools.layers import (
    Adam,
    Array,
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    GraphBuilder,
    MaxPool,
    Relu,
    Residual,
    Sequential,
    cross_entropy,
)

__all__ = ["RECIPES", "Digits", "Recipe", "accuracy", "load", "main", "to_onnx", "train"]

CLASSES = 10
TEST_IMAGES = 500
FOLDS = 5
CALIBRATION_IMAGES = 128
DATA = Path(__file__).parents[1] / "systolith" / "api" / "data"

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Digits:
    """Images (N, 1, 8, 8) of values 0..1 in steps of 1/16, and their labels 0..9."""

    x_train: Array
    y_train: Labels
    x_test: Array
    y_test: Labels

    @property
    def x_calib(self) -> Array:
        """Training images for calibration; the training set is already in random order."""
        return self.x_train[:CALIBRATION_IMAGES]

    def fold(self, number: int) -> Digits:
        """The training set alone, with every ``FOLDS``-th image, from ``number`` on, in the part of the test."""
        held = np.arange(len(self.x_train)) % FOLDS == number
        return Digits(self.x_train[~held], self.y_train[~held], self.x_train[held], self.y_train[held])


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one network is made: its layers and every number its training depends on."""

    build: Callable[[np.random.Generator], Sequential]
    seed: int
    epochs: int
    rate: float  # peak learning rate; it falls to 0 along half a cosine
    decay: float  # decoupled weight decay
    smoothing: float  # probability mass of the target given to all classes alike
    shift: int  # images move by up to so many pixels each way
    batch: int = 64


def build_cnn(rng: np.random.Generator) -> Sequential:
    """1x8x8 to 10 logits: batch norm, residual, pooling and a dense end; 12,282 parameters and 235,520 MACs."""
    return Sequential(
        conv1=Conv(rng, 1, 16),
        norm1=BatchNorm(16),
        relu1=Relu(),
        add2=Residual(Sequential(_conv=Conv(rng, 16, 16))),
        relu2=Relu(),
        pool2=MaxPool(),
        conv3=Conv(rng, 16, 32),
        relu3=Relu(),
        flatten=Flatten(),
        dense4=Dense(rng, 512, CLASSES),
    )


def build_mlp(rng: np.random.Generator) -> Sequential:
    """1x8x8 to 10 logits through two hidden layers; 6,570 parameters and 6,464 MACs."""
    return Sequential(
        flatten=Flatten(),
        dense1=Dense(rng, 64, 64),
        relu1=Relu(),
        dense2=Dense(rng, 64, 32),
        relu2=Relu(),
        dense3=Dense(rng, 32, CLASSES),
    )


RECIPES = {
    "digits_cnn": Recipe(build=build_cnn, seed=1, epochs=80, rate=4e-3, decay=0.02, smoothing=0.1, shift=1),
    # Too small to learn the digits in nine places as well: shifted images cost it half its accuracy margin.
    "digits_mlp": Recipe(build=build_mlp, seed=1, epochs=150, rate=4e-3, decay=0.1, smoothing=0.1, shift=0),
}


def load() -> Digits:
    """The digits in their fixed split. Needs scikit-learn, which ships the images; nothing is downloaded."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    x = images.reshape(-1, 1, 8, 8) / 16.0
    y = labels.astype(np.int64)
    test = _stratified(y, TEST_IMAGES)
    train = np.random.default_rng(1).permutation(np.setdiff1d(np.arange(len(y)), test))
    return Digits(x[train], y[train], x[test], y[test])


def _stratified(labels: Labels, count: int) -> Labels:
    """Indices of ``count`` images, seeded, whose class shares are those of ``labels`` to within one image."""
    order = np.random.default_rng(0).permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    # Equally spaced picks out of images sorted by class take the same share of each.
    return np.sort(by_class[np.arange(count) * len(labels) // count])


def train(recipe: Recipe, x: Array, y: Labels, *, progress: Callable[[int, float], None] | None = None) -> Sequential:
    """Train a fresh network on images ``x`` with labels ``y``; ``progress`` gets each epoch and its mean loss."""
    rng = np.random.default_rng(recipe.seed)
    network = recipe.build(rng)
    optimiser = Adam(network.parameters(), decay=recipe.decay)
    targets = np.eye(CLASSES)[y] * (1 - recipe.smoothing) + recipe.smoothing / CLASSES
    for epoch in range(recipe.epochs):
        rate = recipe.rate * (1 + np.cos(np.pi * epoch / recipe.epochs)) / 2
        losses = []
        for picks in np.array_split(rng.permutation(len(x)), len(x) // recipe.batch):
            logits = network.forward(_shifted(rng, x[picks], recipe.shift), training=True)
            loss, gradient = cross_entropy(logits, targets[picks])
            network.backward(gradient)
            optimiser.step(rate)
            losses.append(loss)
        if progress:
            progress(epoch, float(np.mean(losses)))
    return network


def _shifted(rng: np.random.Generator, x: Array, limit: int) -> Array:
    """Move each image by its own random offset of up to ``limit`` pixels each way; zeros come in."""
    height, width = x.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (limit, limit), (limit, limit)))
    tops, lefts = rng.integers(0, 2 * limit + 1, (2, len(x)))
    rows = tops[:, None, None] + np.arange(height)[:, None]
    columns = lefts[:, None, None] + np.arange(width)
    moved: Array = padded[np.arange(len(x))[:, None, None], 0, rows, columns]
    return moved[:, None]


def accuracy(network: Sequential, x: Array, y: Labels) -> float:
    """The share of images ``x`` whose largest logit is that of label ``y``."""
    return float((network.forward(x, training=False).argmax(axis=1) == y).mean())


def to_onnx(network: Sequential, name: str) -> onnx.ModelProto:
    """The network with a final Softmax: ``input`` (1, 1, 8, 8) float32 to ``output`` (1, 10) float32."""
    graph = GraphBuilder()
    logits = network.export(graph, "input", "")
    graph.nodes.append(onnx.helper.make_node("Softmax", [logits], ["output"], "softmax", axis=1))
    float32 = onnx.TensorProto.FLOAT
    body = onnx.helper.make_graph(
        graph.nodes,
        name,
        [onnx.helper.make_tensor_value_info("input", float32, [1, 1, 8, 8])],
        [onnx.helper.make_tensor_value_info("output", float32, [1, CLASSES])],
        graph.initializers,
    )
    # IR 8 is old enough for every reader still in use. Opset 15 because onnx.reference (seen in onnx 1.23) blends
    # batch statistics into the BatchNormalization of older ones.
    opset = [onnx.helper.make_opsetid("", 15)]
    model = onnx.helper.make_model(body, producer_name="systolith", opset_imports=opset, ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def write_data(digits: Digits, path: Path) -> None:
    """Write the test set and the calibration images: x float32 (N, 1, 8, 8), y int64 (N,)."""
    np.savez_compressed(
        path,
        x_calib=digits.x_calib.astype(np.float32),
        x_test=digits.x_test.astype(np.float32),
        y_test=digits.y_test,
    )


def _run(name: str, digits: Digits) -> Sequential:
    recipe = RECIPES[name]

    def show(epoch: int, loss: float) -> None:
        print(f"\r{name}: epoch {epoch + 1}/{recipe.epochs}, loss {loss:.4f}", end="", flush=True)

    network = train(recipe, digits.x_train, digits.y_train, progress=show)
    print(f", {accuracy(network, digits.x_test, digits.y_test):.2%} of {len(digits.y_test)} held-out images")
    return network


def _validate(digits: Digits) -> None:
    for name in RECIPES:
        for number in range(FOLDS):
            _run(name, digits.fold(number))


def _write(digits: Digits, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_data(digits, folder / "digits.npz")
    for name in RECIPES:
        onnx.save(to_onnx(_run(name, digits), name), folder / f"{name}.onnx")


def main() -> None:
    """Train both networks and write them with their data, or only judge the recipes with ``--validate``."""
    parser = argparse.ArgumentParser(description="Train the bundled digit networks.")
    parser.add_argument("--out", type=Path, default=DATA, help="folder for the three files")
    parser.add_argument("--validate", action="store_true", help="cross-validate the recipes and write nothing")
    options = parser.parse_args()
    if options.validate:
        _validate(load())
    else:
        _write(load(), options.out)


if __name__ == "__main__":
    main()
