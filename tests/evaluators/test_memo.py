"""The memo: keys by meaning, safe under several processes and sudden death, clear about a damaged file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from evaluators.memo import Memo, canonical, default_cache_path, digest
from search_spaces import accelerators
from search_spaces.errors import UserError


def test_equal_keys_are_one_entry_whatever_their_order() -> None:
    memo = Memo()
    memo.put("kind", {"a": 1, "b": [2, 3]}, {"x": 1.5})
    assert memo.get("kind", {"b": [2, 3], "a": 1}) == {"x": 1.5}
    assert memo.get("other", {"b": [2, 3], "a": 1}) is None
    assert (memo.hits, memo.misses) == (1, 1)
    assert canonical({"b": 1, "a": 2}) == '{"a":2,"b":1}'


def test_first_value_wins_and_survives(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "memo.db"
    with Memo(path) as memo:
        memo.put("k", 1, "first")
    with Memo(path) as memo:
        memo.put("k", 1, "second")
    with Memo(path) as memo:
        assert memo.get("k", 1) == "first"
        assert memo.info().entries == {"k": 1}
        assert memo.clear() == 1
        assert memo.info().entries == {}


def test_many_keys_keep_their_order(tmp_path: Path) -> None:
    memo = Memo(tmp_path / "memo.db")
    memo.put_many("k", [(i, i * i) for i in range(1500)])
    with Memo(tmp_path / "memo.db") as fresh:
        assert fresh.get_many("k", [1499, "missing", 3, 3]) == [1499 * 1499, None, 9, 9]
        assert (fresh.hits, fresh.misses) == (2, 1), "3 was asked for twice"
        assert fresh.missing("k", [1499, "missing", 700, "too"]) == [1, 3]
        assert (fresh.hits, fresh.misses) == (3, 2)
        fresh.put("k", "too", 1)
        assert fresh.get("k", "too") == 1
        assert (fresh.hits, fresh.misses) == (3, 2), "what this process stored itself is no hit"


@pytest.mark.parametrize("content", [b"no database, as long as one" * 50, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_damaged_file_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "memo.db"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"cannot be used .*--cache") as caught:
        Memo(path)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == content


def test_a_folder_that_is_a_file_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be used"):
        Memo(tmp_path / "file" / "memo.db")


def test_the_environment_moves_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARETOCUT_CACHE", str(tmp_path / "elsewhere.db"))
    assert default_cache_path() == tmp_path / "elsewhere.db"


_WRITER = """
import sys
from dataclasses import asdict
from pathlib import Path
from evaluators.memo import Memo
memo = Memo(Path(sys.argv[1]))
i = 0
while i < int(sys.argv[2]):
    memo.put_many("k", [(i, i), (f"{i}b", -i)])
    i += 1
    print(i, flush=True)
"""


def test_four_processes_write_one_new_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "memo.db"
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(path), "40"], stdout=subprocess.DEVNULL) for _ in range(4)
    ]
    assert [w.wait(60) for w in writers] == [0, 0, 0, 0]
    with Memo(path) as memo:
        assert memo.get_many("k", list(range(40))) == list(range(40))


def test_a_killed_writer_loses_nothing_it_finished(tmp_path: Path) -> None:
    path = tmp_path / "memo.db"
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(path), "1000000"], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    for _ in range(20):
        writer.stdout.readline()
    time.sleep(0.05)
    os.kill(writer.pid, signal.SIGKILL)
    done = 20 + len(writer.stdout.read().split())
    writer.wait()
    with Memo(path) as memo:
        assert memo.get_many("k", list(range(done))) == list(range(done))
        assert memo.get_many("k", [f"{i}b" for i in range(done)]) == [-i for i in range(done)]


@pytest.mark.parametrize("name", accelerators.names())
def test_an_architecture_has_the_digest_of_all_its_fields(name: str) -> None:
    """Keys of what is stored: they must not change with how they are computed."""
    from evaluators.mapper.layer import _digest

    chip = accelerators.build(name)
    assert _digest(chip) == digest([[asdict(level) for level in chip.levels], asdict(chip.mac), chip.technology_nm])
