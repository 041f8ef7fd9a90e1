# SPDX-License-Identifier: Apache-2.0
import pytest

from systolith.compiler import errors
from systolith.compiler.errors import CompileError, UnsupportedModel


def test_unsupported_model_keeps_node_and_op() -> None:
    error = UnsupportedModel(node="n", op="Conv", problem="p", accepted="a")
    assert (error.node, error.op) == ("n", "Conv")


def test_unsupported_model_names_everything() -> None:
    error = UnsupportedModel(node="n", op="Conv", problem="group 3", accepted="group 1", advice="export again")
    assert str(error) == "node 'n' (Conv): group 3; accepted: group 1; export again"


def test_message_is_one_line() -> None:
    assert str(CompileError("first\n  second\tthird")) == "first second third"


@pytest.mark.parametrize("name", [name for name in errors.__all__ if name != "CompileError"])
def test_every_refusal_belongs_to_the_family(name: str) -> None:
    assert issubclass(getattr(errors, name), CompileError)
