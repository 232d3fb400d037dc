"""Linear layers and convolutions that take over a scale and a shift of their outputs or of their inputs.

A BatchNorm in evaluation, the affine part of a LayerNorm and layer scale are all `scale * x + shift`, a number each for
every channel. What a projection (a linear layer or a convolution) gives and takes is linear in its weights, so that it
can do this as well, in exact arithmetic.
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
    """A linear layer or a convolution that runs once in a forward pass, by weights that nothing else uses."""

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
        """The dimension of channels, in what it takes and in what it gives."""
        return len(self.output.shape) - 1 if self.call.name == "linear" else 1

    @property
    def is_padded(self) -> bool:
        """Whether it sees zeros beside what it takes, which no scale and shift reaches."""
        if isinstance(self.layer, nn.Linear):
            return False
        padding: Any = self.call.argument(4, "padding", 0)
        if padding == "same":
            return any(side > 1 for side in self.layer.kernel_size)
        return padding != "valid" and any(padding if isinstance(padding, tuple | list) else [padding])

    def absorb_after(self, scale: Tensor, shift: Tensor | None = None) -> None:
        """Give `scale * y + shift` where it gave y. Both are `(out channels,)`."""
        weight, bias = self.layer.weight, self.layer.bias
        weight.mul_(scale.reshape(-1, *[1] * (weight.ndim - 1)))
        if bias is not None:
            bias.mul_(scale)
        if shift is not None:
            self._add_to_bias(shift)

    def absorb_before(self, scale: Tensor, shift: Tensor | None = None) -> None:
        """Give for x what it gave for `scale * x + shift`. Both are `(in channels,)`."""
        weight = self.layer.weight
        groups = 1 if isinstance(self.layer, nn.Linear) else self.layer.groups
        grouped = weight.reshape(groups, len(weight) // groups, weight.shape[1], -1)  # o c ... -> groups o c k

        def by_input(numbers: Tensor) -> Tensor:
            return numbers.reshape(groups, 1, -1, 1)

        if shift is not None:
            self._add_to_bias((grouped * by_input(shift)).sum((2, 3)).flatten())
        weight.copy_((grouped * by_input(scale)).reshape(weight.shape))

    def _add_to_bias(self, shift: Tensor) -> None:
        if self.layer.bias is None:
            self.layer.bias = nn.Parameter(shift.clone(), requires_grad=False)
        else:
            self.layer.bias.add_(shift)


def projection_of(call: Call, found: Trace) -> Projection | None:
    """The projection that a call is, if it may be changed.

    Its layer must be one of torch's (or a class made from one) that runs once with its own weight and bias; a weight
    that something else uses too, or that is computed anew each time, must stay. Nor may anybody's hook see it.
    """
    if call.name not in _FUNCTIONS:
        return None
    weight, bias = call.argument(1, "weight"), call.argument(2, "bias")
    layer, _ = found.owner(weight) or (None, "")
    if not isinstance(layer, Layer) or has_forward_hooks(layer):
        return None
    given = [value for value in (weight, bias) if value is not None]
    own = [tensor for tensor in (layer.weight, layer.bias) if tensor is not None]
    if len(given) != len(own) or any(value.parameter is not tensor for value, tensor in zip(given, own, strict=True)):
        return None
    return Projection(layer, call) if all(map(used_once, given)) else None


def used_once(value: Value) -> bool:
    """Whether one call alone takes it."""
    return len(value.uses) == 1
