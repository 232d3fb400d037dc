"""State-space layers: where they start from, their kernels, and the long convolution that applies them.

    x' = A x + B u,   y = C x

maps a signal u to a signal y. Sampled in steps of dt it is a convolution, y_t = sum over l of K_l u_{t-l} with
K_l = C Ā^l B̄ (Gu, Goel, Ré 2021, arXiv 2111.00396). A is diagonal (S4D), or diagonal minus p pᴴ (S4).
"""

from modernet.layers.state_space.convolution import long_convolution
from modernet.layers.state_space.diagonal import DiagonalKernel
from modernet.layers.state_space.dplr import DplrKernel, dplr_kernel
from modernet.layers.state_space.hippo import DIAGONAL_STARTS, DPLR_STARTS, Start
from modernet.layers.state_space.kernel import Recurrence, StateSpaceKernel

__all__ = [
    "DIAGONAL_STARTS",
    "DPLR_STARTS",
    "DiagonalKernel",
    "DplrKernel",
    "Recurrence",
    "Start",
    "StateSpaceKernel",
    "dplr_kernel",
    "long_convolution",
]
