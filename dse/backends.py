"""Where layers are mapped: on this machine's processes (loky), or on a Dask or Ray cluster, through joblib.

Tasks are handed out by joblib, which gives their results back in the order of the tasks whatever finishes first, so
a study is the same on every backend. The workers of a cluster need this package in the same version.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from evaluators.mapper import layer as mapper
from search_spaces.errors import UserError, unknown

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

__all__ = ["BACKENDS", "backend"]

CONNECT_SECONDS = 10
"""How long a scheduler may take to answer, and its first worker to appear."""


@contextmanager
def backend(name: str, scheduler: str | None, workers: int) -> Iterator[int]:
    """Within this context layers are mapped by this backend; gives the number of workers there are.

    `scheduler` is the address of a cluster that runs already; without it Dask and Ray start `workers` processes here.
    Raises UserError for an unknown name, a package that is not installed, and a cluster that is not there.
    """
    if name not in BACKENDS:
        raise unknown("backend", name, BACKENDS)
    with BACKENDS[name](scheduler, workers) as found:
        yield found


@contextmanager
def _loky(scheduler: str | None, workers: int) -> Iterator[int]:
    if scheduler is not None:
        raise UserError("--scheduler is the address of a cluster; it goes with --backend dask or --backend ray")
    yield workers


@contextmanager
def _dask(scheduler: str | None, workers: int) -> Iterator[int]:
    from joblib import parallel_config

    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise UserError("--backend dask needs a package: pip install 'paretocut[dask]'") from None
    logging.getLogger("distributed").setLevel(logging.ERROR)
    cluster = None
    if scheduler is None:
        cluster = LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)
    client = None
    try:
        try:
            client = Client(cluster or scheduler, timeout=CONNECT_SECONDS)
            client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except (OSError, TimeoutError, ValueError) as error:
            lacks = "no scheduler answers" if client is None else "no worker has joined the scheduler"
            reason = " ".join(str(error).split())
            raise UserError(f"{lacks} at {scheduler} ({reason}); start one with: dask scheduler") from None
        _check_versions(scheduler, client.run)
        with parallel_config(backend="dask"):
            yield sum(client.nthreads().values())
    finally:
        if client is not None:
            client.close()
        if cluster is not None:
            cluster.close()


def _check_versions(scheduler: str | None, run: Callable[[Callable[[], str]], dict[str, Any]]) -> None:
    """Refuse workers whose answers might differ from ours."""
    try:
        answers = run(_version)
    except ImportError as error:
        raise UserError(f"the workers at {scheduler} cannot import paretocut ({error}); install it there") from None
    other = sorted({answer for answer in answers.values() if answer != _version()})
    if other:
        raise UserError(f"the workers at {scheduler} have {'; '.join(other)}, and here it is {_version()}")


def _version() -> str:
    return f"paretocut {version('paretocut')}, mapper {mapper.VERSION}"


@contextmanager
def _ray(scheduler: str | None, workers: int) -> Iterator[int]:
    from joblib import parallel_config

    try:
        import ray
        from ray.util.joblib import register_ray
    except ImportError:
        raise UserError("--backend ray needs a package: pip install 'paretocut[ray]'") from None
    try:
        if scheduler is None:
            ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        else:
            _knock(scheduler)
            ray.init(address=scheduler, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"no Ray cluster answers at {scheduler} ({reason}); start one with: ray start --head") from None
    try:
        register_ray()
        with parallel_config(backend="ray"):
            yield int(ray.cluster_resources().get("CPU", 1))
    finally:
        ray.shutdown()


def _knock(scheduler: str) -> None:
    """Raises OSError where nobody listens at HOST:PORT: Ray would go on asking for a minute, and none of its options
    shortens that alone."""
    where = urlsplit(scheduler if "://" in scheduler else f"//{scheduler}")
    if where.hostname and where.port:
        socket.create_connection((where.hostname, where.port), timeout=CONNECT_SECONDS).close()


BACKENDS: dict[str, Callable[[str | None, int], AbstractContextManager[int]]] = {
    "loky": _loky,
    "dask": _dask,
    "ray": _ray,
}
