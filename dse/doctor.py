"""Which optional backends work on this machine, and where each says how to install it. Nothing here is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

from evaluators.timeloop.front_end import FRONT_END
from evaluators.timeloop.process import INSTALLATION

__all__ = ["BACKENDS", "Backend", "Finding", "examine"]

_TIMELOOP = (
    "install it as its own page says (Docker is what it recommends to new users) and have its executables on the PATH: "
    f"{INSTALLATION}"
)


@dataclass(frozen=True)
class Backend:
    """Something optional: what it is for, how to see whether it works, and the way to get it."""

    name: str
    used_for: str
    look: Callable[[], tuple[bool, str]]
    install: str


@dataclass(frozen=True)
class Finding:
    """What was found of a backend; `install` is empty where it works."""

    name: str
    works: bool
    says: str
    used_for: str
    install: str


def examine() -> Iterator[Finding]:
    """Every backend looked at in turn; takes some seconds, because each that is there is asked to do something."""
    for backend in BACKENDS:
        works, says = backend.look()
        yield Finding(backend.name, works, says, backend.used_for, "" if works else backend.install)


def _timeloop(name: str) -> Callable[[], tuple[bool, str]]:
    def look() -> tuple[bool, str]:
        from evaluators.timeloop.probe import probe_tool

        probe = probe_tool(name)
        return probe.works, probe.says

    return look


def _front_end() -> tuple[bool, str]:
    from evaluators.timeloop.probe import probe_front_end

    probe = probe_front_end()
    return probe.works, probe.says


def _accelergy() -> tuple[bool, str]:
    from evaluators.timeloop.probe import probe_accelergy

    probe = probe_accelergy()
    return probe.works, probe.says


def _cuda() -> tuple[bool, str]:
    works, says = _package("torch", "torch")()
    if not works:
        return False, says
    import torch

    if not torch.cuda.is_available():
        built = torch.version.cuda
        return False, f"torch {torch.__version__} finds no GPU" if built else f"torch {torch.__version__} is CPU only"
    return True, f"{torch.cuda.get_device_name(0)}, CUDA {torch.version.cuda}, torch {torch.__version__}"


def _package(module: str, distribution: str) -> Callable[[], tuple[bool, str]]:
    def look() -> tuple[bool, str]:
        try:
            import_module(module)
        except ImportError as error:
            return False, f"not installed ({error})"
        except Exception as error:  # a broken installation may raise anything
            return False, f"cannot be imported: {type(error).__name__}: {' '.join(str(error).split())}"
        try:
            return True, f"{distribution} {version(distribution)}"
        except PackageNotFoundError:
            return True, module

    return look


def _onnx() -> tuple[bool, str]:
    found = [_package(name, name)() for name in ("onnx", "onnxscript")]
    missing = next((says for works, says in found if not works), None)
    return missing is None, missing or ", ".join(says for _, says in found)


def _postgresql() -> tuple[bool, str]:
    works, says = _package("psycopg", "psycopg")()
    return works, f"driver {says}; whether a server answers shows when a study is stored there" if works else says


def _reports() -> tuple[bool, str]:
    works, says = _package("matplotlib", "matplotlib")()
    return works, f"{says} draws PNG pictures; no report needs a browser" if works else says


BACKENDS = (
    Backend("timeloop-mapper", "--accelerator-model timeloop, verify", _timeloop("timeloop-mapper"), _TIMELOOP),
    Backend("timeloop-model", "verify", _timeloop("timeloop-model"), _TIMELOOP),
    Backend(
        "timeloopfe",
        "v0.4 input of Timeloop: --accelerator-model timeloop-v0.4, your own v0.4 files",
        _front_end,
        "it is part of PyTimeloop: after Timeloop, Accelergy and islpy with Barvinok, clone its repository with its "
        "submodules and `pip3 install -e .`, as its README says, or use the Docker image of the exercises: "
        f"{FRONT_END}, https://github.com/Accelergy-Project/timeloop-accelergy-exercises",
    ),
    Backend(
        "accelergy",
        "your own Timeloop files, where they hold no energy table",
        _accelergy,
        "pip install it and its plug-ins from their repositories, as their READMEs say: "
        "https://github.com/Accelergy-Project/accelergy, accelergy-aladdin-plug-in, accelergy-cacti-plug-in",
    ),
    Backend(
        "zigzag",
        "--accelerator-model zigzag",
        _package("zigzag.api", "zigzag-dse"),
        "pip install 'paretocut[zigzag]'",
    ),
    Backend(
        "CUDA",
        "an edge node measured on a GPU (edge=measured:cuda)",
        _cuda,
        "install an NVIDIA driver and a CUDA build of torch: https://pytorch.org/get-started/locally",
    ),
    Backend("ONNX", "networks from ONNX files, split into ONNX files", _onnx, "pip install 'paretocut[onnx]'"),
    Backend(
        "onnxruntime",
        "ONNX networks on a measured edge node",
        _package("onnxruntime", "onnxruntime"),
        "pip install 'paretocut[onnx]'",
    ),
    Backend("reports", "front.png and --plot", _reports, "pip install matplotlib"),
    Backend(
        "PostgreSQL",
        "Optuna studies in a database that several machines share",
        _postgresql,
        "pip install 'paretocut[postgresql]', and name the database: --storage postgresql://user@host/database",
    ),
)
