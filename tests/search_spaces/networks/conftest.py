"""Every test here traces anew: the cache of traced networks lies in a folder of this test run."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def networks_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("networks-cache")


@pytest.fixture(autouse=True)
def fresh_cache(networks_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARETOCUT_CACHE", str(networks_cache / "memo.db"))
