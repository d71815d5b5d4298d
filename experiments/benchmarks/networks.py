"""Every network through every accelerator: seconds to map it, cycles, energy, how much of the array is used.

python experiments/benchmarks/networks.py                                       at 224 × 224, an empty memo
python experiments/benchmarks/networks.py --input 64 --networks mobilenet_v2 --accelerators simba_like
"""

from __future__ import annotations

import resource
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from dse.cli import run_script
from evaluators.memo import Memo
from evaluators.sensor import SensorModel, SensorSettings
from search_spaces import accelerators
from search_spaces import networks as known

NETWORKS = ["squeezenet1_1", "mobilenet_v2", "efficientnet_b0", "resnet18", "resnet50", "vgg16", "fcn_resnet50"]


def main(
    networks: Annotated[list[str] | None, typer.Option(help="Networks (repeat).")] = None,
    accelerator: Annotated[list[str] | None, typer.Option("--accelerators", help="Templates (repeat).")] = None,
    side: Annotated[int, typer.Option("--input", min=1, help="Height and width of the input.")] = 224,
) -> None:
    """At 200 MHz under the default settings, each layer with its mapping of least energy × delay; LPDDR4."""
    console = Console(highlight=False, width=160)
    headings = (
        "shapes", "mapping s", "cycles, million", "ms", "mJ", "MACs, million", "utilised", "depthwise MACs", "cycles",
        "peak MiB",
    )  # fmt: skip
    table = Table("network", "accelerator", *(Column(heading, justify="right") for heading in headings), box=None)
    for name in accelerator or accelerators.names():
        chip, model = accelerators.build(name), SensorModel(SensorSettings(), Memo())
        for network in networks or NETWORKS:
            traced = known.load(network, (1, 3, side, side))
            shapes = {layer.shape.one_group for layer in traced.layers if layer.shape is not None}
            started = time.perf_counter()
            costs = model.layer_costs(traced, chip, 200e6, "lpddr4")
            seconds = time.perf_counter() - started
            if costs.unmapped:
                table.add_row(network, name, str(len(shapes)), *[""] * 9)
                console.print(f"{network} on {name}: {next(iter(costs.unmapped.values()))}", markup=False)
                continue
            macs = sum(layer.macs for layer in traced.layers)
            depthwise = [
                i for i, layer in enumerate(traced.layers) if layer.shape and layer.shape.groups == layer.shape.C > 1
            ]
            of_depthwise = sum(traced.layers[i].macs for i in depthwise) / macs
            cycles = costs.cycles.sum()
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            table.add_row(
                network, name, str(len(shapes)), f"{seconds:.2f}", f"{cycles / 1e6:,.2f}",
                f"{costs.latency_s.sum() * 1e3:,.2f}", f"{costs.energy_j.sum() * 1e3:,.3f}", f"{macs / 1e6:,.0f}",
                f"{macs / chip.instances(-1) / cycles:.1%}", f"{of_depthwise:.1%}",
                f"{costs.cycles[depthwise].sum() / cycles:.1%}", f"{peak:,.0f}",
            )  # fmt: skip
    console.print(table)


if __name__ == "__main__":
    run_script(main, __file__)
