"""The Nystromformer.

Xiong et al., "Nystromformer: A Nystrom-Based Algorithm for Approximating Self-Attention", 2021, arXiv 2102.03902.

Attention through m landmarks, which are means of queries and of keys over m parts of the sequence, q' and k':

    y = softmax(q k'^T) pinv(softmax(q' k'^T)) softmax(q' k^T) v + conv(v),    each logit divided by sqrt(d)

Time n m d + m^3 a head. The pseudo-inverse is iterated from the transposed matrix, divided by its largest sums of rows
and of columns. With as many landmarks as steps, and enough iterations, it is softmax attention. The depthwise
convolution over steps has one kernel for each head, as in the authors' code.

Landmarks divide the steps that a sequence has, without padding, as evenly as possible; a sequence of fewer steps has a
landmark for each. The authors' code (mlpen/Nystromformer) differs: it takes means over padding too, which it zeroes;
lengths are rounded up to a power of two; and the scale of the first pseudo-inverse is one maximum over the batch, so
that an answer depends on the other sequences of its batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.data.sequences.inputs import SequenceInputs
from modernet.errors import InputError
from modernet.layers.precision import without_autocast
from modernet.sequences.attention import HeadMixer
from modernet.sequences.config import SequenceConfig, register_sequence_model
from modernet.sequences.mixer import Mixer


class NystromAttention(HeadMixer):
    """The attention above, with its convolution."""

    def __init__(self, config: NystromformerConfig) -> None:
        super().__init__(config)
        self.landmarks, self.iterations = config.landmarks, config.iterations
        size = config.kernel_size
        self.conv = nn.Conv2d(
            config.heads, config.heads, (size, 1), padding=(size // 2, 0), groups=config.heads, bias=False
        )

    def mix(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        if mask is not None:
            v = v * mask[:, None, :, None]
        y: Tensor = nystrom_attention(q, k, v, mask, self.landmarks, self.iterations) + self.conv(v)
        return y


def nystrom_attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, landmarks: int, iterations: int = 6
) -> Tensor:
    """Attend through landmarks, without the convolution.

    Args:
        q, k, v: (b, heads, n, d).
        mask: bool (b, n), False in padding; None if there is none.
        landmarks: at most.
        iterations: of the pseudo-inverse.

    Returns:
        (b, heads, n, d).
    """
    steps = torch.ones(1, q.shape[2], dtype=torch.bool, device=q.device) if mask is None else mask
    means, used = segment_means(steps, landmarks, q.dtype)
    landmark_q, landmark_k = (torch.einsum("bmn,bhnd->bhmd", means.expand(x.shape[0], -1, -1), x) for x in (q, k))
    logits = landmark_q @ landmark_k.mT * q.shape[-1] ** -0.5
    among = logits.masked_fill(~used[:, None, None, :], torch.finfo(logits.dtype).min).softmax(-1)
    # Landmarks that a short sequence does not use become a part of the matrix that is its own inverse
    both = used[:, None, None, :] & used[:, None, :, None]
    among = among.where(both, torch.eye(used.shape[1], dtype=among.dtype, device=q.device))
    to_steps = F.scaled_dot_product_attention(landmark_q, k, v, None if mask is None else mask[:, None, None, :])
    to_landmarks = None if mask is None else used[:, None, None, :]
    inverse = pseudo_inverse(among, iterations)
    return F.scaled_dot_product_attention(
        q, landmark_k, (inverse @ to_steps.to(inverse.dtype)).to(v.dtype), to_landmarks
    )


def segment_means(mask: Tensor, landmarks: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Divide the steps of each sequence into as many parts as there are landmarks, or steps if those are fewer.

    Returns:
        The weights of the mean of each part, (b, m, n), and which parts a sequence has, bool (b, m).
    """
    m = min(landmarks, mask.shape[1])
    count = mask.sum(1, keepdim=True)  # b 1
    part = (mask.cumsum(1) - 1) * count.clamp(max=m) // count.clamp(min=1)  # b n
    member = (part[:, None] == torch.arange(m, device=mask.device)[:, None]) & mask[:, None]  # b m n
    sizes = member.sum(-1, keepdim=True)
    return member.to(dtype) / sizes.clamp(min=1), sizes[..., 0] > 0


def pseudo_inverse(matrix: Tensor, iterations: int) -> Tensor:
    """Approximate the Moore-Penrose inverse by the paper's iteration of third order, in float32 or better.

    Args:
        matrix: (..., m, m), not negative, whose rows sum to 1.
        iterations: 6 in the paper, which leaves an error of some per cent; more converge.
    """
    with without_autocast(matrix.device):
        a = matrix.to(torch.promote_types(matrix.dtype, torch.float32))
        eye = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device)
        z = a.mT / a.sum(-2).amax(-1)[..., None, None]
        for _ in range(iterations):
            az = a @ z
            z = z @ (13 * eye - az @ (15 * eye - az @ (7 * eye - az))) / 4
        return z


@dataclass(frozen=True, kw_only=True)
class NystromformerConfig(SequenceConfig):
    """A Nystromformer encoder. No dropout of attention, as in the authors' code."""

    landmarks: int = 64
    """Means of queries and of keys."""
    iterations: int = 6
    """Of the pseudo-inverse."""
    kernel_size: int = 35
    """Of the depthwise convolution of values, in steps; odd."""

    def __post_init__(self) -> None:
        for name in ("landmarks", "iterations", "kernel_size"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 or more")
        if self.kernel_size % 2 == 0:
            raise InputError(f"kernel_size is {self.kernel_size}; give an odd number")

    def mixer(self, inputs: SequenceInputs, block: int) -> Mixer:
        return NystromAttention(self)


@register_sequence_model("Xiong et al. 2021, arXiv 2102.03902; 64 landmarks, kernel of mlpen/Nystromformer")
def nystromformer() -> NystromformerConfig:
    return NystromformerConfig()
