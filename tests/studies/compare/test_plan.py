"""What a comparison is going to train, and which networks belong to one comparison."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import save_file

from modernet.models import create_model
from modernet.recipes import get_recipe
from modernet.studies import Machines
from modernet.studies.compare import CompareRequest
from modernet.studies.compare.budgets import Share
from modernet.studies.compare.plan import Plan, make_plan

CONVNEXT = "convnext_test:depths=(1,1,1,1),dims=(8,8,16,16),stem_stride=2"
RESNET = "resnet18:width=8,depths=(1,1,1,1)"
OTHER = "resnet18:width=16,depths=(1,1,1,1)"
RECIPE = get_recipe("quick").replace(batch_size=16).lasting(1)


def planned(data: Path, *names: str, weights: Path | None = None, seeds: int = 2, known: Sequence[str] = ()) -> Plan:
    request = CompareRequest(names, str(data), RECIPE, seeds=seeds, weights_dir=weights)
    return make_plan(request, Machines(workers=1), Path("unused"), known)


def test_networks_whose_images_are_normalised_differently_are_of_one_comparison(
    image_folder: Path, tmp_path: Path
) -> None:
    save_file(create_model("resnet18", width=8, depths=(1, 1, 1, 1)).state_dict(), tmp_path / "resnet18.safetensors")
    first = planned(image_folder, CONVNEXT, RESNET, weights=tmp_path)
    again = planned(image_folder, RESNET, CONVNEXT, weights=tmp_path, known=first.fingerprints)
    more = planned(image_folder, OTHER, CONVNEXT, seeds=3, known=first.fingerprints)

    assert len(first.fingerprints) == 2
    assert first.digest == again.digest == more.digest
    (run, *_) = again.final_runs(again.candidates[0], Share(1), {})
    assert run.settings["comparison"] == first.digest


def test_other_images_are_another_comparison(image_folder: Path) -> None:
    first = planned(image_folder, CONVNEXT, RESNET)
    (image_folder / "vertical" / "1.png").unlink()
    assert planned(image_folder, CONVNEXT, RESNET, known=first.fingerprints).digest != first.digest
