"""Head and tail of a network at a cut as files that run elsewhere: torch.export programs and ONNX.

Of a network that is an ONNX file itself there are ONNX files only: torch cannot read it.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from search_spaces.errors import UserError
from search_spaces.types import Cut, Network

__all__ = ["Parts", "write_parts"]

_TOLERANCE, _ONNX_TOLERANCE = 1e-4, 1e-3
"""The largest differences of a split network's output, as shares of its largest element. What runs ONNX files adds in
another order than torch."""

Run = Callable[..., Sequence[Any]]
"""A part: torch tensors or numpy arrays in and out."""


@dataclass(frozen=True)
class Parts:
    """The files of a split network, and how far their result is from the whole network's.

    `difference` is the largest absolute difference over all elements of the output, for one random input, of head then
    tail as programs of torch.export, `onnx_difference` of the ONNX files run by `onnx_runtime` (None where none were
    written); `largest` the largest absolute element of the whole network's output.
    """

    network: str
    cut: str
    crossing: tuple[tuple[int, ...], ...]
    files: tuple[str, ...]
    difference: float | None
    onnx_difference: float | None
    onnx_runtime: str | None
    largest: float
    notes: tuple[str, ...] = ()


def write_parts(network: Network, cut: Cut, folder: Path, *, onnx: bool = True) -> Parts:
    """Write head.pt2, tail.pt2, head.onnx, tail.onnx and split.json into a folder, read them back and run them.

    A part without an operator is not written: what it gives is what it is given. Networks that are known by name have
    random weights, the user's own those that their code or file gives them. What an earlier split left in the folder is
    removed. Raises UserError where a part cannot be exported or would replace the network's own file, or the parts
    together are not the network.
    """
    write = _write_onnx if network.name.endswith(".onnx") else _write_torch
    found = write(network, cut, folder, onnx)
    (folder / "split.json").write_text(json.dumps(asdict(found), indent=1) + "\n", encoding="utf-8")
    for kind, difference, share in (
        ("head then tail", found.difference, _TOLERANCE),
        ("the ONNX files of head then tail", found.onnx_difference, _ONNX_TOLERANCE),
    ):
        if difference is not None and not difference <= share * max(found.largest, 1e-30):  # NaN is refused too
            raise UserError(
                f"{network.name} cut after {cut.name!r} is not what it was: {kind} differ by up to {difference:g} "
                f"from outputs of up to {found.largest:g}; the files in {folder} are of no use"
            )
    return found


def _write_torch(network: Network, cut: Cut, folder: Path, onnx: bool) -> Parts:
    import torch

    from search_spaces.networks import build_module
    from search_spaces.networks.split import Splitter

    notes: list[str] = []
    if onnx and not (find_spec("onnx") and find_spec("onnxscript")):
        onnx = False
        notes.append("no ONNX files: they need pip install 'paretocut[onnx]'")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = build_module(network.name)
        with _quiet(network.name, "whole network", "run"):
            source = torch.rand(network.input.shape)
    halves = Splitter(network, module).split(cut)
    with torch.no_grad(), _quiet(network.name, "whole network", "run"):
        whole = _output(module(source.clone()))
        crossing = halves.head(source.clone())
    _make(folder, Path(network.name))
    files: list[str] = []
    programs: list[Run] = []
    graphs: list[Run] = []
    head = halves.head if cut.layers else None
    for name, half, inputs in (("head", head, (source,)), ("tail", halves.tail, crossing)):
        if half is None:
            continue
        with _quiet(network.name, name):
            program = torch.export.export(half, tuple(t.clone() for t in inputs))
            torch.export.save(program, folder / f"{name}.pt2")
            programs.append(torch.export.load(folder / f"{name}.pt2").module())
            files.append(f"{name}.pt2")
            if onnx:
                torch.onnx.export(
                    program, tuple(inputs), folder / f"{name}.onnx", dynamo=True, verbose=False, external_data=False
                )
                graphs.append(_onnx_runner((folder / f"{name}.onnx").read_bytes()))
                files.append(f"{name}.onnx")
    with _quiet(network.name, "parts", "run"):
        difference = _difference(programs, source, whole)
        onnx_difference = _difference(graphs, source.numpy(), whole) if onnx else None
    return Parts(
        network=network.name,
        cut=cut.name,
        crossing=tuple(tensor.shape for tensor in cut.tensors),
        files=(*files, "split.json"),
        difference=difference,
        onnx_difference=onnx_difference,
        onnx_runtime=_onnx_runtime() if onnx else None,
        largest=float(np.abs(_numbers(whole)).max()),
        notes=tuple(notes),
    )


def _write_onnx(network: Network, cut: Cut, folder: Path, onnx: bool) -> Parts:
    from search_spaces.networks.onnx_split import OnnxSplitter

    if not onnx:
        raise UserError(f"the parts of {network.name} are ONNX files and nothing else; leave out --no-onnx")
    splitter = OnnxSplitter(network)
    from onnx import helper

    halves = splitter.split(cut)
    with _quiet(network.name, "whole network", "run"):
        element = splitter.prepared.graph.input[0].type.tensor_type.elem_type
        source = _random(network.input.shape, helper.tensor_dtype_to_np_dtype(element))
        (whole,) = _onnx_runner(splitter.whole.SerializeToString())(source)
    _make(folder, Path(network.name))
    files: list[str] = []
    runs: list[Run] = []
    for name, half in zip(("head", "tail"), halves, strict=True):
        if half is None:
            continue
        with _quiet(network.name, name):
            (folder / f"{name}.onnx").write_bytes(half.SerializeToString())
            runs.append(_onnx_runner((folder / f"{name}.onnx").read_bytes()))
            files.append(f"{name}.onnx")
    with _quiet(network.name, "parts", "run"):
        difference = _difference(runs, source, whole)
    return Parts(
        network=network.name,
        cut=cut.name,
        crossing=tuple(tensor.shape for tensor in cut.tensors),
        files=(*files, "split.json"),
        difference=None,
        onnx_difference=difference,
        onnx_runtime=_onnx_runtime(),
        largest=float(np.abs(_numbers(whole)).max()),
        notes=("no programs of torch.export: torch cannot read an ONNX file",),
    )


def _random(shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """Numbers from 0 to 1 or, where an input is of whole numbers, 0 to 127."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 128, shape).astype(dtype) if dtype.kind in "iub" else rng.random(shape).astype(dtype)


def _make(folder: Path, source: Path) -> None:
    paths = [folder / name for name in ("head.pt2", "tail.pt2", "head.onnx", "tail.onnx")]
    if source.resolve() in [path.resolve() for path in paths]:
        raise UserError(f"the parts of {source} would be written over it; choose another --out than {folder}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "split.json").write_text("", encoding="utf-8")
        for path in paths:  # of an earlier split
            path.unlink(missing_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(f"cannot write the parts into {folder}: {reason}; choose another --out") from None


def _output(result: Any) -> Any:
    """The one tensor that a network gives, alone or in a dictionary or tuple."""
    import torch

    if isinstance(result, torch.Tensor):
        return result
    (only,) = result.values() if isinstance(result, dict) else result
    return _output(only)


def _difference(runs: list[Run], source: Any, whole: Any) -> float:
    """The largest absolute difference of the parts one after the other from the whole."""
    import torch

    values: Sequence[Any] = (copy.deepcopy(source),)  # an operator may overwrite what it is given
    with torch.no_grad():
        for run in runs:
            values = run(*values)
        result, expected = _numbers(values[0]), _numbers(whole)
    return float(np.abs(result.reshape(expected.shape) - expected).max())


def _numbers(value: Any) -> np.ndarray:
    """A tensor or array as 64-bit floats; numpy takes no bfloat16 from torch."""
    return np.asarray(value if isinstance(value, np.ndarray) else value.double(), np.float64)


def _onnx_runtime() -> str:
    """What runs ONNX files here: onnxruntime, or ONNX's own reference implementation, which is slow."""
    return "onnxruntime" if find_spec("onnxruntime") else "ONNX's reference evaluator"


def _onnx_runner(model: bytes) -> Run:
    """Runs an ONNX model as it is written, without the runtime's optimisations."""
    if find_spec("onnxruntime"):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 3  # errors
        session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        names = [source.name for source in session.get_inputs()]
    else:
        import onnx
        from onnx.reference import ReferenceEvaluator

        session = ReferenceEvaluator(onnx.load_from_string(model))
        names = session.input_names

    def run(*inputs: Any) -> Sequence[Any]:
        arrays = [value if isinstance(value, np.ndarray) else value.numpy() for value in inputs]
        outputs: Sequence[Any] = session.run(None, dict(zip(names, arrays, strict=True)))
        return outputs

    return run


@contextlib.contextmanager
def _quiet(network: str, part: str, doing: str = "exported") -> Iterator[None]:
    """Keeps the exporters' own talk off the screen; what fails becomes one line."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    except OSError as error:
        raise UserError(f"cannot write the {part} of {network}: {error}; choose another --out") from None
    except UserError:
        raise
    except Exception as error:  # the exporters raise many types
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"the {part} of {network} cannot be {doing}: {first}") from None
    finally:
        logging.disable(before)
