"""Which torch function of which module made and took each tensor of one forward pass: the evidence for rewrites."""

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
    """A tensor between two changes: one that is changed in place is another value afterwards.

    Attributes:
        shape, stride: of the tensor.
        parameter: the tensor itself where it is a parameter or a buffer of the network.
        producer: what made it; None for parameters, the image, and tensors made where nobody looked.
        uses: what took it, in order.
        returned: whether the network gives it to its caller.
    """

    shape: torch.Size
    stride: tuple[int, ...]
    parameter: Tensor | None = None
    producer: Call | None = None
    uses: list[Call] = field(default_factory=list)
    returned: bool = False


@dataclass(eq=False, repr=False)
class Call:
    """One call of a torch function; the tensors among its arguments are values."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: list[Value] = field(default_factory=list)
    visit: Visit | None = None
    """The forward pass that it was called in, the innermost."""

    @property
    def name(self) -> str:
        """Name of the function, whichever of its forms was called: `"conv2d"`."""
        return self.function.__name__

    @property
    def inputs(self) -> list[Value]:
        """The tensors that it took, each as often as it did."""
        return [leaf for leaf in tree_leaves((self.args, self.kwargs)) if isinstance(leaf, Value)]

    def argument(self, position: int, name: str, default: Any = None) -> Any:
        """An argument by its position or, if it was given so, by its name."""
        return self.args[position] if position < len(self.args) else self.kwargs.get(name, default)

    def moves(self, value: Value) -> bool:
        """Whether it takes this one tensor and may do no more than move its channels."""
        return self.name in _MOVES and self.inputs == [value]

    def again(self, tensors: dict[Value, Tensor]) -> list[Tensor]:
        """What the function makes of other tensors in the place of some values."""

        def fill(leaf: Any) -> Any:
            return tensors.get(leaf, leaf.parameter) if isinstance(leaf, Value) else leaf

        out = self.function(*tree_map(fill, self.args), **tree_map(fill, self.kwargs))
        return tensors_in(out)


@dataclass(eq=False, repr=False)
class Visit:
    """One forward pass of a module: what it took and gave, and what happened in between, in order."""

    module: nn.Module
    inputs: list[Value]
    outputs: list[Value] = field(default_factory=list)
    steps: list[Call | Visit] = field(default_factory=list)


@dataclass(frozen=True)
class Trace:
    """What one forward pass did.

    Attributes:
        network: what ran.
        calls: every call that gave a tensor or may have read one, in order.
        visits: the forward passes of each module.
        owners: the module and attribute of each parameter and buffer, by the tensor's id; absent if there are several.
    """

    network: nn.Module
    calls: list[Call]
    visits: dict[nn.Module, list[Visit]]
    owners: dict[int, tuple[nn.Module, str]]

    def owner(self, value: Value | None) -> tuple[nn.Module, str] | None:
        """The module and the attribute that a value is a parameter or a buffer of, if it is of that module alone."""
        return None if value is None or value.parameter is None else self.owners.get(id(value.parameter))


def trace(network: nn.Module, image: Tensor) -> Trace:
    """Run a network in evaluation once and note what its tensors do.

    Args:
        image: `(b, c, h, w)`, what the network is called with; two images tell as much as many.
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


# functions that give every position numbers of one channel alone: moved, or averaged with weights that sum to one, so
# that `scale * x + shift` before is the same as after. Whether a call is one (a permutation that mixes channels is not,
# nor an average over padding) is seen by what it makes of the channels' own numbers
# fmt: off
_MOVES = frozenset((
    "permute", "transpose", "movedim", "reshape", "view", "flatten", "unflatten", "squeeze", "unsqueeze", "contiguous",
    "clone", "roll", "__getitem__", "split", "split_with_sizes", "chunk", "tensor_split", "unbind", "expand",
    "mean", "avg_pool2d", "adaptive_avg_pool2d", "dropout",
))
# fmt: on

# what can be asked of a tensor without reading its numbers
_FACTS = frozenset(("__get__", "size", "stride", "dim", "numel", "__len__", "is_contiguous", "is_floating_point"))


class _Recorder(TorchFunctionMode):
    def __init__(self, network: nn.Module, image: Tensor) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.visits: dict[nn.Module, list[Visit]] = defaultdict(list)
        self._open: list[Visit] = []  # the modules that run now, outermost first
        self._values = WeakTensorKeyDictionary()  # tensor -> its value and the version that it had then
        self.owners: dict[int, tuple[nn.Module, str]] = {}
        places: Counter[int] = Counter()
        for module in network.modules():
            for name, tensor in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
                places[id(tensor)] += 1
                self.owners[id(tensor)] = (module, name)
                self._note(tensor, Value(tensor.shape, tensor.stride(), parameter=tensor))
        self.owners = {key: owner for key, owner in self.owners.items() if places[key] == 1}
        self._note(image, Value(image.shape, image.stride()))

    def values(self, tree: Any) -> list[Value]:
        """The values of all tensors in something nested."""
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

        def noted(leaf: Any) -> Any:
            return self._value(leaf) if isinstance(leaf, Tensor) else leaf

        call = Call(func, tree_map(noted, tuple(args)), tree_map(noted, kwargs))
        out = func(*args, **kwargs)
        made = tensors_in(out)
        if not made and (func.__name__ in _FACTS or not call.inputs):
            return out
        for value in call.inputs:
            value.uses.append(call)
        for tensor in made:
            value = Value(tensor.shape, tensor.stride(), producer=call)
            self._note(tensor, value)
            call.outputs.append(value)
        self.calls.append(call)
        if self._open:
            call.visit = self._open[-1]
            call.visit.steps.append(call)
        return out

    def _note(self, tensor: Tensor, value: Value) -> None:
        self._values[tensor] = (value, in_place_version(tensor))

    def _value(self, tensor: Tensor) -> Value:
        value, version = self._values.get(tensor, (None, -1))  # type: ignore[no-untyped-call]
        if value is None or version != in_place_version(
            tensor
        ):  # new to us, or changed in place through one of its views
            value = Value(tensor.shape, tensor.stride())
            self._note(tensor, value)
        return value  # type: ignore[no-any-return]


# --- where channels go --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Arrival:
    """A call that takes what a value became, and which channel of the value each number of it is of."""

    call: Call
    value: Value
    channels: Tensor
    """Of the shape of `value`; numbers of channels, from 1 on, since zero is what padding is made of."""

    def numbers(self) -> Tensor | None:
        """The channel, from 0 on, that each number of the value is of; None if some are of several or of none."""
        nearest = self.channels.round()
        whole = bool((self.channels - nearest).abs().max() < 1e-6) and bool(nearest.min() >= 1)
        return nearest.long() - 1 if whole else None

    def along(self, dim: int) -> Tensor | None:
        """The channel at each index of dimension `dim`; None if that depends on the position."""
        numbers = self.numbers()
        if numbers is None:
            return None
        rows = numbers.movedim(dim, 0).flatten(1)
        return rows[:, 0] if bool((rows == rows[:, :1]).all()) else None


def follow(value: Value, dim: int) -> list[Arrival] | None:
    """Where the channels of a value, its dimension `dim`, are used, seen through all calls that only move them.

    None if they leave the network.
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
                pending += zip(call.outputs, call.again({current: channels}), strict=True)
            else:
                arrivals.append(Arrival(call, current, channels))
    return arrivals
