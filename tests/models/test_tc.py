"""The T-C network: its images, its shared weights, and invalid configs."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from modernet.counting import count
from modernet.errors import InputError
from modernet.models import create_model, tc


def test_every_rotation_occurs_once_at_every_position() -> None:
    images, labels = tc.tc_problem(7)
    assert images.shape == (8 * 9, 1, 7, 7)
    assert labels.tolist() == 36 * [0] + 36 * [1]
    assert len({tuple(image.flatten().tolist()) for image in images}) == len(images)
    assert bool((images.sum((1, 2, 3)) == 5).all())
    inside = images[:, :, 1:-1, 1:-1]
    assert bool((inside.sum((1, 2, 3)) == 5).all()), "the border stays empty"
    assert bool((inside.sum((0, 1)) > 0).all()), "every other square is used"


def test_no_pair_of_squares_distinguishes_t_from_c() -> None:
    """Over the four rotations, the offsets between their squares are the same (Minsky and Papert 1969)."""
    images, labels = tc.tc_problem(5)
    offsets: list[list[tuple[float, float]]] = []
    for label in (0, 1):
        squares = [image[0].nonzero() for image in images[labels == label]]
        pairs = [(a - b).tolist() for places in squares for a in places for b in places]
        offsets.append(sorted(map(tuple, pairs)))
    assert offsets[0] == offsets[1]


def test_a_grid_that_is_too_small_raises() -> None:
    assert len(tc.tc_problem(5)[0]) == 8
    with pytest.raises(
        InputError, match="grid_size is 4; give 5 or more: a letter of 3x3 squares within an empty border"
    ):
        tc.tc_problem(4)


def test_scores_do_not_depend_on_the_position_of_the_letter() -> None:
    torch.manual_seed(0)
    network = create_model("tc")
    images, _ = tc.tc_problem(8)
    scores = network(images).unflatten(0, (8, 16))  # letter and rotation, position
    torch.testing.assert_close(scores, scores[:, :1].expand_as(scores))
    assert bool((scores[0, 0] != scores[4, 0]).any())


def test_the_network_has_14_parameters_and_at_most_11_macs_per_square() -> None:
    counts = count(create_model("tc"), 8, in_chans=1)
    assert (counts.params, counts.macs) == (9 + 1 + 2 + 2, 9 * 64 + 2)


def test_a_hidden_unit_is_logistic_and_the_pool_is_a_sum() -> None:
    network = create_model("tc", kernels=2)
    blank = network.forward_features(torch.zeros(1, 1, 6, 9))
    torch.testing.assert_close(blank, torch.full((1, 2, 6, 9), 1 / (1 + torch.e**4)))
    torch.testing.assert_close(network.pool(blank), 54 * blank[:, :, 0, 0])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"drop_path_rate": 0.1}, "drop_path_rate is 0.1; a T-C network has no residual branches to drop"),
        ({"kernels": 0}, "kernels is 0; give 1 or more"),
    ],
)
def test_invalid_configs_raise(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        tc.TCConfig(**fields)
