"""The project as a package: style, types, the direction of imports, and what the wheel puts on a machine."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def _run(*argv: str) -> subprocess.CompletedProcess[str]:
    tool = Path(sys.executable).parent / argv[0]
    return subprocess.run(
        [str(tool) if tool.exists() else argv[0], *argv[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "argv", [("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy",), ("lint-imports",)], ids=" ".join
)
def test_checks_pass(argv: tuple[str, ...]) -> None:
    done = _run(*argv)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    done = _run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    return next(out.glob("paretocut-*.whl"))


def test_wheel_holds_exactly_the_three_packages(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"dse", "evaluators", "search_spaces"}
    assert "evaluators/components/data/sram_45nm.csv" in names
    assert "evaluators/edge/profiles/squeezenet1_1-x86_64.json" in names
    assert not [name for name in names if name.endswith((".pyc", ".nbi", ".nbc"))]


def test_wheel_runs_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    """Unpacked somewhere else, the command line still finds its packages and their data."""
    target = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(target)
    code = (
        f"import sys; sys.path.insert(0, {str(target)!r})\n"
        "import search_spaces, evaluators.components\n"
        "from search_spaces import accelerators\n"
        f"assert search_spaces.__file__.startswith({str(target)!r})\n"
        "from evaluators.mapper.energy import price\n"
        "print(price(accelerators.build('eyeriss_like')).area_mm2)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) > 0


def test_the_readme_names_the_test_command_that_ci_runs() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "make test" in readme and "make demo" in readme
    assert (ROOT / ".ci" / "run").read_text().strip().endswith("make test")
    assert shutil.which("make")
