"""Multiplications grow with the length as the papers say."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from modernet.data.sequences.inputs import SequenceInputs
from modernet.sequences.zoo import sequence_config

LENGTHS = (2048, 4096)


def flops(name: str, n: int) -> int:
    """Return the floating-point operations of matrix products in a layer, for one sequence."""
    with torch.device("meta"):
        layer = sequence_config(name, depth=1).encoder(SequenceInputs(max(LENGTHS), vocabulary=17)).eval()
        x = torch.empty(1, n, 128)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        layer(x, None)
    return int(counter.get_total_flops())


@pytest.mark.parametrize(
    "name", ["linear", "performer", "performer_lra", "linformer", "linformer_lra", "nystromformer", "luna"]
)
def test_multiplications_are_linear_in_the_length(name: str) -> None:
    short, long = (flops(name, n) for n in LENGTHS)
    assert 1.8 < long / short <= 2.001


def test_those_of_softmax_attention_are_not() -> None:
    short, long = (flops("transformer", n) for n in LENGTHS)
    n, c = LENGTHS[0], 128
    assert short == 2 * (8 * c * c * n + 2 * n * n * c)  # projections and an MLP of 2 c; logits and their values
    assert long / short > 3
