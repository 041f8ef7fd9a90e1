# SPDX-License-Identifier: Apache-2.0
import onnx
import pytest
from onnx import helper

from systolith.compiler.frontend.opset import opset_version


@pytest.mark.parametrize("domain", ["", "ai.onnx"])
def test_the_standard_set_counts(domain: str) -> None:
    model = onnx.ModelProto()
    assert opset_version(model) == 0
    model.opset_import.extend([helper.make_opsetid("com.microsoft", 1), helper.make_opsetid(domain, 12)])
    assert opset_version(model) == 12
