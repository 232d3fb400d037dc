from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.counting import count_work
from modernet.counting.macs import meta_images
from modernet.models import create_model

IMAGES = 2 * 3 * 8 * 8  # numbers in a batch of two, 8x8
BATCH = [meta_images(8, 3, 2)]


class Applied(nn.Module):
    """A network that applies a function."""

    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = function

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.function(images)  # type: ignore[operator]
        return out


def test_a_convolution_reads_images_and_weights_and_writes_its_output() -> None:
    work = count_work(nn.Conv2d(3, 8, 3, bias=False), BATCH, training=False)
    weights, out = 8 * 3 * 9, 2 * 8 * 6 * 6
    assert work.flops == 2 * out * 27
    assert work.eager_bytes == work.fused_bytes == 4 * (IMAGES + weights + out)


def test_images_need_not_be_square() -> None:
    layer = nn.Conv2d(3, 8, 3, padding=1, bias=False)
    work = count_work(layer, [meta_images((4, 6), 3, 2)], training=False)
    assert work.flops == 2 * 2 * 8 * 4 * 6 * 27
    assert work.eager_bytes == 4 * (2 * 3 * 4 * 6 + 8 * 27 + 2 * 8 * 4 * 6)


def test_bytes_scale_with_the_dtype() -> None:
    network = nn.Conv2d(3, 8, 3)
    single = count_work(network, BATCH, training=False)
    half = count_work(network, BATCH, training=False, dtype=torch.bfloat16)
    assert single.eager_bytes == 2 * half.eager_bytes
    assert single.flops == half.flops


def test_pointwise_operations_move_bytes_unless_they_are_fused() -> None:
    work = count_work(Applied(lambda x: F.gelu(x) + 1), BATCH, training=False)
    assert work.eager_bytes == 4 * 4 * IMAGES  # both operations read and write
    assert work.fused_bytes == 0


@pytest.mark.parametrize("view", [lambda x: x.permute(0, 2, 3, 1).unflatten(1, (2, 4)), lambda x: x[:, 1:].detach()])
def test_views_are_free(view: object) -> None:
    assert count_work(Applied(view), BATCH, training=False).eager_bytes == 0


def test_a_broadcast_tensor_counts_with_its_size_in_memory() -> None:
    bias = torch.zeros(3, 1, 1, device="meta")
    network = Applied(lambda x: x + bias.expand(2, 3, 8, 8))
    assert count_work(network, BATCH, training=False).eager_bytes == 4 * (2 * IMAGES + 3)


@pytest.mark.parametrize("groups", [1, 4, 8])
def test_each_gradient_of_a_convolution_costs_as_much_as_the_forward_pass(groups: int) -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, padding=1, groups=groups))
    first, second = 2 * 2 * 64 * 3 * 8, 2 * 2 * 64 * 8 * 8 * 9 // groups
    assert count_work(network, BATCH, training=False).flops == first + second
    # images need no gradient, so the first layer computes one only
    assert count_work(network, BATCH, training=True).flops == 2 * first + 3 * second


def test_a_transposed_convolution_is_counted() -> None:
    network = nn.ConvTranspose2d(3, 8, 2, stride=2)
    forward = 2 * 2 * 64 * 3 * 8 * 4
    assert count_work(network, BATCH, training=False).flops == forward
    assert count_work(network, BATCH, training=True).flops == 2 * forward


def test_attention_does_not_write_its_matrix_of_scores() -> None:
    def attend(x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2).unsqueeze(1)  # b 1 t c
        bias = torch.zeros(1, 1, 64, 64, device=x.device, dtype=x.dtype)
        return F.scaled_dot_product_attention(tokens, tokens, tokens, attn_mask=bias)

    work = count_work(Applied(attend), BATCH, training=False)
    assert work.flops == 2 * 2 * 2 * 64 * 64 * 3
    zeros = bias = 64 * 64
    seed_and_offset = 2 * 8  # of a dropout that is off
    assert work.eager_bytes == 4 * (zeros + 3 * IMAGES + bias + IMAGES) + seed_and_offset


@pytest.mark.medium
def test_training_costs_about_three_forward_passes() -> None:
    with torch.device("meta"):
        network = create_model("convnext_tiny")
    forward, both = (count_work(network, [meta_images(224, 3, 4)], training=training) for training in (False, True))
    assert 2.9 < both.flops / forward.flops < 3.0
    assert 2.5 < both.eager_bytes / forward.eager_bytes < 3.5
    assert both.fused_bytes < both.eager_bytes


def test_counting_does_not_change_the_network() -> None:
    network = create_model("resnet_test").eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    count_work(network, [meta_images(32, 3, 2)], training=True, dtype=torch.bfloat16)
    assert not network.training
    assert all(parameter.grad is None for parameter in network.parameters())
    torch.testing.assert_close(dict(network.state_dict()), before, rtol=0, atol=0)
