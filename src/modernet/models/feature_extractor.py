"""A backbone as a list of feature maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from modernet.models.backbone import Backbone
from modernet.models.scripting import scriptable_graph

_OF_THE_HEAD = ("num_classes", "classifier")


class FeatureExtractor(nn.Module):
    """A backbone without its head that returns a list of feature maps; `features_only=True` creates it.

    The head and all stages after the last feature map are removed, so every remaining parameter gets a gradient.

    Attributes:
        feature_info: the backbone's feature maps; `out_indices` are those that are returned, in order.
        pretrained_cfg: what is known of the backbone's weights and images, under timm's keys.
    """

    def __init__(self, backbone: Backbone, out_indices: int | Sequence[int] | None = None) -> None:
        super().__init__()
        self._indices = backbone.prune_intermediate_layers(out_indices, prune_norm=True)
        self.feature_info = backbone.feature_info.from_other(self._indices)
        self.backbone = backbone

    @property
    def pretrained_cfg(self) -> dict[str, Any]:
        return {key: value for key, value in self.backbone.pretrained_cfg.items() if key not in _OF_THE_HEAD}

    @property
    def default_cfg(self) -> dict[str, Any]:
        """Another name of `pretrained_cfg`, which timm's code uses too."""
        return self.pretrained_cfg

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute the activations of each block in the backward pass; see `Backbone.set_grad_checkpointing`."""
        self.backbone.set_grad_checkpointing(enable)

    def __prepare_scriptable__(self) -> nn.Module:
        """As `scriptable_graph`."""
        return scriptable_graph(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return a map `(b, num_chs, h / reduction, w / reduction)` per index in `feature_info.out_indices`."""
        maps = self.backbone.forward_intermediates(x, self._indices, stop_early=True, intermediates_only=True)
        assert isinstance(maps, list)
        return maps
