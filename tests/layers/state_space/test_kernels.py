"""Kernels against dense matrices, and their parameters through optimizers and files."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from layers.state_space.dense import both, dense_dplr, powers_kernel
from modernet.errors import InputError
from modernet.layers.state_space import DIAGONAL_STARTS, DPLR_STARTS, DiagonalKernel, DplrKernel, StateSpaceKernel
from modernet.layers.state_space.dplr import corrected, dplr_kernel
from modernet.layers.state_space.kernel import exact

LENGTHS = [1, 2, 7, 64, 1000]


def dplr(start: str = "legs", length: int = 64, n: int = 16, **options: Any) -> DplrKernel:
    torch.manual_seed(0)
    given = DPLR_STARTS[start](n)
    turned = given._replace(p=given.p * torch.exp(1j * torch.arange(n // 2)))  # it starts real, but does not stay so
    return DplrKernel(3, turned, length, **options).double()


def diagonal(start: str = "legs", n: int = 16, **options: Any) -> DiagonalKernel:
    torch.manual_seed(0)
    return DiagonalKernel(3, DIAGONAL_STARTS[start](n), **options).double()


@pytest.fixture
def no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


def output(kernel: StateSpaceKernel) -> Tensor:
    """Return C as pairs."""
    return kernel._output() if isinstance(kernel, DplrKernel) else kernel.c


def assert_near(found: Tensor, expected: Tensor, tolerance: float) -> None:
    """Compare relative to the largest value."""
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= tolerance * expected.abs().max()


@pytest.mark.usefixtures("no_grad")
class TestDplrKernel:
    @pytest.mark.parametrize("length", LENGTHS)
    @pytest.mark.parametrize("start", DPLR_STARTS)
    def test_it_is_the_sequence_of_matrix_powers(self, start: str, length: int) -> None:
        kernel = dplr(start, length, 64, sides=2, dt_min=0.01)
        expected = powers_kernel(kernel, output(kernel), length)
        assert_near(kernel(length), expected, 1e-10)
        assert_near(kernel.float()(length).double(), expected, 1e-5)

    @pytest.mark.parametrize("length", [*LENGTHS, 1001])
    def test_its_transform_at_every_node_is_that_of_a_dense_inverse(self, length: int) -> None:
        """At w = exp(-2πi k / L): 2 / (1 + w) dt C̃ (z - dt A)⁻¹ B, whose limit at w = -1, where z is infinite, is
        dt / 2 C̃ B.
        """
        chance = torch.Generator().manual_seed(0)
        draw = functools.partial(torch.randn, dtype=torch.complex128, generator=chance)
        a, b, p, c = draw(3, 8), draw(3, 8), draw(3, 8), draw(2, 3, 8)
        a = torch.complex(-a.real.abs() - 0.1, 10 * a.imag)
        dt = torch.tensor([0.001, 0.05, 1.0], dtype=torch.float64)

        matrix, inputs, outputs = dense_dplr(a, p), both(b), both(c)
        w = torch.exp(-2j * math.pi * torch.arange(length // 2 + 1, dtype=torch.float64) / length)
        expected = torch.empty(2, 3, len(w), dtype=torch.complex128)
        for k, node in enumerate(w):
            if 2 * k == length:
                expected[..., k] = dt / 2 * (outputs * inputs).sum(-1)
                continue
            z = 2 * (1 - node) / (1 + node)
            resolvent = torch.linalg.inv(z * torch.eye(16, dtype=torch.float64) - dt[:, None, None] * matrix)
            expected[..., k] = 2 / (1 + node) * dt * (outputs * (resolvent @ inputs[..., None])[..., 0]).sum(-1)

        found = torch.fft.rfft(dplr_kernel(length, a, c, b, p, dt))
        assert_near(found, expected, 1e-12)
        assert_near(found[..., -1], expected[..., -1], 1e-10)  # the node where z is largest, or infinite

    def test_c_is_what_it_was_drawn_as(self) -> None:
        torch.manual_seed(3)
        kernel = DplrKernel(5, DPLR_STARTS["legs"](4), 100)
        torch.manual_seed(3)
        torch.rand(5)
        drawn = math.sqrt(0.5) * torch.randn(1, 5, 4)
        torch.testing.assert_close(kernel._output().float(), drawn, rtol=1e-4, atol=1e-4)
        assert not torch.allclose(kernel.c, drawn, rtol=0.1)

    def test_every_length_begins_every_longer_one(self) -> None:
        kernel = dplr(length=64)
        whole = kernel(150)
        assert_near(whole, powers_kernel(kernel, output(kernel), 150), 1e-10)
        for length in (1, 33, 64, 65, 128):
            assert_near(kernel(length), whole[..., :length], 1e-10)

    def test_a_rate_is_a_factor_of_dt(self) -> None:
        kernel = dplr(length=64)
        assert_near(kernel(64, 2.0), powers_kernel(kernel, output(kernel), 64, rate=2.0), 1e-10)

    def test_a_state_dict_of_another_length_gives_the_same_kernel(self) -> None:
        kernel, longer = dplr(length=64), dplr(length=200)
        for assign in (False, True):
            longer.load_state_dict(kernel.state_dict(), assign=assign)
            assert longer.length == longer.get_extra_state() == 200
            assert_near(longer(200), kernel(200), 1e-10)

    def test_without_p_it_is_the_bilinear_diagonal_one(self) -> None:
        kernel, other = dplr(length=100, sides=2), diagonal(sides=2, discretization="bilinear")
        nn.init.zeros_(kernel.p)
        kernel.c.copy_(corrected(exact(other.c), kernel._transition(), 100))
        for name in ("log_dt", "log_decay", "frequency", "b"):
            getattr(other, name).copy_(getattr(kernel, name))
        assert_near(kernel(100), other(100), 1e-12)

    def test_channels_in_parts_give_the_same(self, monkeypatch: pytest.MonkeyPatch) -> None:
        kernel = dplr()
        with torch.enable_grad():
            (expected := kernel(64)).square().sum().backward()
            gradients = {name: parameter.grad for name, parameter in kernel.named_parameters()}
            kernel.zero_grad()
            monkeypatch.setattr("modernet.layers.state_space.dplr._AT_ONCE", 1)
            (found := kernel(64)).square().sum().backward()
        torch.testing.assert_close(found, expected)
        for name, parameter in kernel.named_parameters():
            torch.testing.assert_close(parameter.grad, gradients[name], msg=name)


@pytest.mark.usefixtures("no_grad")
class TestDiagonalKernel:
    @pytest.mark.parametrize("length", LENGTHS)
    @pytest.mark.parametrize("start", DIAGONAL_STARTS)
    def test_bilinear_is_the_sequence_of_matrix_powers(self, start: str, length: int) -> None:
        kernel = diagonal(start, 64, sides=2, dt_min=0.01, discretization="bilinear")
        expected = powers_kernel(kernel, kernel.c, length)
        assert_near(kernel(length), expected, 1e-10)
        assert_near(kernel.float()(length).double(), expected, 1e-5)

    @pytest.mark.parametrize("length", LENGTHS)
    def test_zero_order_hold_is_the_vandermonde_product(self, length: int) -> None:
        kernel = diagonal("lin", 64, systems=None)
        a, dt, c = kernel.a(), kernel.dt()[:, None], torch.view_as_complex(kernel.c[0].unflatten(-1, (-1, 2)))
        weights = c * kernel.inputs() * ((dt * a).exp() - 1) / a
        powers = (dt * a)[..., None].mul(torch.arange(length)).exp()
        assert_near(kernel(length)[0], 2 * (weights[..., None] * powers).sum(1).real, 1e-10)

    def test_angles_are_right_in_single_precision(self) -> None:
        kernel = diagonal("legs", 64, dt_min=0.1).float()
        assert_near(kernel(4096).double(), kernel.double()(4096), 1e-6)


@pytest.mark.parametrize("make", [dplr, diagonal])
class TestEveryKernel:
    def test_the_recurrence_gives_the_convolution(self, make: Any) -> None:
        for kernel, tolerance in ((make(n=64), 1e-9), (make(n=64).float(), 1e-4)):
            u = torch.randn(2, 3, 50, dtype=kernel.dtype, generator=torch.Generator().manual_seed(1))
            taps = kernel(50)[0]
            expected = torch.stack([(taps[:, : t + 1].flip(-1) * u[..., : t + 1]).sum(-1) for t in range(50)], -1)
            state, found = kernel.recurrence(2), []
            for t in range(50):
                y, state = kernel.advance(state, u[..., t])
                found.append(y)
            assert_near(torch.stack(found, -1), expected, tolerance)

    def test_gradients_are_right(self, make: Any) -> None:
        kernel = make(n=4, length=9) if make is dplr else make(n=4)
        names = [name for name, _ in kernel.named_parameters()]

        def call(*values: Tensor) -> Tensor:
            return torch.func.functional_call(kernel, dict(zip(names, values, strict=True)), (9,))

        values = [parameter.detach().clone().requires_grad_() for parameter in kernel.parameters()]
        assert torch.autograd.gradcheck(call, values)

    def test_it_is_stable_whatever_is_stored(self, make: Any) -> None:
        kernel = make()
        for number in (-1e3, -20.0, 5.0):
            nn.init.constant_(kernel.log_decay, number)
            assert (kernel.a().real < 0).all()
            assert kernel(64).isfinite().all()

    def test_parameters_are_real_and_survive_files_and_optimizers(self, make: Any, tmp_path: Path) -> None:
        kernel = make().float()
        assert all(not x.is_complex() and x.ndim <= 3 for x in kernel.state_dict().values())
        before = {name: parameter.clone() for name, parameter in kernel.named_parameters()}
        optimizer = torch.optim.AdamW(kernel.parameters(), lr=0.1, weight_decay=0.0)
        kernel(64).square().sum().backward()
        optimizer.step()
        for name, parameter in kernel.named_parameters():
            moved = parameter != before[name]
            assert moved.float().mean() > 0.9, name
        save_file(kernel.state_dict(), tmp_path / "kernel.safetensors")
        other = make().float()
        other.load_state_dict(load_file(tmp_path / "kernel.safetensors"))
        assert torch.equal(other(64), kernel(64))

    def test_systems_are_shared_in_turn(self, make: Any) -> None:
        assert make(systems=None).log_decay.shape == (3, 8)
        assert make(systems=3).a().shape == (3, 8)
        with pytest.raises(InputError, match="3 channels cannot share 2 systems equally; give a divisor of 3"):
            make(systems=2)

    def test_a_wrong_dt_is_refused(self, make: Any) -> None:
        with pytest.raises(InputError, match=r"dt_min is 0.2 and dt_max 0.1; give 0 < dt_min <= dt_max"):
            make(dt_min=0.2)
