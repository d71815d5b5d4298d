"""LeNet-5 with ReLU and max pooling: 61,706 parameters, small enough to try things on in a second.

Layer sizes: LeCun et al., Gradient-based learning applied to document recognition, Proc. IEEE 86(11), 1998.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

__all__ = ["INPUT", "build"]

INPUT = (1, 1, 32, 32)


def build() -> nn.Module:
    """The network, randomly initialised."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 6, 5),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(6, 16, 5),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc1=nn.Linear(400, 120),
            relu3=nn.ReLU(),
            fc2=nn.Linear(120, 84),
            relu4=nn.ReLU(),
            fc3=nn.Linear(84, 10),
        )
    )
