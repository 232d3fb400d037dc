from __future__ import annotations

from modernet.catalogue import OTHER_MODELS
from modernet.points.zoo import point_models
from modernet.sequences.zoo import sequence_models


def test_the_names_are_those_of_the_registries() -> None:
    expected = {entry.name: "sequences" for entry in sequence_models()}
    assert expected | {entry.name: "point clouds" for entry in point_models()} == OTHER_MODELS
