"""The contract of every kernel: its error against float64 is at most twice that of plain PyTorch in the same dtype."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

Operation = Callable[..., Tensor]
SUMS = 8 * torch.finfo(torch.float32).eps  # summation order in float32; smaller errors are noise


@contextmanager
def poisoned() -> Iterator[None]:
    """Fill new memory with NaN, so that elements that a kernel does not write are detected."""
    before = torch.are_deterministic_algorithms_enabled(), torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*deterministic")  # PyTorch's own products on a GPU warn
            yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.utils.deterministic.fill_uninitialized_memory = before[1]


def assert_as_accurate_as_pytorch(kernel: Operation, reference: Operation, inputs: dict[str, Tensor | None]) -> None:
    """Compare output and every gradient of two forms of an operation with the reference in float64.

    Args:
        kernel: the operation under test, called with the inputs by name.
        reference: the same in plain PyTorch.
        inputs: floating-point tensors, all differentiated, or None.
    """
    plain = _run(reference, inputs)
    with poisoned():
        ours = _run(kernel, inputs)
    dtype = plain["output"].dtype
    truth = _run(reference, {name: None if x is None else x.double() for name, x in inputs.items()}, dtype)
    assert ours.keys() == truth.keys()
    for name, exact in truth.items():
        assert ours[name].dtype == plain[name].dtype, f"{name} is {ours[name].dtype}, not {plain[name].dtype}"
        assert ours[name].shape == exact.shape, f"{name} has shape {tuple(ours[name].shape)}"
        error, allowed = _error(ours[name], exact), 2 * _error(plain[name], exact)
        floor = max(torch.finfo(ours[name].dtype).eps / 2, SUMS)  # the first is the worst rounding error of the result
        assert error <= max(allowed, floor), f"{name}: error {error:.2e}, allowed {max(allowed, floor):.2e}"


def _run(
    operation: Operation, inputs: dict[str, Tensor | None], rounded_to: torch.dtype | None = None
) -> dict[str, Tensor]:
    """Return the output, and the gradients of a weighted sum of it, with weights exact in the given dtype."""
    leaves = {name: None if x is None else x.detach().clone().requires_grad_() for name, x in inputs.items()}
    y = operation(**leaves)
    weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(7)).to(y.device)
    y.backward(weights.to(rounded_to or y.dtype).to(y.dtype))
    gradients = {f"gradient of {name}": x.grad for name, x in leaves.items() if x is not None}
    missing = [name for name, gradient in gradients.items() if gradient is None]
    assert not missing, f"no {', no '.join(missing)}"
    return {"output": y.detach(), **{name: g for name, g in gradients.items() if g is not None}}


def _error(x: Tensor, exact: Tensor) -> float:
    """Return the error relative to the norm of the exact result."""
    return float((x.double() - exact).norm() / exact.norm().clamp_min(1e-30))
