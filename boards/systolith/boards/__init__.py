# SPDX-License-Identifier: Apache-2.0
"""FPGA boards, the shell around the engine, and the way to a bitstream."""
