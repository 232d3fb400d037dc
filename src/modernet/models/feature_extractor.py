"""A backbone as a list of feature maps."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from modernet.models.backbone import Backbone


class FeatureExtractor(nn.Module):
    """A backbone without its head that returns a list of feature maps; `features_only=True` creates it.

    The head and all stages after the last feature map are removed, so every remaining parameter gets a gradient.

    Attributes:
        feature_info: the returned feature maps, in order.
    """

    def __init__(self, backbone: Backbone, out_indices: int | Sequence[int] | None = None) -> None:
        super().__init__()
        self._indices = backbone.feature_indices(out_indices)
        self.feature_info = backbone.feature_info.select(self._indices)
        backbone.prune(self._indices)
        self.backbone = backbone

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return a map `(b, num_chs, h / reduction, w / reduction)` per entry of `feature_info`."""
        maps = self.backbone.forward_intermediates(x, self._indices, stop_early=True, intermediates_only=True)
        assert isinstance(maps, list)
        return maps
