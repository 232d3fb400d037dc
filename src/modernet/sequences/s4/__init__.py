"""S4 and S4D: state-space models on sequences, trained as convolutions, run step by step as recurrences.

Gu, Goel, Ré 2021, arXiv 2111.00396 (S4); Gu, Gupta, Goel, Ré 2022, arXiv 2206.11893 (S4D). The layer and the network
are those of the authors' code (state-spaces/s4).

    values -> embedding                         block, c channels:
      depth x block                               norm if prenorm
      norm if prenorm                             convolution with the kernels of a state-space model, + D x
      mean over the steps -> linear -> k          GELU -> linear to 2c -> GLU -> + input
                                                  norm if not prenorm
"""

from modernet.sequences.s4.config import S4Config, S4DConfig, StateSpaceConfig
from modernet.sequences.s4.layer import StateSpaceMixer
from modernet.sequences.s4.network import MaskedBatchNorm, StateSpaceEncoder

__all__ = ["MaskedBatchNorm", "S4Config", "S4DConfig", "StateSpaceConfig", "StateSpaceEncoder", "StateSpaceMixer"]
