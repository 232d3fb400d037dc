"""HiPPO's matrices and their diagonal forms."""

from __future__ import annotations

import math

import pytest
import torch

from modernet.errors import InputError
from modernet.layers.state_space.hippo import DIAGONAL_STARTS, DPLR_STARTS, Start, legs_matrices, normal_form


@pytest.mark.parametrize("n", [2, 4, 64])
def test_the_normal_form_rebuilds_legs(n: int) -> None:
    a, b, p = legs_matrices(n)
    assert a[1, 0] == pytest.approx(-math.sqrt(3))
    assert a.diagonal().tolist() == [-float(i + 1) for i in range(n)]
    start, basis = normal_form(a, b, p)
    torch.testing.assert_close(start.a.real, torch.full((n // 2,), -0.5, dtype=torch.float64), rtol=0, atol=1e-12)
    assert (start.a.imag < 0).all()
    whole = torch.cat([basis, basis.conj()], 1)
    torch.testing.assert_close(whole.mH @ whole, torch.eye(n, dtype=whole.dtype), rtol=0, atol=1e-12)
    rebuilt = 2 * (basis * start.a @ basis.mH).real - torch.outer(p, p)
    torch.testing.assert_close(rebuilt, a, rtol=0, atol=1e-12 * n)
    torch.testing.assert_close(2 * (basis @ start.b).real, b, rtol=0, atol=1e-12)
    torch.testing.assert_close(2 * (basis @ start.p).real, p, rtol=0, atol=1e-12)


def test_the_frequencies_of_legs_are_as_known() -> None:
    frequencies = DPLR_STARTS["legs"](64).a.imag.abs()
    assert (frequencies.min().item(), frequencies.max().item()) == (
        pytest.approx(0.264, abs=1e-3),
        pytest.approx(1303, abs=0.5),
    )


def test_fout_is_a_skew_matrix_minus_a_product() -> None:
    n = 8
    b = torch.zeros(n, dtype=torch.float64)
    b[::2] = math.sqrt(2)
    b[0] = 1
    skew = torch.zeros(n, n, dtype=torch.float64)
    for k in range(n // 2):
        skew[2 * k, 2 * k + 1], skew[2 * k + 1, 2 * k] = -math.pi * k, math.pi * k
    start = DPLR_STARTS["fout"](n)

    # the same system in another basis has the same moments bᵀ A^j b
    def moments(a: torch.Tensor, left: torch.Tensor, x: torch.Tensor) -> list[complex]:
        found = []
        for _ in range(n):
            found.append((left * x).sum().item())
            x = a @ x
        return found

    whole = Start(*(torch.cat([x, x.conj()]) for x in start))
    matrix = torch.diag(whole.a) - torch.outer(whole.p, whole.p.conj())
    ours, theirs = moments(matrix, whole.b.conj(), whole.b), moments(skew - torch.outer(b, b), b, b)
    assert ours == pytest.approx(theirs, rel=1e-12)


def test_spectra_of_s4d() -> None:
    lin, inv = DIAGONAL_STARTS["lin"](4), DIAGONAL_STARTS["inv"](4)
    assert lin.a.tolist() == pytest.approx([-0.5, -0.5 + 1j * math.pi])
    assert inv.a.tolist() == pytest.approx([-0.5 + 12j / math.pi, -0.5 + 4j / 3 / math.pi])
    legs = DIAGONAL_STARTS["legs"](4)
    assert torch.equal(legs.b, DPLR_STARTS["legs"](4).b)
    assert not legs.p.any()


@pytest.mark.parametrize("n", [0, 3])
def test_an_odd_state_is_refused(n: int) -> None:
    for start in (*DPLR_STARTS.values(), *DIAGONAL_STARTS.values()):
        with pytest.raises(InputError, match=f"the state has {n} numbers; give an even number above 0"):
            start(n)
