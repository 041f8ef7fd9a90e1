# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from systolith.testbench.runner.cache import cache_folder, cached, digest, source_digest


def test_the_folder_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SYSTOLITH_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path


def test_the_folder_follows_the_desktop_standard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SYSTOLITH_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "systolith"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "systolith"


def test_digests_keep_their_parts_apart() -> None:
    assert digest(["ab", "c"]) != digest(["a", "bc"])
    assert digest(["ab", "c"]) == digest(["ab", "c"])


def test_sources_have_one_digest() -> None:
    assert source_digest() == source_digest()


def test_made_once(tmp_path: Path) -> None:
    calls = []

    def make(folder: Path) -> None:
        calls.append(folder)
        (folder / "file").write_text("x")

    first = cached(tmp_path / "new", "key", make)
    assert cached(tmp_path / "new", "key", make) == first == tmp_path / "new" / "key"
    assert len(calls) == 1
    assert [path.name for path in first.iterdir()] == ["file"]


def test_nothing_is_left_of_a_failure(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        cached(tmp_path, "key", fail)
    assert list(tmp_path.iterdir()) == []


def test_the_first_of_two_makers_wins(tmp_path: Path) -> None:
    def fast(folder: Path) -> None:
        (folder / "fast").touch()

    def slow(folder: Path) -> None:
        cached(tmp_path, "key", fast)
        (folder / "slow").touch()

    assert [path.name for path in cached(tmp_path, "key", slow).iterdir()] == ["fast"]
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
