"""Training and optimized networks on a GPU; the tests of the kernels run there as well."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import modernet
from modernet.data import ImageDataset
from modernet.recipes import get_recipe
from modernet.weights import NetworkSpec

pytestmark = pytest.mark.gpu
GPU = torch.device("cuda")
SPEC = NetworkSpec("model", "convnext_test", {"stem_stride": 1})
RECIPE = get_recipe("quick").replace(epochs=2, batch_size=16)


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-3), ("bf16", 5e-2)])
def test_a_gpu_gives_the_losses_of_a_cpu(
    stripes: ImageDataset, tmp_path: Path, precision: str, tolerance: float
) -> None:
    runs = {torch.device("cpu"): RECIPE, GPU: RECIPE.replace(precision=precision)}
    histories = [
        modernet.train_classifier(SPEC, stripes, recipe, folder=tmp_path / device.type, device=device).history
        for device, recipe in runs.items()
    ]
    on_cpu, on_gpu = ([epoch["train_loss"] for epoch in history] for history in histories)
    assert on_gpu == pytest.approx(on_cpu, rel=tolerance)


def test_an_optimized_network_gives_the_same_scores_on_a_gpu() -> None:
    network = modernet.create_model("convnext_test", num_classes=5).to(GPU).eval()
    images = torch.randn(4, 3, 32, 32, device=GPU)
    with torch.inference_mode():
        torch.testing.assert_close(
            modernet.optimize(network, images, seconds=0.5)(images), network(images), rtol=1e-3, atol=1e-3
        )
