# SPDX-License-Identifier: Apache-2.0
"""Runs a Yosys script in the native library ``pyosys``, with the options of ``yosys`` that the flow uses."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """``[-q] -l LOG SCRIPT``. A Yosys error ends the process with its message in the log and on stderr."""
    from pyosys import libyosys

    parser = argparse.ArgumentParser(prog="systolith.boards.yosys")
    parser.add_argument("-q", action="store_true", help="nothing on the terminal")
    parser.add_argument("-l", metavar="LOG", required=True)
    parser.add_argument("script")
    options = parser.parse_args(arguments)
    design = libyosys.Design()
    tee = f"tee {'-q ' if options.q else ''}-o {options.l} "
    libyosys.run_pass(f"{tee}script {options.script}", design)


if __name__ == "__main__":
    main()
