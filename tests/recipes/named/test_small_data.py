from __future__ import annotations

import ast
import shlex
from pathlib import Path

import pytest
import torch

from modernet.data import ImageDataset, open_dataset
from modernet.models import create_model
from modernet.recipes import RECIPES, get_recipe
from modernet.tasks import train_classifier
from modernet.weights import NetworkSpec

NARROW = NetworkSpec(
    "model",
    "convnext_pico",
    {"depths": (1, 1, 1), "dims": (16, 32, 64), "stem_stride": 4, "layer_scale_init": 0.0},
)


@pytest.fixture(scope="module")
def scenes() -> ImageDataset:
    return open_dataset("digit_scenes")


@pytest.mark.medium
def test_a_narrow_convnext_learns_digits_in_a_few_seconds(tmp_path: Path, scenes: ImageDataset) -> None:
    recipe = get_recipe("small_data").replace(flip=0.0, batch_size=32).lasting(8)  # 384 steps

    record = train_classifier(NARROW, scenes, recipe, seed=0, folder=tmp_path, device=torch.device("cpu"))

    assert record.metrics["test_top1"] > 50  # 66.6 to 71.0 for seeds 0 to 4; chance is 10


def test_the_recipe_names_a_network_below_ten_million_parameters() -> None:
    words = shlex.split(RECIPES["small_data"].command)
    fields = {name: ast.literal_eval(value) for name, _, value in (word.partition("=") for word in words[-4:])}

    with torch.device("meta"):
        network = create_model(words[words.index("--model") + 1], **fields)

    assert 5e6 < sum(weight.numel() for weight in network.parameters()) < 10e6
