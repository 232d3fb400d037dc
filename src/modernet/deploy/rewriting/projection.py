"""Linear layers and convolutions that absorb a per-channel scale and shift of their input or output.

A BatchNorm in evaluation, the affine part of a LayerNorm, and layer scale all compute `scale * x + shift` per channel.
A projection (a linear layer or convolution) is linear, so it can absorb them exactly, up to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from modernet.deploy.rewriting.trace import Call, Trace, Value
from modernet.torch_internals import has_forward_hooks

Layer = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d

_FUNCTIONS = frozenset(("linear", "conv1d", "conv2d", "conv3d"))


@dataclass(frozen=True)
class Projection:
    """A linear layer or convolution that runs once per forward pass and does not share its weights."""

    layer: Layer
    call: Call

    @property
    def output(self) -> Value:
        return self.call.outputs[0]

    @property
    def out_channels(self) -> int:
        return self.layer.weight.shape[0]

    @property
    def channel_dim(self) -> int:
        """The channel dimension of input and output."""
        return len(self.output.shape) - 1 if self.call.name == "linear" else 1

    @property
    def is_padded(self) -> bool:
        """Whether the input is padded; a shift before the padding would not reach it."""
        if isinstance(self.layer, nn.Linear):
            return False
        padding: Any = self.call.argument(4, "padding", 0)
        if padding == "same":
            return any(side > 1 for side in self.layer.kernel_size)
        return padding != "valid" and any(padding if isinstance(padding, tuple | list) else [padding])

    def absorb_after(self, scale: Tensor, shift: Tensor | None = None) -> None:
        """Change the layer so that it returns `scale * y + shift` instead of y. Both are `(out_channels,)`."""
        weight, bias = self.layer.weight, self.layer.bias
        weight.mul_(scale.reshape(-1, *[1] * (weight.ndim - 1)))
        if bias is not None:
            bias.mul_(scale)
        if shift is not None:
            self._add_to_bias(shift)

    def absorb_before(self, scale: Tensor, shift: Tensor | None = None) -> None:
        """Change the layer so that it returns for x what it did for `scale * x + shift`. Both are `(in_channels,)`."""
        weight = self.layer.weight
        groups = 1 if isinstance(self.layer, nn.Linear) else self.layer.groups
        grouped = weight.reshape(groups, len(weight) // groups, weight.shape[1], -1)  # o c ... -> groups o c k

        def per_input(values: Tensor) -> Tensor:
            return values.reshape(groups, 1, -1, 1)

        if shift is not None:
            self._add_to_bias((grouped * per_input(shift)).sum((2, 3)).flatten())
        weight.copy_((grouped * per_input(scale)).reshape(weight.shape))

    def _add_to_bias(self, shift: Tensor) -> None:
        if self.layer.bias is None:
            self.layer.bias = nn.Parameter(shift.clone(), requires_grad=False)
        else:
            self.layer.bias.add_(shift)


def projection_of(call: Call, record: Trace) -> Projection | None:
    """Return the projection that a call runs, or None if there is none that may be changed.

    The layer must be one of torch's, or a subclass, that runs once with its own weight and bias and has no forward
    hooks. Weights that are shared or computed in the forward pass cannot be changed.
    """
    if call.name not in _FUNCTIONS:
        return None
    weight, bias = call.argument(1, "weight"), call.argument(2, "bias")
    layer, _ = record.owner(weight) or (None, "")
    if not isinstance(layer, Layer) or has_forward_hooks(layer):
        return None
    values = [value for value in (weight, bias) if value is not None]
    tensors = [tensor for tensor in (layer.weight, layer.bias) if tensor is not None]
    if [id(value.parameter) for value in values] != [id(tensor) for tensor in tensors]:
        return None
    return Projection(layer, call) if all(map(used_once, values)) else None


def used_once(value: Value) -> bool:
    """Return whether exactly one call uses a value."""
    return len(value.uses) == 1
