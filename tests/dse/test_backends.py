"""Mapping layers on a cluster: the same answers in the same order, and one line where there is none."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from joblib import Parallel, delayed

from dse.backends import BACKENDS, backend
from evaluators.mapper.layer import prepare_layers
from evaluators.memo import Memo
from search_spaces import accelerators
from search_spaces.errors import UserError
from search_spaces.types import ConvShape


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """The address of a real Dask scheduler with a worker of two threads."""
    distributed = pytest.importorskip("distributed", reason="Dask is not installed: pip install 'paretocut[dask]'")
    with distributed.LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=None) as cluster:
        yield cluster.scheduler_address


def late_first(k: int) -> int:
    time.sleep(0.2 if k == 0 else 0)
    return k


def stored(memo: Memo) -> list[Any]:
    return sorted(memo._connection.execute("SELECT key, value FROM memo").fetchall())


def test_results_come_in_the_order_of_the_tasks(scheduler: str) -> None:
    with backend("dask", scheduler, 1) as workers:
        assert workers == 2
        assert list(Parallel(n_jobs=workers)(delayed(late_first)(k) for k in range(6))) == list(range(6))


def test_a_dask_cluster_maps_layers_as_this_process_does(scheduler: str, tmp_path: Path) -> None:
    shapes = [ConvShape(N=1, C=4, M=m, P=2, Q=2, R=1, S=1) for m in range(1, 42)]
    models = [accelerators.build(name, {}) for name in ("eyeriss_like", "gemmini_like")]
    wanted = [(shape, model) for model in models for shape in shapes]
    with Memo(tmp_path / "here.db") as here, Memo(tmp_path / "there.db") as there:
        prepare_layers(wanted, "default", here)
        steps = []
        with backend("dask", scheduler, 1) as workers:
            prepare_layers(wanted, "default", there, workers=workers, progress=lambda done, total: steps.append(done))
        assert steps == sorted(steps) and len(steps) > 2 * workers
        assert stored(here) == stored(there)


def test_a_cluster_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="Dask is not installed: pip install 'paretocut[dask]'")
    monkeypatch.setattr("dse.backends.CONNECT_SECONDS", 1)
    with (
        pytest.raises(UserError, match=r"no scheduler answers at tcp://127.0.0.1:9 .*dask scheduler") as refused,
        backend("dask", "tcp://127.0.0.1:9", 1),
    ):
        pass
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9"])
def test_ray_is_not_asked_where_nobody_listens(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would ask for more than a minute."""
    monkeypatch.setitem(sys.modules, "ray", ModuleType("ray"))  # without init
    joblib = ModuleType("ray.util.joblib")
    joblib.register_ray = lambda: None  # type: ignore[attr-defined]  # as Ray has it
    monkeypatch.setitem(sys.modules, "ray.util.joblib", joblib)
    refusal = rf"no Ray cluster answers at {address} .*ray start --head"
    with pytest.raises(UserError, match=refusal), backend("ray", address, 1):
        pass


@pytest.mark.parametrize(("name", "package"), [("dask", "distributed"), ("ray", "ray")])
def test_a_package_that_is_missing_names_the_extra(name: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"pip install 'paretocut\[{name}\]'"), backend(name, None, 1):
        pass


def test_names_and_addresses_are_checked() -> None:
    with pytest.raises(UserError, match="did you mean 'dask'"), backend("dusk", None, 1):
        pass
    with pytest.raises(UserError, match="--scheduler"), backend("loky", "tcp://127.0.0.1:8786", 1):
        pass
    with backend("loky", None, 3) as workers:
        assert workers == 3
    assert set(BACKENDS) == {"loky", "dask", "ray"}
