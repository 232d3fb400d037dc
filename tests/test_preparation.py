from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from modernet.preparation import Preparation, as_size

PREPARATION = Preparation(224, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), crop=0.875)


def test_normalised_images_have_the_mean_and_deviation_asked_for() -> None:
    images = torch.randint(0, 256, (4, 3, 6, 5), dtype=torch.uint8)
    before = images.clone()
    normalised = PREPARATION.normalise(images)
    mean, std = (torch.tensor(values)[:, None, None] for values in (PREPARATION.mean, PREPARATION.std))
    torch.testing.assert_close(normalised, (images / 255 - mean) / std)
    assert normalised.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images, before)
    assert torch.equal(PREPARATION.normalise(images[1]), normalised[1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_normalising_leaves_its_input_alone(dtype: torch.dtype) -> None:
    images = torch.full((2, 3, 4, 4), 51.0, dtype=dtype).contiguous(memory_format=torch.channels_last)
    normalised = PREPARATION.normalise(images)
    assert (images == 51).all()
    assert normalised.dtype == torch.float32
    torch.testing.assert_close(normalised[0, :, 0, 0], torch.tensor([-1.5, -0.6667, -0.25]), atol=1e-4, rtol=0)


def test_what_is_first_normalised_in_inference_can_be_trained_on() -> None:
    preparation = Preparation(8, (0.123, 0.2, 0.3), (0.3, 0.3, 0.3))  # another than in any other test: it is cached
    images = torch.zeros(1, 3, 8, 8)
    with torch.inference_mode():
        preparation.normalise(images)
    weight = torch.ones(3, 1, 1, requires_grad=True)
    (preparation.normalise(images) * weight).sum().backward()
    assert weight.grad is not None


def test_sizes_are_squares_or_height_and_width() -> None:
    assert (PREPARATION.size, PREPARATION.with_size((96, 128)).size) == ((224, 224), (96, 128))
    assert PREPARATION.with_size(96).crop == 0.875
    assert as_size(7) == as_size((7, 7)) == (7, 7)


def test_importing_it_needs_no_torch() -> None:
    code = "import sys, modernet.preparation; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
