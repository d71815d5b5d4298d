"""What kind of operator a name stands for; no torch, so that cached networks can be read without it."""

from __future__ import annotations

__all__ = ["operator_kind"]

_BY_KIND = {
    "conv": "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d",
    "linear": "linear",
    "matmul": "matmul bmm",
    "attention": "multihead_attention scaled_dot_product_attention",
    "activation": "relu relu6 leaky_relu prelu elu selu celu gelu silu mish hardswish hardsigmoid hardtanh sigmoid "
    "tanh softplus log_sigmoid clamp clip",
    "batch_norm": "batch_norm2d batch_norm1d batch_norm",
    "pool": "max_pool2d avg_pool2d adaptive_avg_pool2d adaptive_max_pool2d max_pool1d avg_pool1d "
    "adaptive_avg_pool1d adaptive_max_pool1d mean",
    "add": "add iadd radd",
    "elementwise": "sub isub rsub mul imul rmul div truediv itruediv pow sqrt exp neg where maximum minimum",
    "norm": "layer_norm group_norm local_response_norm instance_norm2d softmax log_softmax normalize",
    "cat": "cat concat concatenate",
    "interpolate": "interpolate upsample upsampling_nearest2d upsampling_bilinear2d "
    "upsample_nearest2d upsample_bilinear2d upsample_bicubic2d",
    "view": "flatten reshape view view_as unflatten squeeze unsqueeze getitem chunk split tensor_split unbind narrow "
    "select permute transpose swapaxes movedim t expand contiguous",
    "copy": "pad roll clone stack repeat zero_pad2d constant_pad2d channel_shuffle pixel_shuffle",
    "identity": "dropout dropout1d dropout2d alpha_dropout feature_dropout stochastic_depth identity detach "
    "quantize dequantize",
    "composite": "einsum shifted_window_attention _patch_merging_pad",
}


def _squash(name: str) -> str:
    return name.replace("_", "").lower()


_KINDS = {_squash(name): (name.strip("_"), kind) for kind, names in _BY_KIND.items() for name in names.split()}


def operator_kind(name: str) -> tuple[str, str]:
    """(name in `Layer.operator`, kind) of a torch module's class, function or method; kind "unknown" if it is.

    >>> operator_kind("AdaptiveAvgPool2d"), operator_kind("relu_"), operator_kind("nms")
    (('adaptive_avg_pool2d', 'pool'), ('relu', 'activation'), ('nms', 'unknown'))
    """
    return _KINDS.get(_squash(name), (name, "unknown"))
