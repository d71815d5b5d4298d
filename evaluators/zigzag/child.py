"""The process that runs ZigZag on the files of its folder: `python -m evaluators.zigzag.child METRIC LPF_LIMIT`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

if __name__ == "__main__":
    from zigzag.api import get_hardware_performance_zigzag

    _, _, results = get_hardware_performance_zigzag(
        "workload.yaml",
        "hardware.yaml",
        "mapping.yaml",
        opt=sys.argv[1],
        lpf_limit=int(sys.argv[2]),
        dump_folder="out",
        loma_show_progress_bar=False,
    )
    evaluation = results[0][0]
    per_level = evaluation.mem_energy_breakdown.values()
    figures = {
        "cycles": float(evaluation.latency_total2),
        "compute_cycles": float(evaluation.ideal_temporal_cycle),
        "mac_pj": float(evaluation.mac_energy),
        "storage_pj": sum(float(pj) for levels in per_level for pj in levels),
        "dram_pj": sum(float(levels[-1]) for levels in per_level),
    }
    Path("result.json").write_text(json.dumps(figures))
