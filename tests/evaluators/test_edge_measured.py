"""The measured edge node, really run on a small network; what is checked is never a speed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from evaluators.edge.measured import measure
from evaluators.edge.profile import EdgeProfile
from search_spaces.errors import UserError
from search_spaces.networks import load
from search_spaces.types import Network


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Network:
    monkeypatch.setenv("PARETOCUT_CACHE", str(tmp_path / "memo.db"))
    return load("lenet5")


def test_every_cut_is_timed_and_the_last_costs_nothing(network: Network) -> None:
    told: list[tuple[int, int]] = []
    profile = measure(network, runs=3, threads=1, progress=lambda done, total: told.append((done, total)))
    assert len(profile.latency_s) == len(network.cuts)
    assert all(seconds > 0 for seconds in profile.latency_s[:-1])
    assert profile.latency_s[-1] == 0
    assert told == [(i, len(network.cuts)) for i in range(len(network.cuts) + 1)]
    assert (profile.provenance, profile.power_w) == ("measured", 0)
    said = " ".join((profile.device, *profile.notes))
    for fact in ("cpu", "median of 3 runs", f"torch {torch.__version__}", "1 threads", "interquartile range"):
        assert fact in said


def test_threads_and_random_state_are_left_as_they_were(network: Network) -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    measure(network, runs=1, threads=1)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


def test_free_operators_that_are_left_are_run_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SqueezeNet's last block leaves a flatten: a free operator, but something that the edge node executes."""
    monkeypatch.setenv("PARETOCUT_CACHE", str(tmp_path / "memo.db"))
    squeezenet = load("squeezenet1_1", (1, 3, 35, 35))
    profile = measure(squeezenet, runs=1, threads=1)
    assert profile.latency_s[-1] > 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for CUDA where there is none")
def test_cuda_where_there_is_none_names_the_way_out(network: Network) -> None:
    with pytest.raises(UserError, match=r"no CUDA device.*measured:cpu"):
        measure(network, device="cuda", runs=1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_is_timed_like_the_cpu(network: Network) -> None:
    profile = measure(network, device="cuda", runs=3)
    assert all(seconds > 0 for seconds in profile.latency_s[:-1])
    assert torch.cuda.get_device_name() in profile.device


@pytest.mark.parametrize(
    ("options", "words"),
    [({"device": "tpu"}, "cpu or cuda"), ({"runs": 0}, "at least 1"), ({"threads": 0}, "at least 1")],
)
def test_bad_options_get_one_line(network: Network, options: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        measure(network, **options)  # type: ignore[arg-type] # wrong on purpose
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_profile_refuses_what_is_no_latency(value: float) -> None:
    with pytest.raises(ValueError, match="no latency"):
        EdgeProfile("cpu", (0.1, value), 0.0, "measured")
