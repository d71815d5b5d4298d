"""How much memory the activations of a sub-network need: the largest sum of live tensors while it runs."""

from __future__ import annotations

from search_spaces.networks._kinds import operator_kind
from search_spaces.types import INPUT, Cut, Layer, Network

__all__ = ["buffers", "peak_activation_elements"]


def buffers(network: Network) -> dict[int, frozenset[int]]:
    """For every layer, and INPUT, the layers whose buffers hold its result.

    A costed layer writes a buffer of its own. A free one uses its input's: views share it, fused activations
    and norms overwrite it, a free concatenation is made of its operands' buffers, which lie side by side. The exception
    is a fused operator whose input is read by others too: both versions are kept.
    """
    readers: dict[int, int] = {}
    for layer in network.layers:
        for i in layer.inputs:
            readers[i] = readers.get(i, 0) + 1
    held: dict[int, frozenset[int]] = {INPUT: frozenset({INPUT})}
    for i, layer in enumerate(network.layers):
        if layer.cost != "free" or (_overwrites(layer) and any(readers[j] > 1 for j in layer.inputs)):
            held[i] = frozenset({i})
        else:
            held[i] = frozenset[int]().union(*(held[j] for j in layer.inputs))
    return held


def peak_activation_elements(network: Network, cut: Cut) -> int:
    """The largest number of activation elements alive at once while the layers of a cut run in order.

    While an operator runs, its inputs and its output are alive; tensors that cross the cut stay alive to the end. With
    no layer before the cut it is the input, which still has to be held to be sent.
    """
    held = buffers(network)
    order = sorted(cut.layers)
    last_use: dict[int, int] = {}
    for step, i in enumerate(order):
        for j in (i, *network.layers[i].inputs):
            for buffer in held[j]:
                last_use[buffer] = step
    crossing = _crossing(network, cut)
    for j in crossing:
        for buffer in held[j]:
            last_use[buffer] = len(order)
    ends: dict[int, list[int]] = {}
    for buffer, step in last_use.items():
        ends.setdefault(step, []).append(buffer)
    alive = network.input.elements if INPUT in last_use else 0
    peak = alive
    for step, i in enumerate(order):
        if i in held[i]:
            alive += network.layers[i].output_elements
        peak = max(peak, alive)
        alive -= sum(_elements(network, buffer) for buffer in ends.get(step, ()))
    return peak


def _overwrites(layer: Layer) -> bool:
    """Whether a free operator makes new values (a fused activation or norm) instead of sharing its input's."""
    return operator_kind(layer.operator)[1] in ("activation", "batch_norm")


def _crossing(network: Network, cut: Cut) -> set[int]:
    """Results that are needed after the cut: read by a layer outside it, or by nobody (the network's output)."""
    read = {j for layer in network.layers for j in layer.inputs}
    outside = {j for i, layer in enumerate(network.layers) if i not in cut.layers for j in layer.inputs}
    inside = {*cut.layers, INPUT}
    unread = {i for i in cut.layers if i not in read}
    return (outside & inside) | unread


def _elements(network: Network, buffer: int) -> int:
    return network.input.elements if buffer == INPUT else network.layers[buffer].output_elements
