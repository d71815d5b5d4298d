"""Which networks there are and how each is built; torch is imported when one is built.

A network is named by torchvision's or our own name (built without weights), `module:factory` of the user's own code,
or the path of an ONNX file or of a program saved by torch.export.
"""

from __future__ import annotations

import ast
import hashlib
import logging
import pkgutil
import re
import sys
import zipfile
from functools import lru_cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from search_spaces.errors import UserError, unknown
from search_spaces.networks import own

if TYPE_CHECKING:
    from torch import nn
    from torch.export import ExportedProgram

__all__ = [
    "build",
    "code_version",
    "default_input",
    "is_factory",
    "is_file",
    "own_names",
    "recipe",
    "source_version",
    "torchvision_names",
]

_INPUTS = {
    # 227 is what CNNParted's published SqueezeNet figures were made with; 299 is Inception v3's own size.
    "squeezenet1_1": (1, 3, 227, 227),
    "inception_v3": (1, 3, 299, 299),
}
_USUAL_INPUT = (1, 3, 224, 224)
_WITHOUT_WEIGHTS: dict[str, dict[str, Any]] = {
    # Auxiliary classifiers serve training only; init_weights=False saves seconds of drawing random numbers.
    "googlenet": {"init_weights": False, "aux_logits": False},
    "inception_v3": {"init_weights": False, "aux_logits": False},
}


def own_names() -> tuple[str, ...]:
    """Names of the networks in `search_spaces/networks/own`."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(own.__path__)))


def torchvision_names() -> tuple[str, ...]:
    """Names of torchvision's classification and semantic segmentation models (imports torchvision)."""
    from torchvision import models

    return tuple(models.list_models(module=models) + models.list_models(module=models.segmentation))


def is_file(name: str) -> bool:
    """Whether a network is named by its file."""
    return name.endswith((".onnx", ".pt2"))


def is_factory(name: str) -> bool:
    """Whether a network is named as `module:factory`, a function without arguments that returns a torch module."""
    return re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", name) is not None


def source_version(name: str) -> str | None:
    """What a network's definition depends on: torchvision's version, or a hash of a file. No torch.

    None for the user's own code, of which it is not known what it reads. Raises UserError for a missing file.
    """
    if is_factory(name):
        return None
    if is_file(name):
        try:
            with Path(name).open("rb") as file:
                return "file " + hashlib.file_digest(file, "sha256").hexdigest()[:16]
        except OSError as error:
            raise UserError(f"cannot read the network {name}: {(error.strerror or str(error)).lower()}") from None
    if name in own_names():
        source = Path(own.__file__).with_name(f"{name}.py").read_bytes()
        return "own " + hashlib.sha256(source).hexdigest()[:16]
    return "torchvision " + version("torchvision")


def default_input(name: str) -> tuple[int, ...]:
    """The input shape used when none is given, batch first; that of a file is read from it."""
    if name.endswith(".onnx"):
        from search_spaces.networks import _onnx

        return _onnx.input_shape(Path(name), name)
    if name.endswith(".pt2"):
        return _exported_input(name)
    if is_factory(name):
        return _users_input(name)
    if name in own_names():
        return _own_input(name)
    return _INPUTS.get(name, _USUAL_INPUT)


def _users_input(name: str) -> tuple[int, ...]:
    """The INPUT of the user's module."""
    given = getattr(_user_module(name), "INPUT", _USUAL_INPUT)
    if not isinstance(given, tuple | list) or not given or any(not isinstance(n, int) or n < 1 for n in given):
        raise UserError(f"{name}: INPUT is sizes of at least 1, batch first, such as (1, 3, 224, 224), not {given!r}")
    return tuple(given)


def _own_input(name: str) -> tuple[int, ...]:
    """The INPUT that our own network's file assigns, read without running the file (it imports torch)."""
    for statement in ast.parse(Path(own.__file__).with_name(f"{name}.py").read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and [ast.unparse(t) for t in statement.targets] == ["INPUT"]:
            return tuple(ast.literal_eval(statement.value))
    return _USUAL_INPUT


def build(name: str, device: str = "cpu") -> nn.Module:
    """A network in evaluation mode, on "meta" with shapes only; known ones have random weights.

    Raises UserError for code or a file that gives no torch module, and for ONNX files, which have none.
    """
    import torch

    if name.endswith(".onnx"):
        raise UserError(f"{name} is an ONNX file, of which torch makes no module")
    if name.endswith(".pt2"):
        return _exported(name, source_version(name)).module().to(device)
    if is_factory(name):
        return _from_factory(name, device)
    with torch.inference_mode(False), torch.device(device):
        if name in own_names():
            return import_module(f"{own.__name__}.{name}").build().eval()
        from torchvision import models

        try:
            return models.get_model(name, weights=None, **recipe(name)["options"]).eval()
        except (RuntimeError, NotImplementedError) as error:
            if device == "meta":  # a constructor that computes with values cannot run on shapes alone
                return build(name).to("meta")
            raise UserError(f"torchvision cannot build {name!r} without weights: {error}") from error


def recipe(name: str) -> dict[str, Any]:
    """How a network is built where only torch and torchvision are; raises UserError where that is not enough."""
    if is_factory(name):
        return {"factory": name}
    if is_file(name) or name in own_names():
        way_out = "give it as module:factory, a file that you copy there too"
        raise UserError(f"{name} cannot be built where only torch and torchvision are: {way_out}")
    from torchvision import models

    options = dict(_WITHOUT_WEIGHTS.get(name, {}))
    segmentation = name in models.list_models(module=models.segmentation)
    if segmentation:
        options["weights_backbone"] = None
    return {"torchvision": name, "options": options, "segmentation": segmentation}


def _user_module(name: str) -> ModuleType:
    """The user's module, from the current folder or wherever Python finds it."""
    module = name.partition(":")[0]
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise UserError(f"{name}: importing {module} fails: {error}") from None
        raise UserError(f"no network {name!r}: no module {module} in this folder or on PYTHONPATH") from None
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise UserError(f"{name}: importing {module} fails: {type(error).__name__}: {error}") from None


def code_version(name: str) -> str | None:
    """A hash of the file of the user's module; None where there is none to read."""
    try:
        return "code " + hashlib.sha256(Path(str(_user_module(name).__file__)).read_bytes()).hexdigest()[:16]
    except OSError:
        return None


def _from_factory(name: str, device: str) -> nn.Module:
    import torch

    module, function = _user_module(name), name.partition(":")[2]
    factory = getattr(module, function, None)
    if not callable(factory):
        raise unknown(f"function in {module.__name__}", function, _factories(module))
    try:
        with torch.inference_mode(False), torch.device(device):
            network = factory()
    except (Exception, SystemExit) as error:  # the user's code may raise anything; on "meta" values are missing
        if device != "meta":
            raise UserError(f"{name}() fails: {type(error).__name__}: {error}") from None
        network = _from_factory(name, "cpu")
    if not isinstance(network, torch.nn.Module):
        raise UserError(f"{name}() must return a torch.nn.Module, not {type(network).__name__}")
    return network.eval().to(device)


def _factories(module: ModuleType) -> list[str]:
    """What a module defines itself and one can call; not what it imports."""
    return [
        name
        for name, value in vars(module).items()
        if name[0] != "_" and callable(value) and getattr(value, "__module__", None) == module.__name__
    ]


@lru_cache(maxsize=1)
def _exported(name: str, content: str | None) -> ExportedProgram:
    """The program of a file made by torch.export.save; the last one is kept, because reading takes seconds.

    `content` is a hash of the file: another file of the same name is read anew.
    """
    import torch

    if not zipfile.is_zipfile(name):  # of which torch would say less
        raise UserError(f"{name} is no program saved by torch.export.save, or only the beginning of one")
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # torch logs the traceback of what it then raises
    try:
        return torch.export.load(name)
    except Exception as error:  # a damaged archive raises many types
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"{name} is no program saved by torch.export.save: {first}") from None
    finally:
        logging.disable(before)


def _exported_input(name: str) -> tuple[int, ...]:
    program = _exported(name, source_version(name))
    inputs = program.graph_signature.user_inputs
    values = [n.meta.get("val") for n in program.graph.nodes if n.op == "placeholder" and n.name in inputs]
    if len(values) != 1 or not hasattr(values[0], "shape"):
        raise UserError(f"{name} takes {len(values)} inputs; a network with one input is needed")
    return tuple(int(size) for size in values[0].shape)  # a dynamic size counts as what it was exported with
