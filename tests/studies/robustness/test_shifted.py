"""Shifted images are recognised by their classes, and tested beside clean ones of the same classes."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from modernet.catalogue import imagenet_classes, imagenet_synsets
from modernet.data import fit_image, read_image
from modernet.errors import InputError
from modernet.records import Record
from modernet.studies.robustness import NamedNetwork, RobustnessRequest, measure_robustness
from modernet.studies.robustness.shifted import IMAGENET_SUBSETS, shifted_name
from small_classifiers import COLOURS, save_classifier, save_images

CPU = torch.device("cpu")


def measure(network: str, data: Path, folder: Path, suites: tuple[str, ...], *shifted: Path) -> Record:
    request = RobustnessRequest(str(data), suites, shifted=tuple(map(str, shifted)))
    return measure_robustness(NamedNetwork.load(network), request, folder, device=CPU)


@torch.inference_mode()
def logits(network: str, path: Path) -> torch.Tensor:
    """Return what a network answers for an image that is prepared as in its test."""
    saved = NamedNetwork.load(network).saved
    size, crop = saved.preparation.image_size, saved.preparation.crop
    return saved.network(saved.preparation.normalise(fit_image(read_image(path), size, crop=crop)[None]))[0]


def test_the_classes_of_imagenet_a_and_r_are_those_that_timm_lists() -> None:
    (folder,) = importlib.util.find_spec("timm").submodule_search_locations  # type: ignore[union-attr, misc]
    for name, indices in IMAGENET_SUBSETS.items():
        listed = Path(folder, "data", "_info", f"imagenet_{name}_synsets.txt").read_text().split()
        assert [imagenet_synsets()[index] for index in indices] == listed
        assert len(listed) == 200


@pytest.mark.medium
def test_the_best_of_the_200_classes_is_the_answer_on_imagenet_a(tmp_path: Path) -> None:
    network = save_classifier(tmp_path / "run", imagenet_classes(), size=32, crop=0.9)
    indices = IMAGENET_SUBSETS["a"]
    synsets = [imagenet_synsets()[index] for index in indices]
    shifted = save_images(tmp_path / "natural", synsets, each=1)
    data = save_images(tmp_path / "clean", [*synsets[:3], *imagenet_synsets()[:2]], each=2)
    record = measure(network, data, tmp_path / "out", ("a",), shifted)

    def share(folder: Path) -> float:
        found = [
            indices[int(logits(network, path)[list(indices)].argmax())] == imagenet_synsets().index(path.parent.name)
            for path in folder.rglob("*.png")
            if path.parent.name in synsets
        ]
        return 100 * sum(found) / len(found)

    assert record.metrics["a_top1"] == pytest.approx(share(shifted))
    assert record.metrics["a_clean_top1"] == pytest.approx(share(data))
    assert (record.metrics["a_n"], record.metrics["a_clean_n"]) == (200, 6)
    (row,) = record.details["shifted"]
    assert (row["title"], row["classes"], row["chosen_among"]) == ("natural", 200, 200)
    assert record.settings["suites"] == ["a"]


def test_other_images_are_answered_among_all_classes(tmp_path: Path) -> None:
    network, photos = save_classifier(tmp_path / "run"), save_images(tmp_path / "photos")
    shifted = save_images(tmp_path / "my sketches", COLOURS[:2], each=5)
    record = measure(network, photos, tmp_path / "out", (), shifted)

    def share(folder: Path) -> float:
        paths = [path for path in folder.rglob("*.png") if path.parent.name in COLOURS[:2]]
        found = [COLOURS[int(logits(network, path).argmax())] == path.parent.name for path in paths]
        return 100 * sum(found) / len(found)

    assert record.metrics["shifted_my_sketches_top1"] == pytest.approx(share(shifted))
    assert record.metrics["shifted_my_sketches_clean_top1"] == pytest.approx(share(photos))
    assert record.details["shifted"][0]["chosen_among"] == 3


def test_a_suite_needs_its_folder(tmp_path: Path) -> None:
    photos = save_images(tmp_path / "photos")
    with pytest.raises(InputError, match="ImageNet-A is not among the folders of --shifted; add its folder"):
        RobustnessRequest(str(photos), ("a",))
    with pytest.raises(
        InputError, match=r"not among .* do not have the synsets of its 200 classes, and no others \(0 in photos\); add"
    ):
        measure(save_classifier(tmp_path / "run"), photos, tmp_path / "out", ("r",), photos)
    with pytest.raises(InputError, match="two folders of --shifted are called photos; rename one"):
        measure(save_classifier(tmp_path / "run"), photos, tmp_path / "out", (), photos, photos)


def test_a_folder_is_no_more_than_its_name_says(tmp_path: Path) -> None:
    network, photos = save_classifier(tmp_path / "run"), save_images(tmp_path / "photos")
    folders = [save_images(tmp_path / name, COLOURS[:2], each=3) for name in ("a", "clean", "x", "x_clean")]
    with pytest.raises(InputError, match=r"ImageNet-A is not among .* its 200 classes, and no others \(0 in a\)"):
        measure(network, photos, tmp_path / "out", ("a",), folders[0])
    with pytest.raises(InputError, match="called shifted_x and shifted_x_clean, as metrics are; rename one"):
        measure(network, photos, tmp_path / "out", (), *folders[2:])
    record = measure(network, photos, tmp_path / "out", (), *folders[:2])
    assert {name for name in record.metrics if name.endswith("_n")} == {
        f"shifted_{name}_n" for name in ("a", "a_clean", "clean", "clean_clean")
    }
    assert [metric.title for metric in record.task_metrics[:2]] == ["a top-1", "clean top-1 on the classes of a"]


@pytest.mark.medium
def test_other_images_under_the_same_name_are_measured(tmp_path: Path) -> None:
    network, photos = save_classifier(tmp_path / "run"), save_images(tmp_path / "photos")
    shifted = save_images(tmp_path / "others", each=5)
    before = measure(network, photos, tmp_path / "out", (), shifted)
    paths = sorted(shifted.rglob("*.png"))
    answers = {path: COLOURS[int(logits(network, path).argmax())] for path in paths}
    for path in paths:  # now every image is in the class that it is taken for
        path.rename(path.with_suffix(".old"))
    for number, (path, answer) in enumerate(answers.items()):
        path.with_suffix(".old").rename(shifted / answer / f"{number}.png")
    after = measure(network, photos, tmp_path / "out", (), shifted)
    assert before.metrics["shifted_others_top1"] < after.metrics["shifted_others_top1"] == 100


def test_classes_that_the_network_does_not_know_are_refused_at_the_start(tmp_path: Path) -> None:
    network, photos = save_classifier(tmp_path / "run"), save_images(tmp_path / "photos")
    with pytest.raises(InputError, match="others has images of the class 'violet'"):
        measure(network, photos, tmp_path / "out", ("c",), save_images(tmp_path / "others", ("violet", "red")))
    assert not (tmp_path / "out").exists()


def test_imagenet_r_without_clean_images_of_its_classes_has_its_own_accuracy_alone(tmp_path: Path) -> None:
    network = save_classifier(tmp_path / "run", imagenet_classes(), size=32)
    shifted = save_images(
        tmp_path / "renditions", [imagenet_synsets()[index] for index in IMAGENET_SUBSETS["r"]], each=1
    )
    data = save_images(tmp_path / "clean", [imagenet_synsets()[0]], each=2)  # the tench is not among them
    record = measure(network, data, tmp_path / "out", ("r",), shifted)
    assert (record.metrics["r_n"], record.metrics["r_clean_n"]) == (200, 0)
    assert "r_top1" in record.metrics
    assert "r_clean_top1" not in record.metrics


def test_sketch_and_v2_are_recognised_by_name() -> None:
    for name, found in (("ImageNet-Sketch", "sketch"), ("imagenetv2-matched", "v2"), ("Sketches!", "shifted_sketches")):
        assert shifted_name(name, COLOURS) == found
