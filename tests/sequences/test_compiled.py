"""Sequence models under torch.compile: one graph, with the answers and gradients of the plain network."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from modernet.data.sequences.inputs import SequenceInputs
from modernet.sequences.network import SequenceNetwork
from modernet.sequences.zoo import create_sequence_model

TRANSFORMER = {"heads": 2, "mlp_width": 8}


@pytest.fixture(autouse=True)
def _forget_graphs() -> Iterator[None]:
    yield
    torch.compiler.reset()


@pytest.mark.medium
@pytest.mark.parametrize(
    ("name", "fields"),
    [("s4", {"state": 4}), ("s4d_lin", {"state": 4}), ("s4d_minimal", {"state": 4}), ("transformer", TRANSFORMER)],
)
def test_one_graph_for_any_number_of_steps_gives_the_same(name: str, fields: dict[str, Any]) -> None:
    check(name, fields, "aot_eager", (32, 40, 48))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Torchinductor does not support code generation for complex")
@pytest.mark.parametrize(("name", "fields"), [("s4", {"state": 4}), ("transformer", TRANSFORMER)])
def test_generated_code_gives_the_same(name: str, fields: dict[str, Any]) -> None:
    check(name, fields, "inductor", (32,))


def check(name: str, fields: dict[str, Any], backend: str, steps: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    plain = create_sequence_model(name, SequenceInputs(48, vocabulary=9), 3, depth=1, width=8, dropout=0.0, **fields)
    plain = plain.double().train()
    network = copy.deepcopy(plain)
    compiled = torch.compile(network, fullgraph=True, backend=backend)
    for n in steps:
        values = torch.randint(1, 9, (3, n))
        lengths = torch.tensor([n, 11, 1])
        expected, found = numbers(plain, plain, values, lengths), numbers(network, compiled, values, lengths)
        for key, value in expected.items():
            torch.testing.assert_close(found[key], value, rtol=1e-9, atol=1e-12, msg=key)


def numbers(
    network: SequenceNetwork, call: Callable[..., Tensor], values: Tensor, lengths: Tensor
) -> dict[str, Tensor]:
    """Return the answers, the gradients of all parameters, and the buffers after the step."""
    network.zero_grad()
    answers = call(values, lengths)
    answers.square().sum().backward()
    gradients = {name: parameter.grad for name, parameter in network.named_parameters()}
    return {"answers": answers.detach(), **gradients, **dict(network.named_buffers())}  # type: ignore[dict-item]
