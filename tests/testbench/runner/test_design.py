# SPDX-License-Identifier: Apache-2.0
from systolith.spec.arch import PRESETS
from systolith.testbench.runner.design import Design


def test_verilog_is_made_only_when_asked_for() -> None:
    made: list[int] = []

    def verilog() -> str:
        made.append(1)
        return "module m; endmodule"

    design = Design(arch=PRESETS["tiny"], top="m", key="k", verilog=verilog)
    assert not made
    assert design.component is None
    assert design.verilog() == "module m; endmodule"
