"""Numbers of the dimensions and tensors, by which the kernel's arrays are indexed."""

from __future__ import annotations

import numpy as np

__all__ = ["HOW_MANY", "INPUTS", "OUTPUTS", "PREFIX", "RELEVANT", "WEIGHTS", "C", "M", "N", "P", "Q", "R", "S"]

N, M, C, P, Q, R, S = range(7)
PREFIX = (N, C, P, Q, R, S)
WEIGHTS, INPUTS, OUTPUTS = range(3)
RELEVANT = np.array([[M, C, R, S, N, P, Q], [N, C, P, Q, R, S, M], [N, M, P, Q, C, R, S]])
HOW_MANY = np.array([4, 6, 4])
"""The dimensions that matter to a tensor and how many those are; behind them the others."""
