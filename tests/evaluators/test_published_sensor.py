"""Sensor figures of CNNParted's first release, layer by layer: Simba-like at 500 MHz, convolutions only."""

from __future__ import annotations

import csv

import pytest

from evaluators.memo import Memo
from evaluators.sensor import SensorModel, SensorSettings
from search_spaces import accelerators, networks
from tests.reference import recorded

SHORTER = {
    "fcn_resnet50": ["classifier.4"],  # 21 output channels: padded to 24 here, 7/6 as long in the release
    "googlenet": ["inception4a.branch2.1.conv"],  # the tool's mapper stopped before it found this one
    "squeezenet1_1": [],
}


@pytest.mark.parametrize(("name", "size"), [("fcn_resnet50", 224), ("googlenet", 224), ("squeezenet1_1", 227)])
def test_delays_equal_the_published_ones_but_where_ours_are_shorter(name: str, size: int) -> None:
    """Energies were made with component figures that are not public: their ratio is printed, nothing asserted."""
    with recorded(f"cnnparted_2022/{name}_sensor_tl_layers.csv").open(newline="") as file:
        published = [(float(r["Latency [ms]"]), float(r["Energy [mJ]"])) for r in csv.DictReader(file, delimiter=";")]
    network = networks.load(name, (1, 3, size, size))
    settings = SensorSettings(mapping="delay", operators="conv", dvfs="off", energy_table="timeloop-be27768")
    costs = SensorModel(settings, Memo()).layer_costs(network, accelerators.build("simba_like"), 500e6, "lpddr4")
    before_last_cut = network.cuts[-1].layers
    ours = [
        (layer.name, costs.latency_s[i] * 1e3, costs.energy_j[i] * 1e3)
        for i, layer in enumerate(network.layers)
        if layer.operator.startswith("conv") and i in before_last_cut
    ]
    assert len(ours) == len(published)
    shorter = []
    for (layer, latency_ms, _), (published_ms, _) in zip(ours, published, strict=True):
        if latency_ms < published_ms * (1 - 1e-9):
            shorter.append(layer)
        else:
            assert latency_ms == pytest.approx(published_ms, rel=1e-9), layer
    assert shorter == SHORTER[name]
    total_mj, published_mj = sum(e for _, _, e in ours), sum(e for _, e in published)
    print(f"{name}: {len(ours)} delays, {len(shorter)} shorter; energy published {published_mj:.3f} mJ over ours "
          f"{total_mj:.3f} mJ = {published_mj / total_mj:.3f}")  # fmt: skip
