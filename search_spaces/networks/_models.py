"""Which networks there are and how each is built without weights; torch is imported when a network is built."""

from __future__ import annotations

import ast
import hashlib
import pkgutil
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_spaces.errors import UserError
from search_spaces.networks import own

if TYPE_CHECKING:
    from torch import nn

__all__ = ["build", "default_input", "own_names", "source_version", "torchvision_names"]

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


def source_version(name: str) -> str:
    """What a network's definition depends on: torchvision's version, or a hash of our own file. No torch."""
    if name in own_names():
        source = Path(own.__file__).with_name(f"{name}.py").read_bytes()
        return "own " + hashlib.sha256(source).hexdigest()[:16]
    return "torchvision " + version("torchvision")


def default_input(name: str) -> tuple[int, ...]:
    """The input shape used when none is given, batch first."""
    if name in own_names():
        return _own_input(name)
    return _INPUTS.get(name, _USUAL_INPUT)


def _own_input(name: str) -> tuple[int, ...]:
    """The INPUT that our own network's file assigns, read without running the file (it imports torch)."""
    for statement in ast.parse(Path(own.__file__).with_name(f"{name}.py").read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and [ast.unparse(t) for t in statement.targets] == ["INPUT"]:
            return tuple(ast.literal_eval(statement.value))
    return _USUAL_INPUT


def build(name: str, device: str = "cpu") -> nn.Module:
    """A known network in evaluation mode with random weights; on "meta" it has shapes only and is there at once."""
    import torch

    with torch.inference_mode(False), torch.device(device):
        if name in own_names():
            return import_module(f"{own.__name__}.{name}").build().eval()
        from torchvision import models

        options = dict(_WITHOUT_WEIGHTS.get(name, {}))
        if name in models.list_models(module=models.segmentation):
            options["weights_backbone"] = None
        try:
            return models.get_model(name, weights=None, **options).eval()
        except (RuntimeError, NotImplementedError) as error:
            if device == "meta":  # a constructor that computes with values cannot run on shapes alone
                return build(name).to("meta")
            raise UserError(f"torchvision cannot build {name!r} without weights: {error}") from error
