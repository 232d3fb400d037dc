from __future__ import annotations

import pytest
import torch

from modernet.studies.advise.evidence import measure_costs
from modernet.studies.compare.candidates import parse_candidates
from modernet.training import Interrupted

CPU = torch.device("cpu")


@pytest.mark.medium
def test_candidates_are_measured_side_by_side_and_one_that_fails_has_an_error() -> None:
    candidates = parse_candidates(["convnext_test", "resnet_test", "coatnet_test"])  # the last is for 64 pixels
    found = measure_costs(candidates, 32, 10, CPU, lambda: False)
    assert set(found) == {"convnext_test", "resnet_test", "coatnet_test"}
    for name in ("convnext_test", "resnet_test"):
        evidence = found[name]
        assert evidence.error is None
        assert evidence.latency_ms is not None
        assert evidence.images_per_second is not None
        assert evidence.images_per_second > 0.5 * 1000 / evidence.latency_ms  # a batch is no slower by far
        assert evidence.memory_mb is None or evidence.memory_mb > 0.1
    assert "takes 64x64" in (found["coatnet_test"].error or "")


def test_measuring_stops_on_request() -> None:
    with pytest.raises(Interrupted):
        measure_costs(parse_candidates(["resnet_test"]), 32, 10, CPU, lambda: True)
