"""Times what an ONNX network needs after each of its cuts, by onnxruntime: as part of paretocut or alone.

With `board`, whose methods these are, it needs Python 3.8, onnx and onnxruntime; `paretocut profile net.onnx --script`
writes both into one archive with the network and its plan, which Python runs as it is.

A section or remainder is a session of its own, as the edge node would run it: operators one after the other on pinned
threads, with all graph optimisations. Those fuse operators and choose how tensors lie in memory, across sections too.
"""

from __future__ import annotations

import io
import json
import os
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evaluators.edge import board
from evaluators.edge.board import Plan, ProfileError, Progress

NETWORK, PLAN = "network.onnx", "plan.json"
"""What else is in the archive."""

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def measure(
    model: Any,
    plan: Plan,
    device: str = "cpu",
    method: str = "segments",
    runs: int = 1000,
    threads: int | None = None,
    precision: float | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The profile of a model in which every tensor's type is stated, as `board.measure`; threads: default_threads."""
    from onnx import helper

    board.check(device, method, runs, threads, precision)
    runtime = check_runtime(device)
    import numpy as np

    used = threads or default_threads()
    network = _Network(model, plan, device, used, runtime)
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(model.graph.input[0].type.tensor_type.elem_type))
    rng = np.random.default_rng(0)
    try:
        array = rng.integers(0, 128, plan["input"]) if dtype.kind in "iub" else rng.random(plan["input"])
        source = runtime.OrtValue.ortvalue_from_numpy(array.astype(dtype), device, 0)
    except Exception as error:  # memory that is used up; onnxruntime's own
        raise _failed(runtime, error) from None
    return board.timed(network, source, device, method, runs, used, precision, progress, versions())


def check_runtime(device: str) -> Any:
    """The module onnxruntime; raises ProfileError where it is missing, or CUDA is wanted and it has none."""
    try:
        import onnxruntime
    except ImportError:
        raise ProfileError("measuring an ONNX network needs onnxruntime: pip install onnx onnxruntime") from None
    if PROVIDERS[device] not in onnxruntime.get_available_providers():
        raise ProfileError(
            "no CUDA device to measure on: onnxruntime here has none (pip install onnxruntime-gpu); "
            "take the CPU (measured:cpu, or --device cpu), or a roofline such as roofline:jetson-tx2"
        )
    return onnxruntime


def versions() -> dict[str, str]:
    """What runs the network, and how."""
    import onnxruntime

    return {"onnxruntime": str(onnxruntime.__version__), "graph_optimisation": "all", "execution": "sequential"}


def default_threads() -> int:
    """One per core that this process may use; onnxruntime's choice."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    folders = [Path(f"/sys/devices/system/cpu/cpu{i}/topology/thread_siblings_list") for i in allowed]
    return len({board._text(path) or str(path) for path in folders})


class _Network:
    """The nodes of a model as sections between cuts."""

    whole_is_sections = False

    def __init__(self, model: Any, plan: Plan, device: str, threads: int, runtime: Any) -> None:
        from onnx import utils

        self.plan = plan
        self.device = device
        self.runtime = runtime
        self.extractor = utils.Extractor(model)
        self.options = runtime.SessionOptions()
        self.options.intra_op_num_threads = threads
        self.options.inter_op_num_threads = 1
        self.options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
        self.options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.options.log_severity_level = 3  # errors
        # the threads of one section would go on waiting for work while the next one runs
        self.options.add_session_config_entry("session.force_spinning_stop", "1")
        self.source = model.graph.input[0].name
        self.results = {value.name for value in model.graph.output}
        section_of = {name: i for i, names in enumerate(plan["segments"]) for name in names}
        self.nodes = [
            (section_of[name], list(filter(None, node.input)), list(filter(None, node.output)))  # "" is one left out
            for node in model.graph.node
            for name in node.output
            if name in section_of
        ]
        self.made = {self.source}.union(*(given for _, _, given in self.nodes))
        self.sections = [self.part({i}) for i in range(len(plan["segments"]))]

    def part(self, wanted: set[int]) -> _Part:
        """Some sections as one session."""
        read = [name for i, reads, _ in self.nodes if i in wanted for name in reads]
        given = dict.fromkeys(name for i, _, gives in self.nodes if i in wanted for name in gives)
        later = self.results.union(*(reads for i, reads, _ in self.nodes if i not in wanted))
        inputs = [name for name in dict.fromkeys(read) if name in self.made and name not in given]
        return _Part(self, inputs, [name for name in given if name in later])

    def synchronise(self) -> None:
        """A session's run waits for its results itself."""


class _Part:
    """A session for some of the nodes; `inputs` and `outputs` are the names of what goes in and comes out."""

    def __init__(self, network: _Network, inputs: list[str], outputs: list[str]) -> None:
        self.inputs, self.outputs = inputs, outputs
        self._device, self._runtime = network.device, network.runtime
        runtime, provider = network.runtime, PROVIDERS[network.device]
        model = network.extractor.extract_model(inputs, outputs)
        try:
            self._session = runtime.InferenceSession(model.SerializeToString(), network.options, providers=[provider])
        except Exception as error:  # onnxruntime's own, one type per status
            raise _failed(runtime, error) from None
        if self._session.get_providers()[0] != provider:
            raise ProfileError(f"onnxruntime cannot use {network.device} here; is its driver installed?")

    def run(self, *values: Any) -> list[Any]:
        """The results, which stay on the device."""
        binding = self._session.io_binding()
        for name, value in zip(self.inputs, values):
            binding.bind_ortvalue_input(name, value)
        for name in self.outputs:
            binding.bind_output(name, self._device)
        try:
            self._session.run_with_iobinding(binding)
        except Exception as error:
            raise _failed(self._runtime, error) from None
        return list(binding.get_outputs())


def _failed(runtime: Any, error: Exception) -> ProfileError:
    return ProfileError(f"onnxruntime {runtime.__version__} cannot run the network: {board._first_line(error)}")


def archive(model: Any, plan: Mapping[str, Any]) -> bytes:
    """What Python runs on a board: this module and `board`, a network and its plan in one zip file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        for name in ("evaluators/__init__.py", "evaluators/edge/__init__.py"):
            made.writestr(name, "")
        for module in (board, sys.modules[__name__]):
            path = Path(str(module.__file__))
            made.writestr(f"evaluators/edge/{path.name}", path.read_text(encoding="utf-8"))
        made.writestr("__main__.py", "from evaluators.edge.onnx_board import main\n\nmain()\n")
        made.writestr(PLAN, json.dumps(plan))
        made.writestr(NETWORK, model.SerializeToString())
    return file.getvalue()


def main() -> None:
    """The command line of the archive, which is what Python was told to run."""
    with zipfile.ZipFile(sys.argv[0]) as made:
        plan, network = json.loads(made.read(PLAN).decode()), made.read(NETWORK)

    def run(device: str, *options: Any) -> dict[str, Any]:
        check_runtime(device)
        import onnx

        return measure(onnx.load_from_string(network), plan, device, *options)

    board.main(plan, run)
