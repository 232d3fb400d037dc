"""A record of one forward pass: which torch function of which module produced and used each tensor."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from modernet.torch_internals import in_place_version, tensors_in, tree_leaves, tree_map


@dataclass(eq=False, repr=False)
class Value:
    """One version of a tensor; an in-place change creates a new value.

    Attributes:
        shape, stride: of the tensor.
        parameter: the tensor itself, if it is a parameter or buffer of the network.
        producer: the call that produced it; None for parameters, the input, and tensors created outside the trace.
        uses: the calls that take it as input, in order.
        returned: whether the network returns it.
    """

    shape: torch.Size
    stride: tuple[int, ...]
    parameter: Tensor | None = None
    producer: Call | None = None
    uses: list[Call] = field(default_factory=list)
    returned: bool = False


@dataclass(eq=False, repr=False)
class Call:
    """One call of a torch function, with tensor arguments replaced by values."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: list[Value] = field(default_factory=list)
    visit: Visit | None = None
    """The innermost module forward pass that contains the call."""

    @property
    def name(self) -> str:
        """Name of the function, such as `"conv2d"`, for any of its variants."""
        return self.function.__name__

    @property
    def inputs(self) -> list[Value]:
        """Input values, repeated if passed several times."""
        return [leaf for leaf in tree_leaves((self.args, self.kwargs)) if isinstance(leaf, Value)]

    def argument(self, position: int, name: str, default: Any = None) -> Any:
        """Return an argument that was passed by position or by name."""
        return self.args[position] if position < len(self.args) else self.kwargs.get(name, default)

    def moves(self, value: Value) -> bool:
        """Return whether `value` is the only input and the function may do no more than move its elements."""
        return self.name in _MOVES and self.inputs == [value]

    def replay(self, tensors: dict[Value, Tensor]) -> list[Tensor]:
        """Call the function again with other tensors in place of some input values, and return its outputs."""

        def substitute(leaf: Any) -> Any:
            return tensors.get(leaf, leaf.parameter) if isinstance(leaf, Value) else leaf

        out = self.function(*tree_map(substitute, self.args), **tree_map(substitute, self.kwargs))
        return tensors_in(out)


@dataclass(eq=False, repr=False)
class Visit:
    """One forward pass of a module: inputs, outputs, and the calls and nested passes in between, in order."""

    module: nn.Module
    inputs: list[Value]
    outputs: list[Value] = field(default_factory=list)
    steps: list[Call | Visit] = field(default_factory=list)


@dataclass(frozen=True)
class Trace:
    """The record of one forward pass.

    Attributes:
        network: the traced network.
        calls: every call that returned a tensor or may have read one, in order.
        visits: the forward passes of each module.
        owners: module and attribute of each parameter and buffer, by the tensor's id; shared tensors are left out.
    """

    network: nn.Module
    calls: list[Call]
    visits: dict[nn.Module, list[Visit]]
    owners: dict[int, tuple[nn.Module, str]]

    def owner(self, value: Value | None) -> tuple[nn.Module, str] | None:
        """Return the module and attribute that hold a value, if it is an unshared parameter or buffer."""
        return None if value is None or value.parameter is None else self.owners.get(id(value.parameter))


def trace(network: nn.Module, image: Tensor) -> Trace:
    """Run a network in evaluation mode once and record the pass.

    Args:
        image: `(b, c, h, w)`, the input of the network; a batch of two is enough.
    """
    recorder = _Recorder(network, image)
    pre_hook = register_module_forward_pre_hook(recorder.enter)
    hook = register_module_forward_hook(recorder.leave)
    try:
        with torch.no_grad(), recorder:
            out = network(image)
    finally:
        pre_hook.remove()
        hook.remove()
    for value in recorder.values(out):
        value.returned = True
    return Trace(network, recorder.calls, dict(recorder.visits), recorder.owners)


# Functions whose output elements may each depend on a single channel, by moving elements or by averaging with weights
# that sum to one, so that `scale * x + shift` commutes with them. Whether a particular call qualifies (a permutation
# that mixes channels does not, nor an average over padding) is decided in `follow`, by running it on channel numbers.
# fmt: off
_MOVES = frozenset((
    "permute", "transpose", "movedim", "reshape", "view", "flatten", "unflatten", "squeeze", "unsqueeze", "contiguous",
    "clone", "roll", "__getitem__", "split", "split_with_sizes", "chunk", "tensor_split", "unbind", "expand",
    "mean", "avg_pool2d", "adaptive_avg_pool2d", "dropout",
))
# fmt: on

# accesses to a tensor that do not read its elements
_METADATA = frozenset(("__get__", "size", "stride", "dim", "numel", "__len__", "is_contiguous", "is_floating_point"))


class _Recorder(TorchFunctionMode):
    def __init__(self, network: nn.Module, image: Tensor) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.visits: dict[nn.Module, list[Visit]] = defaultdict(list)
        self._open: list[Visit] = []  # the running modules, outermost first
        self._values = WeakTensorKeyDictionary()  # tensor -> its value, and its version at that time
        self.owners: dict[int, tuple[nn.Module, str]] = {}
        uses: Counter[int] = Counter()
        for module in network.modules():
            for name, tensor in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
                uses[id(tensor)] += 1
                self.owners[id(tensor)] = (module, name)
                self._record(tensor, Value(tensor.shape, tensor.stride(), parameter=tensor))
        self.owners = {key: owner for key, owner in self.owners.items() if uses[key] == 1}
        self._record(image, Value(image.shape, image.stride()))

    def values(self, tree: Any) -> list[Value]:
        """Return the values of all tensors in nested containers."""
        return [self._value(leaf) for leaf in tensors_in(tree)]

    def enter(self, module: nn.Module, inputs: Any) -> None:
        visit = Visit(module, self.values(inputs))
        if self._open:
            self._open[-1].steps.append(visit)
        self.visits[module].append(visit)
        self._open.append(visit)

    def leave(self, module: nn.Module, inputs: Any, output: Any) -> None:
        self._open.pop().outputs = self.values(output)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}

        def to_value(leaf: Any) -> Any:
            return self._value(leaf) if isinstance(leaf, Tensor) else leaf

        call = Call(func, tree_map(to_value, tuple(args)), tree_map(to_value, kwargs))
        out = func(*args, **kwargs)
        outputs = tensors_in(out)
        if not outputs and (func.__name__ in _METADATA or not call.inputs):
            return out
        for value in call.inputs:
            value.uses.append(call)
        for tensor in outputs:
            value = Value(tensor.shape, tensor.stride(), producer=call)
            self._record(tensor, value)
            call.outputs.append(value)
        self.calls.append(call)
        if self._open:
            call.visit = self._open[-1]
            call.visit.steps.append(call)
        return out

    def _record(self, tensor: Tensor, value: Value) -> None:
        self._values[tensor] = (value, in_place_version(tensor))

    def _value(self, tensor: Tensor) -> Value:
        value, version = self._values.get(tensor, (None, -1))  # type: ignore[no-untyped-call]
        if value is None or version != in_place_version(
            tensor
        ):  # new to us, or changed in place through one of its views
            value = Value(tensor.shape, tensor.stride())
            self._record(tensor, value)
        return value  # type: ignore[no-any-return]


# --- where channels go --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Arrival:
    """A call that uses the channels of a followed value.

    Attributes:
        call: the call.
        value: its input that the followed value was moved to.
        channels: float64 tensor of the shape of `value`: for each element the channel it comes from, counted from 1, as
            zero marks padding. A fraction means that channels were mixed.
    """

    call: Call
    value: Value
    channels: Tensor

    def numbers(self) -> Tensor | None:
        """Return the channel of each element, counted from 0; None if some elements have several channels or none."""
        nearest = self.channels.round()
        valid = bool((self.channels - nearest).abs().max() < 1e-6) and bool(nearest.min() >= 1)
        return nearest.long() - 1 if valid else None

    def along(self, dim: int) -> Tensor | None:
        """Return the channel at each index of dimension `dim`; None if it differs between positions."""
        numbers = self.numbers()
        if numbers is None:
            return None
        rows = numbers.movedim(dim, 0).flatten(1)
        return rows[:, 0] if bool((rows == rows[:, :1]).all()) else None


def follow(value: Value, dim: int) -> list[Arrival] | None:
    """Return the calls that use the channels of a value, looking through calls that only move elements.

    Each call in between is replayed on a tensor in which every element holds its channel number, so no rule per
    function is needed. Take the output of a convolution with 4 channels on a 2 x 2 map, followed along dimension 1:

        y = conv(x)                     b 4 2 2     channels 1, 2, 3, 4 along dimension 1
        z = y.flatten(2).transpose(1, 2)  b 4 4       both only move: channels 1, 2, 3, 4 along dimension 2
        linear(z)                                   an arrival: `along(2)` is [0, 1, 2, 3]
        y.flatten(1) -> linear                      an arrival: `along(1)` is [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, ...]
        y.mean(1) -> linear                         an arrival: every element is 2.5, so `along` is None

    Args:
        value: the value to follow.
        dim: its channel dimension.

    Returns:
        An arrival per call; None if the channels are part of the network's output.
    """
    shape = [1] * len(value.shape)
    shape[dim] = -1
    numbers = torch.empty_strided(value.shape, value.stride, dtype=torch.float64)
    numbers.copy_(torch.arange(1, value.shape[dim] + 1).reshape(shape))
    arrivals, pending = [], [(value, numbers)]
    while pending:
        current, channels = pending.pop()
        if current.returned:
            return None
        for call in current.uses:
            if call.moves(current):
                pending += zip(call.outputs, call.replay({current: channels}), strict=True)
            else:
                arrivals.append(Arrival(call, current, channels))
    return arrivals
