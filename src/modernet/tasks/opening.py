"""What tasks on images open before they train: network, weights, data."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from modernet.data import ImageDataset, open_dataset
from modernet.models import get_entry
from modernet.recipes import ImageRecipe
from modernet.tasks.registry import TrainRequest
from modernet.weights import NetworkSpec, StartingWeights, starting_weights


class Opened(NamedTuple):
    """A network, the weights to start from, and the data as the network's weights or the recipe need it."""

    spec: NetworkSpec
    start: StartingWeights | None
    dataset: ImageDataset


def open_request(request: TrainRequest, recipe: ImageRecipe) -> Opened:
    """Open what a request names.

    Raises:
        InputError: the network is unknown, or the weights or the data cannot be opened.
    """
    model, _, tag = request.model.partition(".")
    spec = NetworkSpec("model", get_entry(model).name, dict(request.model_fields))
    start = starting_weights(request.model, request.weights) if tag or request.weights else None
    image_size = recipe.images.image_size
    if image_size is None and start is not None:
        image_size = start.image_size
    dataset = open_dataset(
        request.data,
        image_size=image_size,
        skip_unreadable=request.skip_unreadable,
        whole_images=recipe.cuts_images,
        interpolation=recipe.images.interpolation,
    )
    if start is not None:
        dataset = replace(dataset, mean=start.mean, std=start.std)
    return Opened(spec, start, dataset)
