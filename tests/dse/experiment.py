"""An experiment with the fake evaluator, for tests that start, kill and resume real processes."""

import os
import time
from dataclasses import replace
from pathlib import Path

from dse import StudySpec, launch
from tests.dse import fakes


def study() -> StudySpec:
    """The fake network's front."""
    made = fakes.spec("nsga2", batch_size=10)
    return replace(made, space=fakes.small_space()) if os.environ.get("FAKE_SPACE") == "small" else made


def evaluator(spec: StudySpec) -> fakes.FakeEvaluator:
    """The fake, slowed down by FAKE_DELAY_S seconds per evaluation, logging what it evaluates to FAKE_LOG.

    Where FAKE_GATE names a file, the process says beside it that it is ready, and waits for the file.
    """
    if gate := os.environ.get("FAKE_GATE"):
        Path(f"{gate}.{os.getpid()}").touch()
        while not Path(gate).exists():
            time.sleep(0.005)
    return fakes.FakeEvaluator(delay_s=float(os.environ.get("FAKE_DELAY_S", "0")), log=os.environ.get("FAKE_LOG"))


if __name__ == "__main__":
    launch(study, evaluator=evaluator)
