"""`paretocut doctor` on a machine without anything, and on a broken package."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from dse import doctor
from dse.cli import main


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert not ended.value.code
    return capsys.readouterr().out


def test_what_is_missing_comes_with_the_way_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    backends = [b for b in doctor.BACKENDS if b.name != "CUDA"]  # torch alone takes seconds to import
    monkeypatch.setattr(doctor, "BACKENDS", backends)
    found = {finding["name"]: finding for finding in json.loads(run(["doctor", "--json"], capsys))}
    assert [*found] == [backend.name for backend in backends]
    for name in ("timeloop-mapper", "timeloop-model", "accelergy"):
        assert not found[name]["works"]
        assert "https://" in found[name]["install"]
    assert all(bool(finding["install"]) != finding["works"] for finding in found.values())
    text = run(["doctor"], capsys)
    assert "no   timeloop-mapper: timeloop-mapper is not on the PATH" in text
    assert "for --accelerator-model timeloop, verify: install it" in text


def test_a_gpu_is_asked_for_by_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = SimpleNamespace(is_available=lambda: True, get_device_name=lambda _: "GPU 1")
    fake = SimpleNamespace(cuda=cuda, version=SimpleNamespace(cuda="13.2"), __version__="2.15")
    monkeypatch.setitem(sys.modules, "torch", fake)
    (backend,) = [b for b in doctor.BACKENDS if b.name == "CUDA"]
    assert backend.look() == (True, "GPU 1, CUDA 13.2, torch 2.15")
    cuda.is_available = lambda: False
    assert backend.look() == (False, "torch 2.15 finds no GPU")
    monkeypatch.setitem(sys.modules, "torch", None)
    assert backend.look()[1].startswith("not installed")


def test_a_package_that_is_broken_is_no_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "onnx.py").write_text("raise RuntimeError('bad\\nlibrary')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "onnx", raising=False)
    (backend,) = [b for b in doctor.BACKENDS if b.name == "ONNX"]
    assert backend.look() == (False, "cannot be imported: RuntimeError: bad library")


def test_onnx_needs_both_of_its_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading takes onnx, writing takes onnxscript too."""
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    (backend,) = [b for b in doctor.BACKENDS if b.name == "ONNX"]
    works, says = backend.look()
    assert not works
    assert "onnxscript" in says


def test_every_backend_is_told_as_soon_as_it_is_known() -> None:
    """One that hangs until its limit does not hide the others."""
    findings = doctor.examine()
    assert next(findings).name == doctor.BACKENDS[0].name
