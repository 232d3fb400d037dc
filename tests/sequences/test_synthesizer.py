from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from explicit_attention import mixer
from modernet.sequences.synthesizer import SynthesizerAttention


def sequences(n: int = 10) -> Tensor:
    return torch.randn(2, n, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("form", ["random", "factorized"])
def test_weights_do_not_depend_on_the_sequence_so_the_output_is_linear_in_it(form: str) -> None:
    synthesizer, x = mixer("synthesizer", 12, form=form), sequences()
    both = synthesizer(2 * x + x.flip(0), None)
    torch.testing.assert_close(both, 2 * synthesizer(x, None) + synthesizer(x.flip(0), None))


def test_a_step_of_the_dense_form_alone_decides_what_it_weighs() -> None:
    synthesizer, x = mixer("synthesizer_dense", 12), sequences().requires_grad_()
    weights = synthesizer.weights(synthesizer.synthesizer(x), None)
    assert weights.shape == (2, 2, 10, 10)
    (slope,) = torch.autograd.grad(weights[0, 0, 3, 5], x)
    assert slope[0, 3].all()
    slope[0, 3] = 0
    assert not slope.any()


def test_logits_are_the_first_rows_and_columns_of_what_is_learned() -> None:
    x = sequences()  # 10 steps of 12
    random, factorized = (mixer("synthesizer", 12, form=form, rank=3).synthesizer for form in ("random", "factorized"))
    torch.testing.assert_close(random(x)[0], random.logits[:, :10, :10])
    torch.testing.assert_close(factorized(x)[0], (factorized.rows @ factorized.columns)[:, :10, :10])
    dense = mixer("synthesizer_dense", 12).synthesizer
    nn.init.normal_(dense.bias)
    for head, hidden in enumerate(dense.hidden(x).relu().split(8, -1)):  # two heads of 8 channels
        torch.testing.assert_close(dense(x)[:, head], (hidden @ dense.weight[head] + dense.bias[head])[..., :10])


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("random", 2 * 12 * 12),
        ("factorized", 2 * 2 * 12 * 3),
        ("dense", 16 * 16 + 16 + 2 * (8 * 12 + 12)),
    ],
)
def test_parameters_grow_with_the_length(form: str, expected: int) -> None:
    synthesizer = mixer("synthesizer", 12, form=form, rank=3)
    assert parameters(synthesizer.synthesizer) == expected
    assert parameters(synthesizer) == expected + 2 * 16 * 16  # values, output


@pytest.mark.parametrize("name", ["synthesizer", "synthesizer_lra"])
def test_causal_weights_see_no_later_step(name: str) -> None:
    synthesizer, x = mixer(name, 12, causal=True), sequences()
    changed = x.clone()
    changed[:, 6:] = 0
    torch.testing.assert_close(synthesizer(x, None)[:, :6], synthesizer(changed, None)[:, :6])
    assert (synthesizer(x, None) != synthesizer(changed, None))[:, 6:].all()


def random_logits(synthesizer: SynthesizerAttention) -> Tensor:
    logits = synthesizer.synthesizer.logits
    assert isinstance(logits, Tensor)
    return logits


def test_without_random_logits_the_arenas_is_the_transformers_attention() -> None:
    arena, transformer, x = mixer("synthesizer_lra", 12), mixer("transformer", 12), sequences()
    with torch.no_grad():
        random_logits(arena).zero_()
    arena.load_state_dict(transformer.state_dict(), strict=False)
    torch.testing.assert_close(arena(x, None), transformer(x, None))


def test_without_queries_the_arenas_is_the_random_form() -> None:
    arena, random, x = mixer("synthesizer_lra", 12), mixer("synthesizer", 12), sequences()
    with torch.no_grad():
        arena.qkv.weight[:32] = 0
        random.qkv.weight.copy_(arena.qkv.weight[32:])
        random.out.load_state_dict(arena.out.state_dict())
        random_logits(random).copy_(random_logits(arena))
    torch.testing.assert_close(arena(x, None), random(x, None))
