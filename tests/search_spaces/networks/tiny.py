"""Networks of a few operators, built by hand, for which every answer can be counted on paper."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from search_spaces.networks._trace import Trace, trace


def traced(module: nn.Module, shape: tuple[int, ...]) -> Trace:
    return trace(module.eval().to("meta"), shape, type(module).__name__)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.conv(x) + x)


class Tail(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU())
        self.residual = Residual()
        self.dropout = nn.Dropout()
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.dropout(self.residual(self.body(x)).mean((2, 3))))


class Branches(nn.Module):
    """Two convolutions of one input, concatenated; `shared` reads the first branch a second time."""

    def __init__(self, dim: int = 1, shared: bool = False) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3, padding=1)
        self.relu = nn.ReLU()
        self.dim, self.shared = dim, shared

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.relu(self.a(x)), self.b(x)
        joined = torch.cat([a, b], self.dim)
        return joined + torch.cat([a, a], self.dim) if self.shared else joined


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x, x, x, need_weights=False)[0]
