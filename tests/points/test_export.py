"""Classifiers as exported files."""

from __future__ import annotations

import pytest
import torch

from modernet.data.points.inputs import PointInputs
from modernet.points.config import POINT_MODELS
from modernet.points.zoo import create_point_model


@pytest.mark.medium
@pytest.mark.parametrize("name", POINT_MODELS)
def test_a_classifier_exports_for_any_batch(name: str) -> None:
    torch.manual_seed(0)
    network = create_point_model(name, PointInputs(32), 5).double().eval()
    points = torch.randn(4, 32, 3, dtype=torch.float64)
    exported = torch.export.export(network, (points,), dynamic_shapes=({0: torch.export.Dim("batch")},)).module()
    for some in (points[:3], torch.cat([points, points + 1])):
        torch.testing.assert_close(exported(some), network(some), rtol=1e-9, atol=1e-12)
