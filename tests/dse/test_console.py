"""Lines of progress where the output is no terminal."""

from __future__ import annotations

import time

import pytest

from dse.cli._progress import counting


def test_lines_come_now_and_then(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    second = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: second)
    with counting("mapping") as progress:
        for k in range(36):
            second = float(k)
            progress(k, 36)
    assert capsys.readouterr().err.splitlines() == [f"mapping: {k} of 36" for k in (11, 22, 33)]
