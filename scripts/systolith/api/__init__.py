# SPDX-License-Identifier: Apache-2.0
"""The Python interface: what a notebook user calls."""
