"""Rewrite a network so that its convolutions and linear layers are oneDNN's for 8-bit integers.

Each becomes two calls: its input is divided into steps, and a kernel sums products of integers and scales the sums.
Where the only thing that follows is the input of another such layer, perhaps through a ReLU, the first kernel returns
that layer's steps itself, and no floating-point map is written between them:

    conv -> relu -> conv      becomes      steps -> conv (to steps) -> conv
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn

from modernet.deploy.running.int8 import LEVELS, Range, weight_scales
from modernet.torch_internals import int8_kernels, traced_for_any_batch

_CONV, _LINEAR = torch.ops.aten.conv2d.default, torch.ops.aten.linear.default
_DEFAULTS: dict[Any, tuple[Any, ...]] = {  # of the arguments after input and weight
    _CONV: (None, [1, 1], [0, 0], [1, 1], 1),
    _LINEAR: (None,),
}
_RELU, _HARDTANH = torch.ops.aten.relu.default, torch.ops.aten.hardtanh.default
_PAD = torch.ops.aten.pad.default
_WITH_ZEROS = ((), ("constant",), ("constant", None), ("constant", 0.0))  # its arguments after the widths
_SCALES, _BIAS, _OUTPUT = 4, 6, slice(-6, -3)  # of a kernel's arguments; the output's are scale, integer of 0, dtype


def to_steps(x: Tensor, scale: Tensor | float, zero: int) -> Tensor:
    """Return the 8-bit integers of an activation."""
    return (x / scale + zero).round().clamp(0, LEVELS).to(torch.uint8)


def int8_network(
    network: nn.Module, images: Tensor, ranges: Mapping[str, Range], largest: int
) -> tuple[fx.GraphModule, float]:
    """Return a network for any batch size whose named layers compute with 8-bit integers, and the share of its weights.

    Args:
        network: in evaluation mode, in float32, on a CPU; left unchanged.
        images: `(b, c, h, w)`, an example of 2 images or more.
        ranges: of the inputs of the layers to change; those that are no `nn.Conv2d` or `nn.Linear` stay as they are.
        largest: the largest integer of a weight: 127, or 63 where sums of two products must fit 16 bits.

    Raises:
        Exception: whatever `torch.export` raises for a network that it cannot trace.
    """
    program = traced_for_any_batch(network, images)
    writer = _Writer(program, largest)
    for node in list(program.graph.nodes):
        name = _layer(node)
        if name is not None and name in ranges:
            writer.replace(node, ranges[name])
    for node in list(program.graph.nodes):
        if node.target is to_steps:
            writer.pad_after(node)
            writer.join(node)
    program.graph.eliminate_dead_code()
    program.recompile()
    return program, writer.weights / max(1, sum(p.numel() for p in network.parameters()))


def _layer(node: fx.Node) -> str | None:
    """Return the name of the layer that a node runs; None if it runs none. A network that is a layer is called ""."""
    if node.target not in (_CONV, _LINEAR) or not isinstance(node.args[1], fx.Node) or node.args[1].op != "get_attr":
        return None
    return str(node.args[1].target).rpartition(".")[0]


def _value(program: fx.GraphModule, argument: Any) -> Any:
    """Return a constant of a program; other arguments as they are."""
    return operator.attrgetter(str(argument.target))(program) if isinstance(argument, fx.Node) else argument


class _Writer:
    """Changes the graph of a program.

    Attributes:
        weights: how many numbers the weights of the layers have that were replaced.
    """

    def __init__(self, program: fx.GraphModule, largest: int) -> None:
        self.weights = 0
        self._program, self._graph, self._largest = program, program.graph, largest
        self._ops = int8_kernels()
        self._divided: dict[tuple[fx.Node, float, int], fx.Node] = {}
        self._constants = 0

    def replace(self, node: fx.Node, seen: Range) -> None:
        """Let a layer compute with 8-bit integers and return floating point."""
        x, weight = node.args[0], _value(self._program, node.args[1])
        bias, *geometry = node.args[2:] + _DEFAULTS[node.target][len(node.args) - 2 :]
        scale, zero = seen.scale_and_zero()
        scales = weight_scales(weight, self._largest)
        integers = (weight / scales.view(-1, *[1] * (weight.ndim - 1))).round().to(torch.int8)
        self.weights += weight.numel()
        with self._graph.inserting_before(node):
            if scale.ndim:  # each channel has its own step, which its weights take into theirs
                steps = self._graph.call_function(to_steps, (x, self._constant(scale.view(-1, 1, 1)), zero))
                scales, step = scales * scale.repeat_interleave(len(scales) // len(scale)), 1.0
            else:
                step = float(scale)
                steps = self._steps(x, step, zero)
            w, s = self._constant(integers), self._constant(scales)
            if node.target is _CONV:
                kernel = self._ops.conv
                packed = self._graph.call_function(self._ops.pack_conv, (w, s, step, zero, *geometry, None))
            else:
                kernel = self._ops.linear
                packed = self._graph.call_function(self._ops.pack_linear, (w, None))
            zeros = self._constant(torch.zeros(len(scales), dtype=torch.int64))
            output = 1.0, 0, torch.float32
            args = (steps, step, zero, packed, s, zeros, bias, *geometry, *output, "none", [], "")
            node.replace_all_uses_with(self._graph.call_function(kernel, args))
        self._graph.erase_node(node)

    def pad_after(self, steps: fx.Node) -> None:
        """Let a map that is padded with zeros be padded after its division into steps instead."""
        arguments: Any = steps.args
        padded, scale, zero = arguments
        if padded.target is not _PAD or len(padded.users) > 1 or padded.args[2:] not in _WITH_ZEROS:
            return
        with self._graph.inserting_after(steps):
            pad = self._graph.call_function(_PAD, (steps, padded.args[1], "constant", zero))
        steps.replace_all_uses_with(pad, delete_user_cb=lambda user: user is not pad)
        steps.args = padded.args[0], scale, zero
        self._graph.erase_node(padded)

    def join(self, steps: fx.Node) -> None:
        """Let the kernel before a division into steps return these steps, if nothing else sees what it returns."""
        inputs: Any = steps.args
        x, scale, zero = inputs
        source = x.args[0] if self._is_cut(x, scale, zero) else x
        if source.target not in (self._ops.conv, self._ops.linear) or len(source.users) > 1 or len(x.users) > 1:
            return
        arguments = list(source.args)
        by_channel = isinstance(scale, fx.Node)
        if arguments[_OUTPUT][2] is not torch.float32 or (by_channel and source.target is not self._ops.conv):
            return
        arguments[_OUTPUT] = scale, zero, torch.uint8
        if by_channel:  # one for each channel, which the weights before take into their scales
            arguments[_OUTPUT] = 1.0, zero, torch.uint8
            divisor = _value(self._program, scale).flatten()
            with self._graph.inserting_before(source):
                for index in (_SCALES, _BIAS):
                    if arguments[index] is not None:
                        arguments[index] = self._constant(_value(self._program, arguments[index]) / divisor)
        source.args = tuple(arguments)
        steps.replace_all_uses_with(source)
        self._graph.erase_node(steps)
        if x is not source:
            self._graph.erase_node(x)

    def _is_cut(self, x: Any, scale: Any, zero: int) -> bool:
        """Return whether a node is a ReLU, perhaps with a bound, whose cuts are those of the steps: 0 and 255."""
        if zero != 0:
            return False
        if x.target is _HARDTANH:
            low, high = (*x.args, -1.0, 1.0)[1:3]
            largest = float(torch.as_tensor(_value(self._program, scale)).max()) * LEVELS
            return bool(low == 0 and largest <= high * 1.0001)
        return x.target is _RELU

    def _steps(self, x: Any, scale: float, zero: int) -> fx.Node:
        """Return the steps of a node, which layers of one input and one range share."""
        key = x, scale, zero
        if key not in self._divided:
            self._divided[key] = self._graph.call_function(to_steps, key)
        return self._divided[key]

    def _constant(self, value: Tensor) -> fx.Node:
        name = f"_int8_{self._constants}"
        self._constants += 1
        self._program.register_buffer(name, value)
        return self._graph.get_attr(name)
