"""The example that runs an exported network predicts what `modernet predict` does."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from modernet.deploy import export_saved
from modernet.evaluation import predict
from modernet.preparation import Preparation
from modernet.weights import NetworkSpec, SavedNetwork

EXAMPLE = Path(__file__).parents[2] / "examples" / "run_onnx.py"


@pytest.mark.medium
@pytest.mark.parametrize("with_normalisation", [False, True])
def test_an_exported_network_classifies_images_without_modernet(
    with_normalisation: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = importlib.util.spec_from_file_location("run_onnx", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)

    torch.manual_seed(0)
    network = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(3 * 6 * 6, 4)).eval()
    classes, mean, std = ("a", "b", "c", "d"), (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
    saved = SavedNetwork(
        network, NetworkSpec("model", "pooled", {}), classes, Preparation(24, mean, std, 0.8, "bicubic")
    )
    paths = []
    for number, (width, height) in enumerate([(50, 40), (31, 64), (24, 24)]):
        noise = np.random.default_rng(number).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).save(paths[-1])
    done = export_saved(saved, tmp_path / "network.onnx", with_normalisation=with_normalisation)
    predicted = example.main([str(done.path), *map(str, paths)])

    expected = [prediction.predictions[0] for prediction in predict(saved, paths)]
    assert [label for label, _ in predicted] == [prediction.label for prediction in expected]
    assert [probability for _, probability in predicted] == pytest.approx(
        [prediction.probability for prediction in expected], rel=1e-3
    )
    assert f"{paths[0]}: {predicted[0][0]} (" in capsys.readouterr().out
