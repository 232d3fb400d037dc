"""Corrupted images in the layout of ImageNet-C are tested as they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from modernet import progress
from modernet.data import fit_image, read_image
from modernet.data.transforms.corruptions import Corrupt
from modernet.errors import InputError
from modernet.studies.robustness import NamedNetwork, RobustnessRequest, measure_robustness
from modernet.studies.robustness.published import published_cells
from modernet.studies.robustness.request import Cell
from small_classifiers import save_classifier, save_images


def publish(photos: Path, folder: Path, corruption: str, severity: int, side: int = 224, crop: float = 0.875) -> None:
    """Write corrupted crops as ImageNet-C has them."""
    corrupt = Corrupt(corruption, severity)
    for path in photos.rglob("*.png"):
        pixels = corrupt(fit_image(read_image(path), side, crop=crop)[None])[0]
        file = folder / corruption / str(severity) / path.parent.name / f"{path.stem}.JPEG"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=85, optimize=True)


@pytest.mark.parametrize(("size", "side", "crop"), [(48, 48, 1.0), (160, 224, 0.875)])
def test_published_images_give_the_errors_of_those_made_on_the_fly(
    tmp_path: Path, size: int, side: int, crop: float
) -> None:
    network, photos = save_classifier(tmp_path / "run", size=size), save_images(tmp_path / "photos")
    for severity in (1, 5):
        publish(photos, tmp_path / "published" / "digital", "contrast", severity, side, crop)
    request = RobustnessRequest(
        str(photos), ("c",), ("brightness", "contrast"), (1, 5), published=tmp_path / "published", batch_size=5
    )
    record = measure_robustness(NamedNetwork.load(network), request, tmp_path / "out", device=torch.device("cpu"))

    found = {(row["suite"], row["corruption"], row["severity"]): row["error"] for row in record.details["corruptions"]}
    assert [cell for cell in found if cell[0] == "published_c"] == [
        ("published_c", "contrast", 1),
        ("published_c", "contrast", 5),
    ]
    for severity in (1, 5):
        assert found["published_c", "contrast", severity] == found["c", "contrast", severity]
    assert record.settings["suites"] == ["c", "published_c"]


def test_published_images_of_other_images_are_refused(tmp_path: Path) -> None:
    network, photos = save_classifier(tmp_path / "run"), save_images(tmp_path / "photos")
    publish(photos, tmp_path / "published", "contrast", 3)
    (tmp_path / "published" / "contrast" / "3" / "red" / "0.JPEG").unlink()
    request = RobustnessRequest(str(photos), (), published=tmp_path / "published")
    with pytest.raises(InputError, match="contrast/3 has 11 images, which are not the 12 of photos with a corruption"):
        measure_robustness(NamedNetwork.load(network), request, tmp_path / "out", device=torch.device("cpu"))


def test_other_published_images_are_measured(tmp_path: Path) -> None:
    network, photos = save_classifier(tmp_path / "run"), save_images(tmp_path / "photos")
    folder = tmp_path / "published"
    for severity in (1, 5):
        publish(photos, folder, "brightness", severity, 48, 1.0)
    request = RobustnessRequest(str(photos), (), ("brightness",), (1, 5), published=folder)

    def outcomes() -> list[str]:
        measured = NamedNetwork.load(network)
        record = measure_robustness(measured, request, tmp_path / "out", device=torch.device("cpu"))
        assert record.settings["suites"] == ["published_c"]
        units = (tmp_path / "out" / "units" / f"published_c-brightness-{severity}.json" for severity in (1, 5))
        return [json.loads(unit.read_text())["outcome"]["correct"] for unit in units]

    before = outcomes()
    (folder / "brightness" / "1").rename(folder / "once")
    (folder / "brightness" / "5").rename(folder / "brightness" / "1")
    (folder / "once").rename(folder / "brightness" / "5")
    assert outcomes() == before[::-1] != before


def test_what_is_not_published_is_said_and_what_is_broken_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network, photos = save_classifier(tmp_path / "run"), save_images(tmp_path / "photos")
    publish(photos, tmp_path / "published", "contrast", 2)
    publish(photos, tmp_path / "published", "fog", 3)
    (tmp_path / "published" / "fog" / "3" / "red" / "0.JPEG").write_bytes(b"broken")
    request = RobustnessRequest(str(photos), (), ("contrast", "fog"), (2, 3), published=tmp_path / "published")
    with progress.shown(), pytest.raises(InputError, match=r"0\.JPEG.*; replace it by the published one"):
        measure_robustness(NamedNetwork.load(network), request, tmp_path / "out", device=torch.device("cpu"))
    assert "published does not have fog 2, contrast 3: not tested" in capsys.readouterr().err


def test_a_folder_without_corruptions_is_refused(tmp_path: Path) -> None:
    (tmp_path / "contrast" / "6" / "red").mkdir(parents=True)
    with pytest.raises(InputError, match=r"has none of the 1 wanted folders .* such as contrast/1/CLASS"):
        published_cells(tmp_path, [Cell("c", "contrast", 1)])
