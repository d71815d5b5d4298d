"""`paretocut new`: a script that asks a question about a network, with every knob spelled out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

from search_spaces.errors import UserError
from search_spaces.types import CutMode

__all__ = ["free_path", "name_after", "write", "write_script"]

PARAMETERS = {"accelerator": "accelerators", "dram": "drams", "link": "links"}
"""Knobs that `sensor_edge_space` takes under another name."""

PACKAGES = ("dse", "evaluators", "search_spaces", "paretocut", "optuna", "torch", "numpy")
"""Modules that a script of the same name would hide from itself."""

SCRIPT = '''"""Where to cut {network}, and what accelerator, clock and link its sensor node should have.

    paretocut run {name}.py                                            the exact front of this space
    paretocut run {name}.py --algorithm nsga2 --budget 2000 --seed 1   a search, where exact takes too long
"""

from dse import Constraint, StudySpec, launch
from evaluators.system import SystemSettings
from search_spaces import networks
from search_spaces.space import sensor_edge_space


def study() -> StudySpec:
    """The Pareto front of sensor energy against end-to-end latency of {network}."""
    network = networks.load("{network}", input_shape={shape}, cut_mode="{cut_mode}")
    space = sensor_edge_space(
        network,
{knobs}    )
    return StudySpec(
        network=network,
        space=space,
        settings=SystemSettings(edge="roofline:jetson-tx2", frame_rate_fps=25.0),
        objectives=("sensor_energy_j", "latency_s"),
        # More bounds in SI units, such as Constraint("area_mm2", 3.0) or Constraint("latency_s", 0.030).
        constraints=(Constraint("link_utilisation", 1.0),),
        algorithm="exact",
        seed=1,
    )


if __name__ == "__main__":
    launch(study)
'''


def write_script(name: str, network: str, input_shape: tuple[int, ...] | None, cut_mode: str) -> Path:
    """Write NAME.py into this folder; the network is traced first, so that what is written will run."""
    from search_spaces import networks
    from search_spaces.accelerators import TEMPLATE
    from search_spaces.space import KNOBS, sensor_edge_space

    path = free_path(name)
    traced = networks.load(network, input_shape=input_shape, cut_mode=cast("CutMode", cut_mode))
    values = {knob.name: knob.values for knob in sensor_edge_space(traced).knobs}
    unsaid = dict.fromkeys(KNOBS, (TEMPLATE,)) | {"tensor_bits": (16,)}
    written = [(name, values.get(name, unsaid[name])) for name in KNOBS if name != "cut"]
    knobs = "".join(f"        {PARAMETERS.get(name, name)}={choices!r},\n" for name, choices in written)
    text = SCRIPT.format(
        name=path.stem,
        network=network,
        shape=tuple(traced.input.shape),
        cut_mode=cut_mode,
        knobs=knobs,
    )
    write(path, text)
    return path


def name_after(file: Path) -> str:
    """The name of a script that is made from a file: the file's, as far as a script can have it.

    >>> name_after(Path("my net 1.1.yaml")), name_after(Path("2023.yaml"))
    ('my_net_1_1', 'study_2023')
    """
    stem = re.sub(r"[^A-Za-z0-9_-]", "_", file.stem)
    return stem if re.match("[A-Za-z_]", stem) and stem not in PACKAGES else f"study_{stem}"


def free_path(name: str) -> Path:
    """Where a script of this name goes. Raises UserError for a name that cannot be, or one that is taken."""
    stem = name.removesuffix(".py")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", Path(stem).name):
        raise UserError(f"a script's name is letters, digits, - and _, a letter first, not {name!r}; for example: mine")
    if Path(stem).name in PACKAGES:
        raise UserError(f"a script named {Path(stem).name}.py would hide the package of that name; for example: mine")
    path = Path(f"{stem}.py")
    if path.exists():
        raise UserError(f"{path} exists already; choose another name or move it away")
    return path


def write(path: Path, text: str) -> None:
    """Write a script. Raises UserError where that cannot be."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from None
