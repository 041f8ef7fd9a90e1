# SPDX-License-Identifier: Apache-2.0
"""The onnx package's own node cases: no operator that is imported computes anything else than ONNX says."""

import re
from collections import Counter
from pathlib import Path

import onnx
import pytest

from systolith.api.conformance import CLAIMED, Outcome, conformance, summary

ISSUED = {
    *("Add", "AveragePool", "BatchNormalization", "Clip", "Concat", "Conv", "ConvTranspose", "Dropout", "Flatten"),
    *("Gemm", "GlobalAveragePool", "GlobalMaxPool", "Identity", "MatMul", "MaxPool", "Pad", "ReduceMean", "Relu"),
    *("Reshape", "Resize", "Slice", "Softmax", "Split", "Squeeze", "Transpose", "Unsqueeze", "Upsample", "ArgMax"),
    *("QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul"),
}
"""Operators that the project promises; each has at least one case."""

REASONS = (
    "its extra output ",
    "sequences and optional values",
    "values of type float",
    "bounds 2..1",
)
"""What is refused and why, as parts of the messages; a new reason is a decision."""

LEAST_SHARE = 0.95
"""The share of the claimed cases that must pass."""


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    return conformance()


def test_no_case_fails(outcomes: list[Outcome]) -> None:
    assert {one.case: one.reason for one in outcomes if one.verdict == "failed"} == {}


def test_enough_cases_pass(outcomes: list[Outcome]) -> None:
    figures = summary(outcomes)
    assert figures["passed"] > 350
    assert figures["share"] >= LEAST_SHARE


def test_refusals_are_those_that_are_meant(outcomes: list[Outcome]) -> None:
    refused = {one.case: one.reason for one in outcomes if one.verdict == "refused"}
    assert {case: why for case, why in refused.items() if not any(reason in why for reason in REASONS)} == {}


def test_every_promised_operator_has_a_case_that_passes(outcomes: list[Outcome]) -> None:
    assert ISSUED <= CLAIMED
    passed = Counter(name for one in outcomes if one.verdict == "passed" for name in one.operators)
    assert ISSUED - set(passed) == set()


def test_only_training_and_integer_arithmetic_stand_apart(outcomes: list[Outcome]) -> None:
    apart = {one.reason for one in outcomes if one.verdict == "outside"}
    assert apart == {"training", "arithmetic of integers"}


def test_the_document_has_these_figures(outcomes: list[Outcome]) -> None:
    """Other releases of the onnx package have other cases; the documents name the release."""
    page = (Path(__file__).parents[2] / "docs" / "verification.md").read_text()
    row = re.search(r"^\| (\d+\.\d+\.\d+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", page, re.MULTILINE)
    assert row is not None
    if row[1] != onnx.__version__:
        pytest.skip(f"the figures are those of onnx {row[1]}")
    figures = summary(outcomes)
    assert [int(row[at]) for at in range(2, 6)] == [figures[key] for key in ("passed", "refused", "failed", "outside")]
