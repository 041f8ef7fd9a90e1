# SPDX-License-Identifier: Apache-2.0
import re

from systolith.hdl.merge import merge_modules

LEAF = """
attribute \\src "file.py:{line}"
module \\{name}
  wire width 8 input {first} \\a
  wire width 8 input {second} \\b
  wire width 8 output 2 \\y
  cell ${kind} $1
    connect \\A \\a
    connect \\B \\b
    connect \\Y \\y
  end
end
"""

PARENT = """
module \\{name}
  cell \\{child} \\inner
    connect \\a \\x
  end
end
"""

TOP = """
module \\top
  cell \\top.left \\left
  end
  cell \\top.right \\right
  end
  cell \\SB_MAC16 \\primitive
  end
end
"""


def design(right_kind: str) -> str:
    return "".join(
        [
            TOP,
            PARENT.format(name="top.left", child="top.left.unit_0"),
            PARENT.format(name="top.right", child="top.right.unit_7"),
            LEAF.format(name="top.left.unit_0", line=1, first=0, second=1, kind="add"),
            LEAF.format(name="top.right.unit_7", line=2, first=1, second=0, kind=right_kind),
        ]
    )


def modules(text: str) -> list[str]:
    return re.findall(r"^module \\(\S+)$", text, re.MULTILINE)


def cells(text: str) -> list[str]:
    return re.findall(r"^ *cell \\(\S+) ", text, re.MULTILINE)


def test_identical_modules_become_one_from_the_leaves_up() -> None:
    merged = merge_modules(design("add"), top="top", prefix="p_")
    assert modules(merged) == ["top", "p_left", "p_unit"]
    assert cells(merged) == ["p_left", "p_left", "SB_MAC16", "p_unit"]


def test_modules_that_differ_stay_apart_under_different_names() -> None:
    merged = merge_modules(design("sub"), top="top", prefix="p_")
    assert modules(merged) == ["top", "p_left", "p_right", "p_unit", "p_unit_2"]
    assert cells(merged) == ["p_left", "p_right", "SB_MAC16", "p_unit", "p_unit_2"]


def test_what_the_top_does_not_contain_is_left_out() -> None:
    stray = LEAF.format(name="stray", line=3, first=0, second=1, kind="mul")
    assert "p_stray" not in modules(merge_modules(design("add") + stray, top="top", prefix="p_"))
