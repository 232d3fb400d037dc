"""A classifier that is trained on the features of a backbone that is not: the linear probe of MAE.

He et al. 2021, "Masked autoencoders are scalable vision learners", arXiv 2111.06377, appendix A.1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from modernet.errors import InputError
from modernet.models import Backbone

_STD = 0.01


class FrozenClassifier(nn.Module):
    """A backbone in evaluation mode, without gradients, and a linear classifier on its standardised features.

    The features are what the backbone's classifier takes. They are standardised by a BatchNorm without scale and shift,
    with the eps 1e-6 of the release.

    Args:
        backbone: its classifier is replaced by `merged`.

    Raises:
        InputError: its classifier is not one linear layer.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        linear = backbone.get_classifier()
        if not isinstance(linear, nn.Linear) or len(backbone.classifier_names()) > 1:
            raise InputError(
                f"the classifier of a {type(backbone).__name__} is not one linear layer, which frozen needs; "
                "use modernet probe"
            )
        self.backbone = backbone.requires_grad_(False)
        self.norm = nn.BatchNorm1d(linear.in_features, eps=1e-6, affine=False)
        self.head = nn.Linear(linear.in_features, linear.out_features)
        nn.init.trunc_normal_(self.head.weight, std=_STD)
        nn.init.zeros_(self.head.bias)

    def train(self, mode: bool = True) -> FrozenClassifier:
        """Change the mode of everything but the backbone."""
        super().train(mode)
        self.backbone.eval()
        return self

    def layer_groups(self, groups: str = "block") -> list[list[str]]:
        """Return the names of all parameters as one layer: what is trained has the full rate, whatever the decay."""
        return [[name for name, _ in self.named_parameters()]]

    def no_weight_decay(self) -> set[str]:
        """Return the empty set: only the bias, which no network decays, is exempt."""
        return set()

    def forward(self, images: Tensor) -> Tensor:
        """Return class scores `(b, num_classes)` for images `(b, in_chans, h, w)`."""
        with torch.no_grad():
            features = self.backbone.forward_head(self.backbone.forward_features(images), pre_logits=True)
        scores: Tensor = self.head(self.norm(features))
        return scores

    @torch.no_grad()
    def merged(self) -> Backbone:
        """Return the backbone with the classifier, which the BatchNorm of evaluation mode is part of."""
        mean, variance = self.norm.running_mean, self.norm.running_var
        assert mean is not None
        assert variance is not None
        linear = self.backbone.get_classifier()
        assert isinstance(linear, nn.Linear)
        weight = self.head.weight * (variance + self.norm.eps).rsqrt()
        linear.weight.copy_(weight)
        linear.bias.copy_(self.head.bias - weight @ mean)
        return self.backbone
