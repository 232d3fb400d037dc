"""Published results as points of a chart: what a point says is of one image size, or says what it is scaled from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from modernet.catalogue.published_models import DEVICES, PublishedModel, published_models
from modernet.catalogue.published_papers import published_papers

_Sizes = Mapping[int, PublishedModel]  # of one architecture, whose cost and speed depend on nothing but the image size


def published_points() -> list[dict[str, Any]]:
    """Return the values of every published result by name: those of `PublishedModel`, and

    - `gain`: what the weights gain in top-1 from the smallest image size that timm tests them at to the largest, in
      points, and `gain_sizes`, such as `"224 to 288"`;
    - `scaled`: device -> the image size which its speed is scaled from, by the number of pixels. Only a speed that is
      not published at the size of the accuracy is;
    - `borrowed`: 1 where a paper does not state cost or speed, and timm's of the same architecture stand in.
    """
    timm = published_models()
    architectures: dict[str, dict[int, PublishedModel]] = defaultdict(dict)
    for model in timm:
        architectures[model.architecture][model.image_size] = model
    gains = _gains(timm)
    return [
        *(_point(model, architectures[model.architecture]) | gains.get(model.name, {}) for model in timm),
        *(_point(model, architectures.get(model.architecture, {})) for model in published_papers()),
    ]


def _point(model: PublishedModel, alike: _Sizes) -> dict[str, Any]:
    params_m, gmacs = model.params_m, model.gmacs
    if params_m is None and alike:
        params_m = next(iter(alike.values())).params_m
    if gmacs is None and model.image_size in alike:
        gmacs = alike[model.image_size].gmacs
    speeds, scaled = _speeds(model, alike)
    stated = (model.params_m, model.gmacs, model.speeds) == (params_m, gmacs, speeds)
    return {
        "name": model.name,
        "family": model.family,
        "source": model.source,
        "licence": model.licence,
        "extra": int(model.extra_data),
        "size": model.image_size,
        "params_m": params_m,
        "gmacs": gmacs,
        **model.accuracies,
        "mce": model.mce,
        **speeds,
        "scaled": scaled or None,
        "borrowed": int(model.source != "timm" and not stated),
    }


def _speeds(model: PublishedModel, alike: _Sizes) -> tuple[dict[str, float], dict[str, int]]:
    """Return images per second by device at the model's image size, and device -> the size that it is scaled from."""
    speeds, scaled = dict(model.speeds), {}
    for device in DEVICES:
        known = {size: each.speeds[device] for size, each in alike.items() if device in each.speeds}
        if device in speeds or not known:
            continue
        nearest = min(known, key=lambda size: abs(size - model.image_size))
        speeds[device] = round(known[nearest] * (nearest / model.image_size) ** 2, 2)
        if nearest != model.image_size:
            scaled[device] = nearest
    return speeds, scaled


def _gains(models: Iterable[PublishedModel]) -> dict[str, dict[str, Any]]:
    tested: dict[str, dict[int, float]] = defaultdict(dict)
    for model in models:
        tested[model.name][model.image_size] = model.accuracies["top1"]
    return {
        name: {"gain": round(top1[max(top1)] - top1[min(top1)], 3), "gain_sizes": f"{min(top1)} to {max(top1)}"}
        for name, top1 in tested.items()
        if len(top1) > 1
    }
