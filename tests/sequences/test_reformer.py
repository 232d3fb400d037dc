from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from explicit_attention import mixer, projections, some_padding
from modernet.errors import InputError
from modernet.sequences.reformer import HashAttention, hashed, rotations, sorted_by, take


def shared_attention(q: Tensor, v: Tensor, seen: Tensor) -> Tensor:
    """Return attention of queries that are their keys, (n, d), a step seeing itself only where it sees nothing else."""
    logits = q @ F.normalize(q, dim=-1).T / q.shape[-1] ** 0.5 - 1e5 * torch.eye(len(q), dtype=q.dtype)
    return logits.masked_fill(~seen, -torch.inf).softmax(-1) @ v


def seen_by_hashing(reformer: HashAttention, q: Tensor, head: int) -> Tensor:
    """Return which steps of q (n, d) see which, bool (n, n), step by step."""
    n = len(q)
    seen = torch.zeros(n, n, dtype=torch.bool)
    for rotation in reformer.rotations[head]:
        bucket = torch.cat([q @ rotation, -q @ rotation], 1).argmax(1).tolist()
        place = {step: i for i, step in enumerate(sorted(range(n), key=lambda step: (bucket[step], step)))}
        for i in range(n):
            for j in range(n):
                back = place[i] // reformer.chunk - place[j] // reformer.chunk
                seen[i, j] |= bucket[i] == bucket[j] and back in (0, 1)
    return seen


@pytest.mark.parametrize("hashes", [1, 3])
@pytest.mark.parametrize("n", [24, 21, 3, 1])
def test_reformer_is_attention_to_the_union_of_what_its_rounds_see(n: int, hashes: int) -> None:
    (q, _, v), mask = projections(n), some_padding(n)
    reformer = mixer("reformer", 24, chunk=4, hashes=hashes, buckets=4)
    mixed = reformer.mix(q, q, v, mask)
    for sequence, length in enumerate(mask.sum(1).tolist()):
        for head in range(2):
            steps, values = q[sequence, head, :length], v[sequence, head, :length]
            expected = shared_attention(steps, values, seen_by_hashing(reformer, steps, head))
            torch.testing.assert_close(mixed[sequence, head, :length], expected, rtol=1e-10, atol=1e-10)


def test_one_chunk_without_hashing_is_full_attention_with_shared_queries() -> None:
    q, _, v = projections(24)
    mixed = mixer("reformer", 24, chunk=24, hashes=2, buckets=1).mix(q, q, v, None)
    everything = torch.ones(24, 24, dtype=torch.bool)
    torch.testing.assert_close(mixed[0, 0], shared_attention(q[0, 0], v[0, 0], everything), rtol=1e-10, atol=1e-10)


def test_equal_steps_share_a_bucket_and_opposite_ones_do_not() -> None:
    q, _, _ = projections(24)
    rotation = rotations(2, 3, 8, 6, seed=0).double()
    bucket = hashed(torch.cat([q, 3 * q, -q], 2), rotation, 6)
    same, scaled, opposite = bucket.unflatten(-1, (3, 24)).unbind(-2)
    assert bucket.unique().tolist() == list(range(6))
    assert torch.equal(same, scaled)
    assert torch.equal((same + 3) % 6, opposite)


def test_unsorting_undoes_sorting() -> None:
    q, _, _ = projections(24)
    step, place = sorted_by(torch.randint(0, 4, (2, 2, 24)))
    assert torch.equal(take(take(q, step), place), q)


def test_two_buckets_for_each_chunk() -> None:
    assert mixer("reformer", 4000, chunk=64).buckets == 126


def arena_attention(q: Tensor, v: Tensor, seen: Tensor) -> Tensor:
    """Return what the Arena's code makes of one sequence and head, (n, d)."""
    return (q @ q.T * q.shape[-1] ** 0.5).masked_fill(~seen, -torch.inf).softmax(-1) @ v


@pytest.mark.parametrize("n", [39, 20])
def test_the_arenas_chunks_see_the_one_before_and_the_first_the_last_of_the_longest_sequence(n: int) -> None:
    q, _, v = projections(n)
    arena = mixer("reformer_lra", 39, buckets=4)
    mixed = arena.mix(q, q, v, None)
    rotation = arena.rotations[0, 0]
    for head in range(2):
        steps = q[0, head]
        bucket = torch.cat([steps @ rotation, -steps @ rotation], 1).argmax(1)
        chunk = bucket.argsort(stable=True).argsort() // 10
        back = (chunk[:, None] - chunk) % 4
        expected = arena_attention(steps, v[0, head], back <= 1)
        torch.testing.assert_close(mixed[0, head], expected, rtol=1e-10, atol=1e-10)


def test_the_arenas_chunks_leave_room_for_a_step_of_padding() -> None:
    assert [mixer("reformer_lra", steps, buckets=4).chunk for steps in (39, 40)] == [10, 11]


def test_a_short_sequence_is_one_chunk_of_the_arenas() -> None:
    q, _, v = projections(8)
    mixed = mixer("reformer_lra", 79).mix(q, q, v, None)
    expected = arena_attention(q[0, 0], v[0, 0], torch.ones(8, 8, dtype=torch.bool))
    torch.testing.assert_close(mixed[0, 0], expected, rtol=1e-10, atol=1e-10)


def test_the_arenas_has_two_projections_of_the_whole_width_and_none_at_the_end() -> None:
    assert sum(p.numel() for p in mixer("reformer_lra", 24, qkv_width=8).parameters()) == 2 * 16 * 16
    assert sum(p.numel() for p in mixer("reformer", 24, qkv_width=8).parameters()) == 3 * 16 * 8


def test_an_odd_number_of_buckets_is_refused() -> None:
    with pytest.raises(InputError, match="buckets is 5; give an even number, or 1 for no hashing"):
        mixer("reformer", 24, buckets=5)
