"""Count a network for its row in the catalogue."""

from __future__ import annotations

import torch

from modernet.catalogue import NetworkFacts
from modernet.counting.macs import count
from modernet.counting.stages import describe_stages
from modernet.models import Backbone, create_model, get_entry


def network_facts(name: str, image_size: int | None = None) -> NetworkFacts:
    """Return what the catalogue says of a network, counted now.

    Args:
        name: one of `list_models()`, or `timm:NAME`, which has no stages that we know.
        image_size: side of the square image in pixels; None: that of the published figures.

    Raises:
        InputError: there is no such network, or the image is too small for it.
    """
    entry = get_entry(name)
    size = entry.published.image_size if image_size is None else image_size
    with torch.device("meta"):
        network = create_model(name)
        assert isinstance(network, Backbone)
        counts = count(network, size, entry.config.in_chans)
        stages = [] if network.wrapped_name else describe_stages(network, size, entry.config.in_chans)
    return NetworkFacts(
        name=name,
        family=entry.family,
        params=counts.params,
        macs=counts.macs,
        image_size=size,
        top1=entry.published.top1,
        source=entry.published.source,
        fixed_size=hasattr(entry.config, "image_size"),
        stages=tuple(stages),
    )
