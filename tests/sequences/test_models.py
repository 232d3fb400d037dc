"""What every sequence model promises."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from modernet.data.sequences.inputs import SequenceInputs
from modernet.errors import InputError
from modernet.sequences.config import SEQUENCE_MODELS
from modernet.sequences.network import SequenceNetwork
from modernet.sequences.zoo import create_sequence_model, sequence_config

TOKENS = SequenceInputs(64, vocabulary=17)
SMALL = {"depth": 2, "width": 32, "heads": 2, "mlp_width": 48, "block": 8, "chunk": 8, "window": 12}
LENGTHS = torch.tensor([64, 40, 7, 1])
CAUSAL = {
    *("transformer", "local", "sparse", "synthesizer", "synthesizer_dense", "synthesizer_lra", "linear"),
    *("performer", "performer_lra", "performer_lra_listops"),
    *("s4", "s4_fout", "s4d_legs", "s4d_lin", "s4d_inv", "s4d_minimal"),
}


def make(name: str, inputs: SequenceInputs = TOKENS, **changes: object) -> SequenceNetwork:
    """Return a small network in evaluation mode, in double precision."""
    torch.manual_seed(0)
    known = sequence_config(name)
    small = {field: value for field, value in SMALL.items() if hasattr(known, field)}
    return create_sequence_model(name, inputs, 5, **{**small, **changes}).double().eval()


def tokens(n: int = 64) -> Tensor:
    """Return a batch of tokens, padded where `LENGTHS` says so."""
    values = torch.randint(1, 17, (len(LENGTHS), n), generator=torch.Generator().manual_seed(0))
    return values.where(torch.arange(n) < LENGTHS[:, None], 0)


@pytest.mark.parametrize("name", SEQUENCE_MODELS)
class TestEverySequenceModel:
    def test_an_answer_does_not_depend_on_padding(self, name: str) -> None:
        network, values = make(name), tokens()
        together = network(values, LENGTHS)
        alone = torch.cat([network(values[i : i + 1, :n], LENGTHS[i : i + 1]) for i, n in enumerate(LENGTHS.tolist())])
        torch.testing.assert_close(together, alone, rtol=1e-9, atol=1e-9)
        values[~(torch.arange(64) < LENGTHS[:, None])] = 3
        torch.testing.assert_close(network(values, LENGTHS), together, rtol=1e-9, atol=1e-9)

    def test_gradients_are_finite_and_reach_every_parameter(self, name: str) -> None:
        network = make(name).train()
        network(tokens(), LENGTHS).square().sum().backward()
        for parameter, value in network.named_parameters():
            assert value.grad is not None, parameter
            assert value.grad.isfinite().all(), parameter
            assert value.grad.any(), parameter

    def test_has_an_answer_in_bfloat16(self, name: str) -> None:
        network = make(name).bfloat16()
        assert network(tokens(), LENGTHS).isfinite().all()

    def test_takes_numbers_and_pairs(self, name: str) -> None:
        network = make(name, SequenceInputs(64, channels=3, towers=2))
        values = torch.randn(2, 2, 64, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        lengths = torch.tensor([64, 50])
        assert network(values[0], lengths, values[1], lengths).shape == (2, 5)

    def test_lets_no_step_see_a_later_one_or_has_no_causal_form(self, name: str) -> None:
        if name not in CAUSAL:
            with pytest.raises(InputError, match="causal"):
                make(name, causal=True)
            return
        network = make(name, causal=True)
        for mask in (None, torch.arange(64) < LENGTHS[:, None]):
            x = torch.randn(4, 64, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
            changed = x.clone()
            changed[:, 33:] *= -1
            found, other = network.encoder(x, mask), network.encoder(changed, mask)
            torch.testing.assert_close(found[:2, :33], other[:2, :33], rtol=1e-9, atol=1e-9)
            assert ((found - other)[0, 33:].abs().amax(-1) > 1e-6).all()


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("local", {}),
        ("luna", {}),
        ("nystromformer", {}),
        ("s4d_lin", {"pool": "last", "tie_dropout": True}),
        ("s4", {"pool": "cls"}),
    ],
)
def test_exports_for_any_batch(name: str, fields: dict[str, object]) -> None:
    network, values = make(name, TOKENS, depth=1, **fields), tokens()
    batch = torch.export.Dim("batch")
    exported = torch.export.export(network, (values, LENGTHS), dynamic_shapes=({0: batch}, {0: batch}))
    torch.testing.assert_close(exported.module()(values[:3], LENGTHS[:3]), network(values[:3], LENGTHS[:3]))
