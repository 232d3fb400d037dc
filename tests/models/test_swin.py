"""Swin against timm, and against explicit attention per position."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
import timm
import torch
from timm.models.swin_transformer import SwinTransformer
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from modernet.errors import InputError
from modernet.models import create_model
from modernet.models.swin import Block, WindowAttention, shift_mask


def randomised(network: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        nn.init.uniform_(parameter, -0.3, 0.4, generator=generator)
    return network.eval()


def images(height: int, width: int | None = None) -> Tensor:
    return torch.randn(2, 3, height, width or height, generator=torch.Generator().manual_seed(0))


def timm_name(ours: str) -> str:
    ours = re.sub(r"^layers\.(\d)\.downsample", lambda match: f"layers.{int(match[1]) + 1}.downsample", ours)
    return re.sub(r"^head\.", "head.fc.", ours)


@pytest.mark.parametrize("size", [64, 32])
def test_scores_and_maps_equal_timm(size: int) -> None:
    reference = randomised(
        SwinTransformer(img_size=size, embed_dim=24, depths=(2, 2), num_heads=(1, 2), window_size=4, num_classes=5)
    )
    ours = create_model("swin_test", num_classes=5).eval()
    weights = reference.state_dict()
    ours.load_state_dict({name: weights[timm_name(name)] for name in ours.state_dict()})
    x = images(size)
    expected = reference(x)
    torch.testing.assert_close(ours(x), expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())
    for ours_map, their_map in zip(
        ours.forward_intermediates(x, intermediates_only=True),
        reference.forward_intermediates(x, intermediates_only=True),
        strict=True,
    ):
        torch.testing.assert_close(ours_map, their_map, rtol=1e-4, atol=1e-4 * their_map.abs().max().item())


@pytest.mark.medium
def test_swin_tiny_equals_timm() -> None:
    reference = timm.create_model("swin_tiny_patch4_window7_224").eval()
    ours = create_model("swin_tiny").eval()
    weights = reference.state_dict()
    ours.load_state_dict({name: weights[timm_name(name)] for name in ours.state_dict()})
    x = images(224)[:1]
    torch.testing.assert_close(ours(x), reference(x), rtol=1e-4, atol=1e-4)


def attention_by_hand(block: Block, x: Tensor) -> Tensor:
    """Compute `Block.attend` position by position, with windows derived from coordinates."""
    attn, w, shift = block.attn, block.window_size, block.shift
    height, width, c = x.shape
    d = c // attn.heads
    rows, columns = -(-height // w) * w, -(-width // w) * w
    padded = torch.zeros(rows, columns, c, dtype=x.dtype)
    padded[:height, :width] = block.norm1(x)
    q, k, v = attn.qkv(padded).reshape(rows, columns, 3, attn.heads, d).unbind(2)

    def window(y: int, x: int) -> tuple[int, ...]:
        """Return the window of a position, and from which side of the map it wrapped into it."""
        yy, xx = (y - shift) % rows, (x - shift) % columns
        return yy // w, xx // w, int(y < shift), int(x < shift)

    places = [(y, x) for y in range(rows) for x in range(columns)]
    out = torch.zeros(height, width, c, dtype=x.dtype)
    for y in range(height):
        for xx in range(width):
            mates = [place for place in places if window(*place) == window(y, xx)]
            for head in range(attn.heads):
                scores = []
                for my, mx in mates:
                    dy = (y - shift) % rows % w - (my - shift) % rows % w
                    dx = (xx - shift) % columns % w - (mx - shift) % columns % w
                    bias = attn.relative_position_bias_table[(dy + w - 1) * (2 * w - 1) + dx + w - 1, head]
                    scores.append(q[y, xx, head] @ k[my, mx, head] / d**0.5 + bias)
                weights = torch.stack(scores).softmax(0)
                mixed = sum(weight * v[my, mx, head] for weight, (my, mx) in zip(weights, mates, strict=True))
                out[y, xx, head * d : (head + 1) * d] = mixed
    return attn.proj(out)


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize(("height", "width"), [(6, 6), (7, 5), (4, 3)])
def test_window_attention_equals_an_explicit_loop(shifted: bool, height: int, width: int) -> None:
    block = randomised(Block(4, 2, window_size=3, shifted=shifted)).double()
    x = torch.randn(2, height, width, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = torch.stack([attention_by_hand(block, image) for image in x])
        torch.testing.assert_close(block.attend(x), expected)


def softmax_attention(attn: WindowAttention, x: Tensor, mask: Tensor | None) -> Tensor:
    """Compute `WindowAttention` with explicit scores for every window of every image."""
    n, t, windows, c = x.shape
    q, k, v = attn.qkv(x).reshape(n, t, windows, 3, attn.heads, -1).unbind(3)
    scores = torch.einsum("ntwhd,nswhd->nwhts", q, k) / q.shape[-1] ** 0.5 + attn.bias()
    if mask is not None:
        scores = scores.where(mask, -torch.inf)
    return attn.proj(torch.einsum("nwhts,nswhd->ntwhd", scores.softmax(-1), v).reshape(n, t, windows, c))


@pytest.mark.parametrize("masked", [False, True])
def test_scores_and_gradients_equal_an_explicit_softmax(masked: bool) -> None:
    attn = randomised(WindowAttention(6, 2, window_size=3)).double()
    mask = shift_mask(2, 2, window_size=3, shift=1, device=torch.device("cpu")) if masked else None
    x = torch.randn(3, 9, 4 if masked else 1, 6, dtype=torch.float64, requires_grad=True)
    actual, expected = attn(x, mask), softmax_attention(attn, x, mask)
    torch.testing.assert_close(actual, expected)
    weight, inputs = torch.randn_like(actual), [x, *attn.parameters()]
    for ours, reference in zip(
        torch.autograd.grad((actual * weight).sum(), inputs),
        torch.autograd.grad((expected * weight).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(ours, reference)


class Shapes(TorchDispatchMode):
    """Record the operators called, and the shape of every tensor they return."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []
        self.operators: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.operators.add(func.overloadpacket.__name__)
        self.shapes += [tuple(y.shape) for y in tree_leaves(out) if isinstance(y, Tensor)]
        return out


@pytest.mark.parametrize("shifted", [False, True])
def test_images_share_bias_and_mask_and_attention_scores_are_not_stored(shifted: bool) -> None:
    heads, w, side, images = 2, 4, 8, 5
    block = Block(8, heads, window_size=w, shifted=shifted)
    with torch.no_grad(), Shapes() as seen:
        block.attend(torch.randn(images, side, side, 8))
    assert "_scaled_dot_product_flash_attention_for_cpu" in seen.operators
    made_for_pairs = [math.prod(shape) for shape in seen.shapes if shape[-2:] == (w * w, w * w)]
    assert max(made_for_pairs) == heads * w**4 * ((side // w) ** 2 if shifted else 1)


@pytest.mark.medium
@pytest.mark.parametrize("size", [64, 52], ids=["whole windows", "padded"])
def test_it_compiles_to_one_graph_for_any_batch_size(size: int) -> None:
    network = create_model("swin_test", num_classes=5).eval()
    torch.compiler.reset()
    compiled = torch.compile(network, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        for number in (2, 3):
            x = torch.randn(number, 3, size, size)
            torch._dynamo.mark_dynamic(x, 0)
            with torch._dynamo.config.patch(error_on_recompile=number > 2):
                torch.testing.assert_close(compiled(x), network(x))


def test_the_bias_index_is_not_in_the_state_dict() -> None:
    network = create_model("swin_test")
    assert set(network.state_dict()) == {name for name, _ in network.named_parameters()}


def test_a_map_of_one_window_is_not_shifted() -> None:
    shifted = randomised(Block(4, 2, window_size=4, shifted=True))
    plain = randomised(Block(4, 2, window_size=4, shifted=False))
    x = torch.randn(1, 4, 4, 4)
    torch.testing.assert_close(shifted(x), plain(x), rtol=0, atol=0)


def test_bias_offsets_are_in_row_major_order() -> None:
    attention = WindowAttention(4, 1, 2)
    with torch.no_grad():
        attention.relative_position_bias_table.copy_(torch.arange(9.0)[:, None])
    expected = torch.tensor([[4.0, 3, 1, 0], [5, 4, 2, 1], [7, 6, 4, 3], [8, 7, 5, 4]])
    torch.testing.assert_close(attention.bias()[0, 0], expected)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"depths": (1,)}, r"depths \(1,\) and heads \(1, 2\): give one number above 0 in each"),
        ({"dim": 15}, r"dim is 15 and heads \(1, 2\); give channels divisible by the heads"),
        ({"window_size": 0}, "window_size is 0; give 1 or more"),
        ({"mlp_ratio": 0.0}, "mlp_ratio is 0.0; give a number above 0"),
    ],
)
def test_invalid_configs_raise(fields: dict[str, object], message: str) -> None:
    fields = {"heads": (1, 2), **fields}
    if "dim" in fields:
        fields["heads"] = (2, 2)
        message = message.replace(r"\(1, 2\)", r"\(2, 2\)")
    with pytest.raises(InputError, match=message):
        create_model("swin_test", **fields)
