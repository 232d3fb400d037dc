"""Where the matrices of state-space models start from: HiPPO's, and spectra like theirs.

Gu, Dao, Ermon, Rudra, Ré 2020, arXiv 2008.07669; Gu, Goel, Ré 2021, arXiv 2111.00396, appendix C; Gu, Gupta, Goel, Ré
2022, arXiv 2206.11893. All is computed in float64. The matrices are real, so eigenvalues come in conjugate pairs, of
which one is kept: for a state of n numbers there are n / 2 complex ones, and y = 2 Re(C x).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from modernet.errors import InputError


class Start(NamedTuple):
    """A = diag(a) - p pᴴ and B = b, complex128 (n / 2,) each, one of each conjugate pair."""

    a: Tensor
    b: Tensor
    p: Tensor


def legs_matrices(n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return A, B and P of HiPPO-LegS, float64: A + P Pᵀ is skew-symmetric but for -1/2 on the diagonal."""
    index = torch.arange(n, dtype=torch.float64)
    b = (2 * index + 1).sqrt()
    return -torch.outer(b, b).tril(-1) - torch.diag(index + 1), b, (index + 0.5).sqrt()


def normal_form(a: Tensor, b: Tensor, p: Tensor) -> tuple[Start, Tensor]:
    """Write real A, B, P in the basis of eigenvectors of A + P Pᵀ; also return the basis, complex128 (n, n / 2).

    The real parts of its eigenvalues are all equal, and known exactly; the imaginary ones are those of a Hermitian
    matrix, which is well conditioned (A itself is not: 1e20 at n = 64). Eigenvectors, whose phases are arbitrary, are
    such that P is positive.
    """
    normal = a + torch.outer(p, p)
    decay = normal.diagonal().mean()
    frequencies, vectors = torch.linalg.eigh(-1j * (normal - decay * torch.eye(len(a), dtype=a.dtype)))
    half = len(a) // 2
    vectors = vectors[:, :half]
    vectors = vectors * (vectors.mH @ p.to(vectors.dtype)).sgn()
    start = Start(
        torch.complex(decay.expand(half), frequencies[:half]), *(vectors.mH @ x.to(vectors.dtype) for x in (b, p))
    )
    return start, vectors


def legs(n: int) -> Start:
    """HiPPO-LegS: what was seen so far, as Legendre polynomials."""
    return normal_form(*legs_matrices(_even(n)))[0]


def fout(n: int) -> Start:
    """HiPPO-FouT: what was seen in the last 1 / dt steps, as a Fourier series.

    Its A + P Pᵀ is blocks of 2 x 2, whose eigenvectors are known; the eigenvalue 0 is double.
    """
    b = torch.ones(_even(n) // 2, dtype=torch.complex128)
    b[0] = math.sqrt(0.5)
    return Start(1j * math.pi * torch.arange(n // 2, dtype=torch.float64), b, b.clone())


def lin(n: int) -> Start:
    """S4D-Lin: equally spaced frequencies, like FouT's."""
    return _diagonal(math.pi * torch.arange(_even(n) // 2, dtype=torch.float64))


def inv(n: int) -> Start:
    """S4D-Inv: frequencies like the largest of LegS."""
    index = torch.arange(_even(n) // 2, dtype=torch.float64)
    return _diagonal(n / math.pi * (n / (2 * index + 1) - 1))


def diagonal_legs(n: int) -> Start:
    """S4D-LegS: LegS without p. As in the authors' code, B is not halved, which the theory would ask for."""
    start = legs(n)
    return start._replace(p=torch.zeros_like(start.p))


def _diagonal(frequencies: Tensor) -> Start:
    b = torch.ones(len(frequencies), dtype=torch.complex128)
    return Start(torch.complex(torch.full_like(frequencies, -0.5), frequencies), b, torch.zeros_like(b))


def _even(n: int) -> int:
    if n < 2 or n % 2:
        raise InputError(f"the state has {n} numbers; give an even number above 0")
    return n


DPLR_STARTS: dict[str, Callable[[int], Start]] = {"legs": legs, "fout": fout}
DIAGONAL_STARTS: dict[str, Callable[[int], Start]] = {"legs": diagonal_legs, "lin": lin, "inv": inv}
