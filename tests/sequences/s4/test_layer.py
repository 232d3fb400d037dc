"""The layer of S4: both of its forms, precision, padding, and export."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from modernet.data.sequences.inputs import SequenceInputs
from modernet.errors import InputError
from modernet.sequences.s4 import S4Config, S4DConfig, StateSpaceConfig, StateSpaceMixer

CONFIGS = [S4Config, S4DConfig]


def layer(config: type[StateSpaceConfig], **fields: Any) -> StateSpaceMixer:
    torch.manual_seed(0)
    return config(width=6, state=8, **fields).mixer(SequenceInputs(40), 0).eval()


def sequences(n: int = 40, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(2, n, 6, dtype=dtype, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("config", CONFIGS)
class TestLayer:
    def test_steps_give_what_the_convolution_gives(self, config: type[StateSpaceConfig]) -> None:
        for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-4)):
            mixer, x = layer(config, causal=True, rate=1.5).to(dtype), sequences(dtype=dtype)
            state, found = mixer.initial_state(2), []
            for t in range(40):
                y, state = mixer.step(x[:, t], state)
                found.append(y)
            torch.testing.assert_close(torch.stack(found, 1), mixer(x, None), rtol=tolerance, atol=tolerance)

    def test_steps_read_the_parameters_as_they_are_now(self, config: type[StateSpaceConfig]) -> None:
        mixer, x = layer(config, causal=True), sequences(dtype=torch.float32)
        before, _ = mixer.step(x[:, 0], mixer.initial_state(2))
        with torch.no_grad():
            mixer.kernel.log_dt += 1
        after, _ = mixer.step(x[:, 0], mixer.initial_state(2))
        torch.testing.assert_close(after, mixer(x[:, :1], None)[:, 0])
        assert not torch.allclose(before, after)

    def test_a_causal_layer_sees_no_later_step_and_another_sees_all(self, config: type[StateSpaceConfig]) -> None:
        for causal in (True, False):
            mixer, x = layer(config, causal=causal).double(), sequences()
            changed = x.clone()
            changed[:, 20] += 1
            difference = (mixer(x, None) - mixer(changed, None)).abs().amax((0, 2))
            assert (difference[20:] > 1e-6).all()
            assert (difference[:20] < 1e-12).all() if causal else (difference[:20] > 1e-6).all()

    def test_two_sides_cannot_go_step_by_step(self, config: type[StateSpaceConfig]) -> None:
        with pytest.raises(InputError, match="sees later steps and cannot go step by step; give causal=True"):
            layer(config).initial_state(1)

    def test_half_the_samples_at_twice_the_rate_give_nearly_the_same(self, config: type[StateSpaceConfig]) -> None:
        t = torch.linspace(0, 3, 40)
        x = torch.sin(t[None, :, None] * torch.linspace(1, 2, 6))
        mixer = layer(config, causal=True, dt_max=0.02)
        expected = mixer.convolve(x)[:, ::2]
        mixer.rate = 2.0
        found = mixer.convolve(x[:, ::2])
        assert (found - expected).abs().mean() < 0.1 * expected.abs().mean()

    def test_the_convolution_is_in_float32_under_autocast(self, config: type[StateSpaceConfig]) -> None:
        mixer, x = layer(config), sequences(dtype=torch.float32)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(mixer.convolve(x), mixer.convolve(x))
            low = mixer(x.bfloat16(), None)
            inside = mixer.convolve(x)
        assert torch.equal(inside, mixer.convolve(x))
        assert low.dtype == torch.bfloat16
        expected = mixer(x, None)
        torch.testing.assert_close(low.float(), expected, rtol=0.05, atol=0.05 * expected.abs().max().item())
        half = mixer.bfloat16()(x.bfloat16(), None)
        torch.testing.assert_close(half.float(), expected, rtol=0.05, atol=0.2 * expected.abs().max().item())

    def test_it_exports(self, config: type[StateSpaceConfig]) -> None:
        mixer, x = layer(config).requires_grad_(False), sequences(dtype=torch.float32)
        mask = torch.arange(40) < torch.tensor([[40], [13]])
        batch = torch.export.Dim("batch")
        exported = torch.export.export(mixer, (x, mask), dynamic_shapes=({0: batch}, {0: batch}))
        three, masks = torch.cat([x, x[:1]]), torch.cat([mask, mask[:1]])
        torch.testing.assert_close(exported.module()(three, masks), mixer(three, masks))

    def test_dynamics_are_all_parameters_but_c_and_d_and_the_linear_layer(self, config: type[StateSpaceConfig]) -> None:
        mixer = layer(config)
        own = {id(parameter) for parameter in mixer.dynamics()}
        others = {name for name, parameter in mixer.named_parameters() if id(parameter) not in own}
        assert others == {"kernel.c", "d", "output.weight", "output.bias"}
        names = {name for name, _ in mixer.kernel.named_parameters()} - {"c"}
        assert names == {"log_dt", "log_decay", "frequency", "b"} | ({"p"} if config is S4Config else set())


def test_tied_dropout_drops_channels_in_all_steps_alike() -> None:
    mixer = layer(S4DConfig, tie_dropout=True, dropout=0.5)
    mixer.train()
    dropped = mixer.dropout(torch.ones(4, 10, 6))
    assert ((dropped == 0).all(1) | (dropped == 2).all(1)).all()
    assert 0 < (dropped == 0).float().mean() < 1
    assert torch.equal(mixer.eval().dropout(dropped), dropped)
