"""`--slow` runs the longer versions of tests that also run, shorter, in the default set."""

from collections.abc import Iterator

import pytest

from tests.timeloop import front_end, recorded, stand_in

__all__ = ["front_end", "recorded", "stand_in"]  # fixtures


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the longer versions of some tests")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow"):
        return
    skip = pytest.mark.skip(reason="longer version; run with --slow")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


@pytest.fixture
def slow(request: pytest.FixtureRequest) -> bool:
    """Whether the longer versions were asked for."""
    return bool(request.config.getoption("--slow"))


@pytest.fixture
def one_thread() -> Iterator[None]:
    """For tiny tensors: more threads would only wait for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests, and the processes they start, keep their memo and traced networks away from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PARETOCUT_CACHE", str(tmp_path_factory.mktemp("cache") / "memo.db"))
        yield
