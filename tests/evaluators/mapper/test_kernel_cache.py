"""numba keeps the compiled kernel from one process to the next, and only while all that it is compiled from stays."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import evaluators
import search_spaces

SEARCH = """
import numpy as np
from evaluators.mapper.energy import price
from evaluators.mapper.kernel import search
from evaluators.mapper.mapspace import mapspace
from evaluators.mapper.tables import rows_of_m, tables
from search_spaces import accelerators
from search_spaces.types import ConvShape

architecture, shape = accelerators.build("eyeriss_like"), ConvShape(1, 1, 1, 1, 1, 1, 1)
laid = tables(mapspace(architecture, shape).variants[0], shape, price(architecture))
answer = search(laid, rows_of_m(laid), np.empty((1, 3)), np.empty((1, 10), dtype=np.int64), 0, 0, 1)[0]
print(answer, sum(search.stats.cache_hits.values()))
"""
BLOCK = """
from evaluators.mapper.kernel.compiled import compiled


@compiled
def search_block(t, rows, archive, keys, count, tag, start, n_tilings, only):
    return {answer}, 0, archive, keys, count
"""


def test_compiled_code_is_kept_until_a_file_that_it_calls_changes(tmp_path: Path) -> None:
    for package in (evaluators, search_spaces):
        source = Path(package.__path__[0])
        shutil.copytree(source, tmp_path / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    block = tmp_path / "evaluators" / "mapper" / "kernel" / "block.py"

    def answer_and_hits(answer: int) -> list[int]:
        block.write_text(BLOCK.format(answer=answer))
        run = [sys.executable, "-B", "-c", SEARCH]
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        done = subprocess.run(run, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        return [int(word) for word in done.stdout.split()]

    assert answer_and_hits(1) == [1, 0]
    assert answer_and_hits(1) == [1, 1]
    assert answer_and_hits(2) == [2, 0]
