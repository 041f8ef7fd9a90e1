# SPDX-License-Identifier: Apache-2.0
"""The engine in Amaranth, one block a module, and its way out to Verilog."""
