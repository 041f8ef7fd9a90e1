# SPDX-License-Identifier: Apache-2.0
"""Errors of the Python interface itself."""

from __future__ import annotations

__all__ = ["Mismatch"]


class Mismatch(Exception):
    """Two back ends gave different results; the message says which, and where they differ first."""
