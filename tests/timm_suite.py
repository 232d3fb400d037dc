"""timm's own tests over our networks: a pytest plugin for `.ci/timm-suite`, which fetches them with timm's sources.

`create_model`, `list_models`, `is_model` and the look-up of a `pretrained_cfg` by name are ours for our networks; all
else is timm's. A test that does not apply is expected to fail, and says why; any other must pass.
"""

from __future__ import annotations

from fnmatch import fnmatch
from typing import Any

import pytest
import timm
import timm.models
import torch

import modernet

torch.set_num_threads(1)  # the networks are tiny
SMALL = modernet.list_models("*_test")
_SWIN = "timm's classes of Swin are configured by embed_dim, num_heads and window ratios; ours by SwinConfig"
_TWO_MAPS = "a variant for tests with one or two feature maps; timm asks for three"
NOT_APPLICABLE = {
    "*fx_torchscript*": "TorchScript cannot read annotations that torch.fx copied as strings",
    "*_script_after_resize*": "TorchScript is deprecated by torch",
    "test_model_features_output_stride*": "no dilated stages",
    "test_catavgmax_unsupported*": "refused with an InputError, where timm's test expects an AssertionError",
    "test_head_hidden_size[[]resnet18*": "no pooling by catavgmax",
    "test_head_hidden_size[[]convnext_atto*": "no hidden layer in the head (head_hidden_size=64)",
    "test_forward_intermediates_stop_early_final_norm[[]swin*": _SWIN,
    "test_swin_family*": _SWIN,
    "test_relpos_non_square*[[]swin*": _SWIN,
    "test_headless_checkpoint_reload[[]swin*": _SWIN,
    "test_model_forward_features[[]1-alexnet*": "its convolutions are not padded, so its last map is 1x1 at 64 pixels",
    **{
        f"{test}[[]1-{name}]": _TWO_MAPS
        for test in ("test_model_forward_features", "test_model_forward_intermediates")
        for name in SMALL
        if len(modernet.create_model(name, device="meta").feature_info) < 3  # type: ignore[arg-type]
    },
}
OURS = ["resnet18", "resnet50", "resnet50d", "convnext_atto", "swin_tiny_patch4_window7_224", "vgg11", "levit_128"]
OURS += ["coat_tiny", "coat_lite_tiny", "vit_tiny_patch16_224"]  # networks of ours that timm's tests name

_theirs = timm.create_model


def create_model(name: str, *arguments: Any, **fields: Any) -> torch.nn.Module:
    make: Any = modernet.create_model if modernet.is_model(name) else _theirs
    return make(name, *arguments, **fields)


def list_models(*arguments: Any, module: Any = "", **fields: Any) -> list[str]:
    """Return those of our variants for tests that the filters select; timm's modules are not ours."""
    return [name for name in modernet.list_models(*arguments, **fields) if name in SMALL]


def get_pretrained_cfg_value(name: str, key: str) -> Any:
    return modernet.create_model(name, device="meta").pretrained_cfg.get(key)  # type: ignore[union-attr]


def no_pretrained(*_arguments: Any, **_fields: Any) -> list[str]:
    return []


for module in (timm, timm.models):
    module.create_model, module.list_models, module.is_model = create_model, list_models, modernet.is_model
    module.get_pretrained_cfg_value, module.list_pretrained = get_pretrained_cfg_value, no_pretrained


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    def is_ours(item: Any) -> bool:
        return hasattr(item, "callspec") and item.callspec.params.get("model_name") in (*SMALL, *OURS)

    config.hook.pytest_deselected(items=[item for item in items if not is_ours(item)])
    items[:] = [item for item in items if is_ours(item)]
    for item in items:
        for pattern, reason in NOT_APPLICABLE.items():
            if fnmatch(item.name, pattern):
                item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
