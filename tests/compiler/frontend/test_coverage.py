# SPDX-License-Identifier: Apache-2.0
import pytest

from systolith.compiler.frontend import coverage as module
from systolith.compiler.frontend.coverage import coverage
from systolith.compiler.frontend.onnx_file import OLDEST_OPSET
from systolith.compiler.frontend.operators import COMPUTED, DIALECTS, ELEMENTWISE, FOLDED, QUANTISERS


def test_every_accepted_operator_has_one_row() -> None:
    rows = [(row.domain, row.op) for row in coverage()]
    dialects = {(domain, op) for domain, ops in DIALECTS.items() for op in ops}
    assert len(rows) == len(set(rows))
    assert set(rows) == {("", op) for op in (*COMPUTED, *QUANTISERS, *FOLDED)} | dialects


def test_a_row_for_nothing_would_be_stale() -> None:
    assert set(module._LAYERS) <= set(COMPUTED) - set(ELEMENTWISE)
    assert set(module._ARITHMETIC) <= set(ELEMENTWISE)


def test_an_operator_without_a_row_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COMPUTED", (*COMPUTED, "Conv9"))
    with pytest.raises(KeyError, match="Conv9"):
        coverage()


def test_the_oldest_operator_set() -> None:
    since = {row.op: row.since for row in coverage() if not row.domain}
    assert since["Conv"] == OLDEST_OPSET
    assert since["QLinearConv"] == 10
    assert since["HardSwish"] == 14
