# SPDX-License-Identifier: Apache-2.0
"""Write the parts of docs/ that are generated from the code; ``tests/spec/test_isa.py`` holds them to be current."""

from pathlib import Path

from systolith.spec.arch import PRESETS
from systolith.spec.isa import document

DOCS = Path(__file__).parents[2] / "docs"
BEGIN, END = "<!-- generated: fields -->\n", "<!-- end -->"


def replace_generated(text: str, table: str) -> str:
    """``text`` with what stands between the markers replaced by ``table``."""
    before, rest = text.split(BEGIN)
    after = rest.split(END, 1)[1]
    return before + BEGIN + table + END + after


if __name__ == "__main__":
    page = DOCS / "isa.md"
    page.write_text(replace_generated(page.read_text(), document(PRESETS["16x16"])))
