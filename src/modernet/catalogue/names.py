"""Names of networks and of their weights, listed with timm's filters."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

from modernet.catalogue.networks import TIMM_PREFIX, all_networks
from modernet.catalogue.timm_names import zoo_name
from modernet.catalogue.weights import weights_of


def list_models(
    filter: str | Sequence[str] = "",
    module: str | Sequence[str] = "",
    pretrained: bool = False,
    exclude_filters: str | Sequence[str] = "",
    name_matches_cfg: bool = False,
    include_tags: bool | None = None,
) -> list[str]:
    """Return names that `create_model` takes. The arguments are those of timm's.

    Args:
        filter: shell patterns, of which one must match: `"convnext*"` in the zoo, `"timm:regnet*"` in timm. By default
            the whole zoo.
        module: families, such as `convnext`: names of the modules of `modernet.models`.
        pretrained: only those with published weights.
        exclude_filters: shell patterns of names to leave out.
        name_matches_cfg: changes nothing: every network has a `pretrained_cfg` of its own name.
        include_tags: a name for each set of weights, `model.tag`; by default if `pretrained`.

    >>> list_models("convnext_t*", exclude_filters="*_test")
    ['convnext_tiny', 'convnext_tiny_31']
    >>> list_models("convnext_tiny.*", pretrained=True)[:1]
    ['convnext_tiny.fb_in1k']
    """
    patterns, modules, excluded = _as_list(filter) or ["*"], _as_list(module), _as_list(exclude_filters)
    tagged = pretrained if include_tags is None else include_tags
    found: dict[str, None] = {}  # in order, once each
    for pattern in patterns:
        for model in _models(pattern):
            if modules and (model not in all_networks() or all_networks()[model].family not in modules):
                continue
            weights = weights_of(model) if pretrained or tagged else ()
            if pretrained and not weights:
                continue
            names = [entry.name for entry in weights] if tagged and weights else [model]
            found |= dict.fromkeys(name for name in names if _matches(name, pattern))
    return [name for name in found if not any(_matches(name, pattern) for pattern in excluded)]


def is_model(model_name: str) -> bool:
    """Return whether `create_model` knows a name, with or without the tag of its weights."""
    if not model_name.startswith(TIMM_PREFIX):
        return zoo_name(model_name).partition(".")[0] in all_networks()
    import timm  # here, since it takes seconds to import

    return timm.is_model(model_name.removeprefix(TIMM_PREFIX))


def _models(pattern: str) -> Sequence[str]:
    if not pattern.startswith(TIMM_PREFIX):
        return list(all_networks())
    from modernet.catalogue.publishers import timm_models  # here, since timm takes seconds to import

    return timm_models(pattern.partition(".")[0])


def _matches(name: str, pattern: str) -> bool:
    """Return whether a pattern is that of a name, `model` or `model.tag`, or of its model."""
    return fnmatch.fnmatch(name, pattern) or fnmatch.fnmatch(name.partition(".")[0], pattern)


def _as_list(patterns: str | Sequence[str]) -> list[str]:
    return [patterns] if isinstance(patterns, str) and patterns else list(patterns)
