"""The networks of S4: published numbers of parameters, norms, and invalid configs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from modernet.data.sequences.inputs import SequenceInputs
from modernet.errors import InputError
from modernet.sequences.s4 import MaskedBatchNorm, S4DConfig
from modernet.sequences.s4.network import StateSpaceBlock
from modernet.sequences.zoo import create_sequence_model

LENGTHS = torch.tensor([30, 11, 1])


@pytest.mark.parametrize(
    ("name", "inputs", "fields", "expected"),
    [
        # the authors' configurations of ListOps and Image, with their embeddings and classifiers
        ("s4", SequenceInputs(2048, vocabulary=18), {"depth": 6, "width": 256, "state": 4, "prenorm": False}, 815_186),
        ("s4", SequenceInputs(1024), {"depth": 6, "width": 512, "prenorm": False}, 3_564_682),
        ("s4d_minimal", SequenceInputs(1024, channels=3), {}, 201_482),
    ],
)
def test_parameters_are_as_published(name: str, inputs: SequenceInputs, fields: dict[str, Any], expected: int) -> None:
    network = create_sequence_model(name, inputs, 10, **fields)
    assert sum(parameter.numel() for parameter in network.parameters()) == expected


@pytest.mark.parametrize("norm", ["batch", "layer"])
@pytest.mark.parametrize("prenorm", [True, False])
def test_padding_changes_neither_gradients_nor_statistics(norm: str, prenorm: bool) -> None:
    inputs = SequenceInputs(50, vocabulary=9)
    values = torch.randint(1, 9, (3, 30), generator=torch.Generator().manual_seed(0))
    results = []
    for padded in (30, 50):
        torch.manual_seed(0)
        network = create_sequence_model("s4d_lin", inputs, 4, depth=2, width=8, state=4, norm=norm, prenorm=prenorm)
        network.double()(
            nn.functional.pad(values, (0, padded - 30), value=padded % 7), LENGTHS
        ).square().sum().backward()
        gradients = {name: parameter.grad for name, parameter in network.named_parameters()}
        results.append(gradients | {name: buffer.double() for name, buffer in network.named_buffers()})
    for name, expected in results[0].items():
        torch.testing.assert_close(results[1][name], expected, msg=name, rtol=1e-9, atol=1e-12)


def test_masked_batch_norm_is_batch_norm_of_the_steps_that_are_left() -> None:
    x = torch.randn(3, 30, 5, generator=torch.Generator().manual_seed(0))
    mask = torch.arange(30) < LENGTHS[:, None]
    norm, plain = MaskedBatchNorm(5), nn.BatchNorm1d(5)
    torch.testing.assert_close(norm(x, mask)[mask], plain(x[mask]))
    assert norm.num_batches_tracked == 1
    torch.testing.assert_close(norm.running_mean, plain.running_mean)
    torch.testing.assert_close(norm.running_var, plain.running_var)
    torch.testing.assert_close(norm(x), plain(x.flatten(0, 1)).view(x.shape))
    torch.testing.assert_close(norm.eval()(x, mask), plain.eval()(x.flatten(0, 1)).view(x.shape))


@pytest.mark.parametrize("prenorm", [True, False])
def test_a_block_adds_what_its_layer_makes(prenorm: bool) -> None:
    torch.manual_seed(0)
    config = S4DConfig(width=6, state=4, norm="layer", prenorm=prenorm)
    block = StateSpaceBlock(config, config.mixer(SequenceInputs(20), 0)).double()
    nn.init.normal_(block.norm.weight)

    def layer(x: torch.Tensor) -> torch.Tensor:
        y, gate = block.mixer.output(nn.functional.gelu(block.mixer.convolve(x))).chunk(2, -1)
        return y * gate.sigmoid()

    x = torch.randn(2, 20, 6, dtype=torch.float64)
    expected = x + layer(block.norm(x)) if prenorm else block.norm(x + layer(x))
    torch.testing.assert_close(block(x, None), expected)


def test_a_norm_follows_the_last_block_only_if_norms_come_first() -> None:
    for prenorm in (True, False):
        network = create_sequence_model("s4d_lin", SequenceInputs(9), 2, depth=1, width=4, state=2, prenorm=prenorm)
        names = [name for name, _ in network.encoder.named_parameters() if name.startswith("norm")]
        assert names == (["norm.weight", "norm.bias"] if prenorm else [])


def test_pairs_have_a_hidden_layer_as_wide_as_the_blocks() -> None:
    network = create_sequence_model("s4d_lin", SequenceInputs(9, towers=2), 2, depth=1, width=4, state=2)
    assert [tuple(x.shape) for name, x in network.head.named_parameters()] == [(4, 16), (4,), (2, 4), (2,)]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"norm": "group"}, "norm is 'group'; give 'layer' or 'batch'"),
        ({"start": "lag"}, "start is 'lag'; give one of legs, lin, inv"),
        ({"discretization": "euler"}, "discretization is 'euler'; give 'zoh' or 'bilinear'"),
        ({"state": 5}, "the state has 5 numbers; give an even number above 0"),
        ({"systems": 3}, "128 channels cannot share 3 systems equally; give a divisor of 128"),
    ],
)
def test_invalid_configs_raise(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        create_sequence_model("s4d_legs", SequenceInputs(9), 2, **fields)
    if "start" in fields:
        with pytest.raises(InputError, match="start is 'lag'; give one of legs, fout"):
            create_sequence_model("s4", SequenceInputs(9), 2, **fields)
