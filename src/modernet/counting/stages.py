"""A backbone stage by stage: shapes, parameters, multiply-accumulates, receptive fields; on the meta device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.weak import WeakTensorKeyDictionary

from modernet.catalogue import StageRow
from modernet.counting.macs import meta_images, on_meta
from modernet.errors import InputError
from modernet.models import Backbone
from modernet.preparation import ImageSize
from modernet.torch_internals import tensors_in


def describe_stages(backbone: Backbone, image_size: ImageSize, in_chans: int = 3) -> list[StageRow]:
    """Return a row for each feature map of `feature_info`, in order, and one for the head.

    Args:
        backbone: is not changed.
        image_size: side of the image in pixels, or `(h, w)`.
        in_chans: channels of the image.

    Raises:
        InputError: the image is smaller than one position of the last feature map.
    """
    stride = max(backbone.feature_info.reduction())
    image = meta_images(image_size, in_chans)
    if min(image.shape[2:]) < stride:
        raise InputError(
            f"image_size is {image_size}; a position of the last feature map is {stride} pixels: give more"
        )
    network: Backbone = on_meta(backbone)
    trace = _Trace(image)

    def row(name: str, compute: Callable[[], Any], output: Callable[[Any], Tensor]) -> tuple[StageRow, Any]:
        params_before = sum(trace.params.values())
        with torch.no_grad(), FlopCounterMode(display=False) as flops, trace:
            state = compute()
            y = output(state)
        params, macs = sum(trace.params.values()) - params_before, flops.get_total_flops() // 2
        return StageRow(name, tuple(y.shape[1:]), params, macs, trace.receptive_field(y)), state

    rows, state = [], image
    for index, feature in enumerate(network.feature_info):
        stage, state = row(feature.module, partial(network.forward_stage, index, state), network.feature_map)
        rows.append(stage)
    head, _ = row("head", lambda: network.forward_head(network.last_features(state)), lambda scores: scores)
    params = sum(p.numel() for p in network.parameters()) - sum(stage.params for stage in rows)
    return [*rows, replace(head, params=params)]


@dataclass(frozen=True)
class _Span:
    """Along one axis: the first position depends on pixels `low` to `high`, the next one on those `jump` further."""

    low: int
    high: int
    jump: int

    def slide(self, kernel_size: int, stride: int, before: int, dilation: int) -> _Span:
        """Return the span after a sliding window, with `before` positions of padding before the first."""
        low = self.low - before * self.jump
        high = self.high + ((kernel_size - 1) * dilation - before) * self.jump
        return _Span(low, high, self.jump * stride)

    def join(self, other: _Span) -> _Span:
        """Return the span of the sum of a position of each."""
        return _Span(min(self.low, other.low), max(self.high, other.high), self.jump)


@dataclass(frozen=True)
class _Field:
    """The receptive field of the positions of a tensor."""

    dims: tuple[int, int]
    """The tensor's dimensions of height and width."""
    spans: tuple[_Span, _Span]
    """Along height and width."""

    def slide(self, kernel_size: Any, stride: Any, padding: Any, dilation: Any) -> _Field:
        """Return the field after a sliding window of `(height, width)`, or of one number for both."""
        numbers = zip(*(_pair(number) for number in (kernel_size, stride, padding, dilation)), strict=True)
        vertical, horizontal = (span.slide(*n) for span, n in zip(self.spans, numbers, strict=True))
        return replace(self, spans=(vertical, horizontal))

    def join(self, other: _Field) -> _Field | None:
        """Return the field of the sum of a position of each; None if their positions do not match."""
        if self.dims != other.dims or [s.jump for s in self.spans] != [s.jump for s in other.spans]:
            return None
        vertical, horizontal = (a.join(b) for a, b in zip(self.spans, other.spans, strict=True))
        return replace(self, spans=(vertical, horizontal))


# names of torch functions, in any of their forms, that do not move values to other positions
# fmt: off
_POINTWISE = frozenset((
    "add", "sub", "mul", "div", "relu", "gelu", "silu", "sigmoid", "hardswish", "hardsigmoid", "batch_norm",
    "layer_norm", "linear", "dropout", "clone", "contiguous",
))
# fmt: on


class _Trace(TorchFunctionMode):
    """Traces the image through torch's functions: the receptive field of each tensor, and the parameters used.

    The output of an unknown function depends on the whole image.
    """

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self.params: dict[int, int] = {}  # id of a parameter -> its size
        self._fields = WeakTensorKeyDictionary()  # tensors that depend on the image -> _Field | None
        self._fields[image] = _Field((2, 3), (_Span(0, 0, 1), _Span(0, 0, 1)))

    def receptive_field(self, x: Tensor) -> int | None:
        """Return the side of the square of pixels that a position of `x` depends on; None for the whole image."""
        field: _Field | None = self._fields[x]
        return None if field is None else max(span.high - span.low + 1 for span in field.spans)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        tensors = tensors_in((args, kwargs))
        self.params |= {id(tensor): tensor.numel() for tensor in tensors if isinstance(tensor, nn.Parameter)}
        fields = [self._fields[tensor] for tensor in tensors if tensor in self._fields]
        out = func(*args, **kwargs)
        if fields:
            known = [field for field in fields if field is not None]
            field = _follow(func.__name__, known, args, kwargs) if len(known) == len(fields) else None
            self._fields.update(dict.fromkeys(tensors_in(out), field))
        return out


def _follow(name: str, fields: list[_Field], args: Sequence[Any], kwargs: dict[str, Any]) -> _Field | None:
    """Return the field of the output of a torch function, from those of its inputs; None for the whole image."""
    field, *others = fields
    if name in _WINDOWS:
        assert field.dims == (2, 3), "the input of a convolution or pooling is not (b, c, h, w)"
        return _WINDOWS[name](field, *args[1:], **kwargs)
    if name == "permute":
        order = args[1:] if isinstance(args[1], int) else args[1]
        height, width = (order.index(dim) for dim in field.dims)
        return replace(field, dims=(height, width))
    if name in ("linear", "layer_norm") and args[0].ndim - 1 in field.dims:
        return None  # these mix the last dimension
    if name in _POINTWISE:
        joined: _Field | None = field
        for other in others:
            joined = None if joined is None else joined.join(other)
        return joined
    return None


def _conv2d(
    x: _Field, weight: Tensor, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> _Field:
    kernel_size = weight.shape[2:]
    if padding == "same":
        padding = [dilated * (size - 1) // 2 for dilated, size in zip(_pair(dilation), kernel_size, strict=True)]
    return x.slide(kernel_size, stride, 0 if padding == "valid" else padding, dilation)


def _max_pool2d(
    x: _Field, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, **_: bool
) -> _Field:
    return x.slide(kernel_size, kernel_size if stride is None else stride, padding, dilation)


def _avg_pool2d(x: _Field, kernel_size: Any, stride: Any = None, padding: Any = 0, *_: Any, **__: Any) -> _Field:
    return x.slide(kernel_size, kernel_size if stride is None else stride, padding, 1)


def _pair(number: int | Sequence[int]) -> Sequence[int]:
    return (number, number) if isinstance(number, int) else number


_WINDOWS: dict[str, Callable[..., _Field]] = {
    "conv2d": _conv2d,
    "max_pool2d": _max_pool2d,
    "avg_pool2d": _avg_pool2d,
}
