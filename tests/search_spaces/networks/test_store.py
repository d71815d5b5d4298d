"""The cache of traced networks: the same network comes back, without torch, whatever happened to the file."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from search_spaces.networks import load, store

NAMES = ("lenet5", "squeezenet1_1", "vit_b_32")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mode", ["block", "tensor"])
def test_json_and_pickle_give_the_same_network(name: str, mode: str) -> None:
    network = load(name, cut_mode=mode)  # type: ignore[arg-type] # the two literals
    assert store.from_json(json.loads(json.dumps(store.to_json(network)))) == network
    assert pickle.loads(pickle.dumps(network)) == network
    assert load(name, cut_mode=mode) == network  # type: ignore[arg-type] # the two literals


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PARETOCUT_CACHE", str(tmp_path / "memo.db"))
    return tmp_path


def test_second_load_needs_no_torch(empty_cache: Path) -> None:
    network = load("lenet5", cut_mode="tensor")
    code = (
        "import sys; from search_spaces.networks import load, liveness; n = load('lenet5', cut_mode='tensor');"
        "assert 'torch' not in sys.modules; print(len(n.cuts), liveness.peak_activation_elements(n, n.cuts[-1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert done.stdout.split()[0] == str(len(network.cuts))


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"identity": {}, "value": {}}', "null"])
def test_damaged_file_is_traced_again(empty_cache: Path, damage: str) -> None:
    network = load("lenet5")
    (file,) = (empty_cache / "networks").glob("lenet5-*.json")
    sound = file.read_text()
    file.write_text(damage)
    assert load("lenet5") == network
    assert file.read_text() == sound


def test_file_that_lost_a_field_is_traced_again(empty_cache: Path) -> None:
    network = load("lenet5")
    (file,) = (empty_cache / "networks").glob("lenet5-*.json")
    entry = json.loads(file.read_text())
    del entry["value"]["layers"][0]["cost"]
    file.write_text(json.dumps(entry))
    assert load("lenet5") == network


def test_questions_do_not_share_an_answer(empty_cache: Path) -> None:
    shapes = [(1, 1, 32, 32), (2, 1, 32, 32)]
    answers = [load("lenet5", shape, mode) for shape in shapes for mode in ("block", "tensor")]
    answers.append(load("lenet5", shapes[0], "tensor", merge=False))
    assert len({json.dumps(store.to_json(answer)) for answer in answers}) == 5
    assert len(list((empty_cache / "networks").glob("lenet5-*.json"))) == 5
    assert not list((empty_cache / "networks").glob("*.part"))


def test_cache_that_cannot_be_written_costs_only_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("PARETOCUT_CACHE", str(tmp_path / "file" / "memo.db"))
    assert load("lenet5").name == "lenet5"
