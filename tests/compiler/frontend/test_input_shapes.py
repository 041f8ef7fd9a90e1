# SPDX-License-Identifier: Apache-2.0
import pytest

from systolith.compiler.errors import ShapeError
from systolith.compiler.frontend.input_shapes import fix_shapes, parse_shape, suggestion
from systolith.compiler.frontend.onnx_file import fix_batch, infer_shapes
from tests.support.float_models import ModelBuilder


def relu(*shape: int | str) -> ModelBuilder:
    builder = ModelBuilder(shape)
    builder.add("Relu", "input", name="relu")
    return builder


@pytest.mark.parametrize(
    ("text", "shape"), [("x=1", (1,)), ("a/b:0=1x3x32x40", (1, 3, 32, 40)), ("odd=name=2x2", (2, 2))]
)
def test_a_shape_is_read(text: str, shape: tuple[int, ...]) -> None:
    assert parse_shape(text) == (text.rsplit("=", 1)[0], shape)


@pytest.mark.parametrize("text", ["", "x", "x=", "=1x2", "x=1x", "x=0x3", "x=-1", "x=1,2", "x=1xN"])
def test_what_is_no_shape_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no shape; accepted: NAME=1x3x32x32"):
        parse_shape(text)


def test_free_sizes_are_fixed() -> None:
    model = relu("N", "C", 4, "W").model("relu_out")
    fixed = infer_shapes(fix_batch(fix_shapes(model, {"input": (1, 3, 4, 5)})))
    assert [dim.dim_value for dim in fixed.graph.output[0].type.tensor_type.shape.dim] == [1, 3, 4, 5]
    assert model.graph.input[0].type.tensor_type.shape.dim[1].dim_param == "C", "the model given stays"
    assert fix_shapes(model, {}) is model


def test_a_larger_batch_may_be_given_as_one() -> None:
    fixed = fix_shapes(relu(8, "C", 4, 4).model("relu_out"), {"input": (1, 3, 4, 4)})
    assert [dim.dim_value for dim in fixed.graph.input[0].type.tensor_type.shape.dim] == [1, 3, 4, 4]


def test_an_input_without_any_shape() -> None:
    model = relu("N").model("relu_out")
    model.graph.input[0].type.tensor_type.ClearField("shape")
    fixed = fix_shapes(model, {"input": (1, 7)})
    assert [dim.dim_value for dim in fixed.graph.input[0].type.tensor_type.shape.dim] == [1, 7]


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"image": (1, 3)}, r"input 'image': there is none of this name; accepted: 'input'"),
        ({"input": (1, 3)}, r"input 'input': 1x3 has 2 sizes; accepted: 4, as in \['N', 3, 'H', 4\]"),
        ({"input": (1, 3, 8, 8)}, r"1x3x8x8 gives axis 3 the size 8; accepted: 4, which the model fixes"),
    ],
)
def test_refusals(shapes: dict[str, tuple[int, ...]], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        fix_shapes(relu("N", 3, "H", 4).model("relu_out"), shapes)


def test_the_suggestion_keeps_what_is_known() -> None:
    assert suggestion("x", [1, "batch", 7, "?"]) == "--fix-shape x=1xHx7xW with numbers for the letters"
