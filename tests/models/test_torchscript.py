"""TorchScript of networks that contain a backbone; `test_tools.py` scripts the backbones themselves."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from modernet.errors import InputError
from modernet.models import Backbone, FeaturePyramid, create_model
from modernet.segmentation import Segmenter

pytestmark = pytest.mark.filterwarnings("ignore")  # deprecated


def backbone() -> Backbone:
    network = create_model("convnext_test")
    assert isinstance(network, Backbone)
    return network


@pytest.mark.parametrize("kind", ["extractor", "pyramid"])
def test_scripting_changes_no_network(kind: str) -> None:
    network: nn.Module = (
        create_model("convnext_test", features_only=True) if kind == "extractor" else FeaturePyramid(backbone())
    ).eval()
    modules, x = [*network.modules()], torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(torch.jit.script(network)(x), network(x))
    assert [*network.modules()] == modules


def test_what_cannot_be_scripted_is_refused_before_it_is_changed() -> None:
    network = Segmenter(backbone(), 2).eval()
    modules = [*network.modules()]
    with pytest.raises(
        InputError, match=r"TorchScript cannot take a Segmenter \(.*\); use torch\.jit\.trace, or torch"
    ):
        torch.jit.script(network)
    assert [*network.modules()] == modules
