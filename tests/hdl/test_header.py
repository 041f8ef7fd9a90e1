# SPDX-License-Identifier: Apache-2.0
import re

import pytest

from systolith.hdl.header import file_header
from systolith.spec import link
from systolith.spec.arch import PRESETS
from systolith.spec.link import Space


@pytest.mark.parametrize("name", PRESETS)
def test_documents_the_architecture(name: str) -> None:
    arch = PRESETS[name]
    text = file_header(arch, "engine")
    assert text.startswith("// SPDX-License-Identifier: Apache-2.0\n")
    assert f"0x{arch.hash:08X}" in text
    for parameter, value in arch.to_json().items():
        assert re.search(rf"^// +{parameter} +{re.escape(str(value))}$", text, re.MULTILINE)


def test_documents_the_memory_map() -> None:
    arch = PRESETS["tiny"]
    text = file_header(arch, "engine")
    assert link.spaces(arch) == tuple(Space)
    for space in Space:
        sizes = (link.space_lines(space, arch), link.line_bits(space, arch), link.line_words(space, arch))
        assert re.search(
            rf"^// +{space.value} {space.name} +{' +'.join(map(str, sizes))}  (rw?|w)$", text, re.MULTILINE
        )
    assert "TABLES" not in file_header(arch.with_(tables=0), "engine")


def test_every_line_is_a_comment_and_every_waiver_has_a_reason() -> None:
    lines = [line for line in file_header(PRESETS["8x8"], "engine").splitlines() if line]
    waivers = [line for line in lines if line.startswith("/*")]
    assert all(line.startswith("//") for line in lines if line not in waivers)
    assert all(re.fullmatch(r"/\* verilator lint_off [A-Z]+ \*/ // .{20,}", line) for line in waivers)
