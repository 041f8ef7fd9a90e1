# SPDX-License-Identifier: Apache-2.0
"""A refusal of the compiler in its parts: where, what, what would be accepted, the way out."""

from __future__ import annotations

import re
from dataclasses import dataclass

from systolith.compiler.errors import CompileError, UnsupportedModel

__all__ = ["Problem"]

_FORM = re.compile(
    r"(?:(?P<what>node|tensor|input|graph) )?(?:'(?P<node>[^']*)'(?: \((?P<op>\w+)\))?:? )?"
    r"(?P<problem>.*?)(?:; accepted: (?P<accepted>.*?))?(?:; (?P<advice>.*))?",
    re.DOTALL,
)
"""How every refusal is written (:mod:`systolith.compiler.errors`)."""


@dataclass(frozen=True)
class Problem:
    """Why a network does not compile as it is, at one place."""

    kind: str
    """The class of the error."""
    node: str
    """The node (or tensor, input) at fault; empty where it is the network as a whole."""
    op: str
    problem: str
    accepted: str
    advice: str
    text: str
    """The whole as one line."""

    @classmethod
    def of(cls, error: CompileError) -> Problem:
        """The parts of a refusal."""
        kind, text = type(error).__name__, str(error)
        if isinstance(error, UnsupportedModel):
            return cls(kind, error.node, error.op, error.problem, error.accepted, error.advice, text)
        match = _FORM.fullmatch(text)
        parts = {key: value or "" for key, value in match.groupdict().items()} if match else {"problem": text}
        parts.pop("what", None)
        return cls(kind=kind, text=text, **{"node": "", "op": "", "accepted": "", "advice": "", **parts})
