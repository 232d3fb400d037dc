"""Segmenters and detectors as files."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from deploy.networks import randomised
from detection.small import detector
from modernet.deploy import export_network, export_saved
from modernet.deploy.exporting import export
from modernet.deploy.exporting.formats import format_of
from modernet.deploy.exporting.outputs import DetectedObjects, as_results
from modernet.detection import roi_heads
from modernet.detection.config import cascade_mask_rcnn, mask_rcnn
from modernet.detection.fixed_results import FixedResults
from modernet.detection.network import RCNN
from modernet.detection.roi_features import roi_features
from modernet.errors import InputError
from modernet.models import Backbone, create_model
from modernet.preparation import Preparation
from modernet.segmentation import Segmenter, UPerNet
from modernet.weights import NetworkSpec, SavedNetwork

SIZE = (60, 90)  # is padded to 64x96


def backbone() -> Backbone:
    torch.manual_seed(0)
    network = create_model("convnext_test")
    assert isinstance(network, Backbone)
    return network


def image(seed: int = 3) -> Tensor:
    return torch.randn(1, 3, *SIZE, generator=torch.Generator().manual_seed(seed))


def saved(network: nn.Module, task: str, classes: int) -> SavedNetwork:
    spec, names = NetworkSpec("model", "convnext_test", {}), tuple(f"class {index}" for index in range(classes))
    return SavedNetwork(network, spec, names, Preparation(32, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)), task)


def metadata_of(path: Path) -> dict[str, object]:
    inside = {"modernet.json": ""}
    torch.export.load(path, extra_files=inside)
    found: dict[str, object] = json.loads(inside["modernet.json"])
    return found


@pytest.mark.medium
@pytest.mark.parametrize("kind", [Segmenter, UPerNet])
@torch.no_grad()
def test_a_segmenter_is_exported_for_any_batch_and_the_size_given(kind: type[nn.Module], tmp_path: Path) -> None:
    network = randomised(kind(backbone(), 5, 16)).eval()
    done = export_saved(saved(network, "segmentation", 5), tmp_path / "network.onnx", image_size=SIZE, optimized=True)
    assert done.images == (None, 3, *SIZE)
    session, images = onnxruntime.InferenceSession(done.path), torch.randn(3, 3, *SIZE)
    (scores,) = session.run(None, {"images": images.numpy()})
    torch.testing.assert_close(torch.from_numpy(scores), network(images), rtol=1e-4, atol=1e-4)
    about = json.loads(session.get_modelmeta().custom_metadata_map["modernet"])
    assert (about["task"], about["image_size"], len(about["classes"])) == ("segmentation", list(SIZE), 5)


@pytest.mark.medium
@torch.no_grad()
def test_a_detector_is_exported_whole(tmp_path: Path) -> None:
    network = detector(mask_rcnn).float()
    done = export_saved(saved(network, "detection", 3), tmp_path / "network.pt2", image_size=SIZE)
    assert done.images == (1, 3, *SIZE)
    assert done.agreement == "0.0% of 100 detections differ from the network's (5% are allowed)"
    results = torch.export.load(done.path).module()(image())
    for result, expected in zip(results, FixedResults(network)(image()), strict=True):
        torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-4)
    about = metadata_of(done.path)
    assert (about["task"], about["images"]) == ("detection", [1, 3, *SIZE])
    assert isinstance(about["outputs"], dict)
    assert list(about["outputs"]) == ["boxes", "scores", "labels", "masks"]
    assert (about["image_size"], about["pad"]) == (list(SIZE), [0, 0, 0])
    assert about["resize"] == "fit into image_size, in proportion, at the top left"
    assert "crop" not in about


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "names"),
    [
        (lambda **fields: mask_rcnn(masks=False, **fields), ["boxes", "scores", "labels"]),
        (cascade_mask_rcnn, ["boxes", "scores", "labels", "masks"]),
    ],
)
@torch.no_grad()
def test_onnx_runtime_finds_what_the_detector_finds(config, names: list[str], tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    network = detector(config).float()
    done = export_network(network, SIZE, tmp_path / "network.onnx", optimized=True)
    session = onnxruntime.InferenceSession(done.path)
    assert [output.name for output in session.get_outputs()] == names
    results = [torch.from_numpy(array) for array in session.run(None, {"images": image().numpy()})]
    expected = FixedResults(network)(image())
    assert DetectedObjects(len(names) == 4).compare([results], [expected]).difference <= 0.02
    torch.testing.assert_close(results[1], expected[1], rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".pt2", ".onnx"])
@torch.no_grad()
def test_a_file_finds_few_objects_or_none_as_the_detector_does(suffix: str, tmp_path: Path) -> None:
    network = detector(mask_rcnn).float()
    layer = network.roi_heads.box_heads[0].fc_cls
    layer.weight *= 100  # so that a score is about 1 or exactly 0
    layer.bias *= 100
    few, none = image(1), torch.zeros(1, 3, *SIZE)
    layer.bias[-1] += best_margin(network, few) - 30  # of the background
    path = export_network(network, SIZE, tmp_path / f"network{suffix}").path
    run = format_of(path).open(path, DetectedObjects(masks=True).names)
    for each, least, most in ((few, 1, 20), (none, 0, 0)):
        expected = FixedResults(network)(each)
        assert least <= int((expected[1] > 0).sum()) <= most
        found = DetectedObjects(masks=True).compare([run(each)], [expected])
        assert found.difference == 0, found.text


def best_margin(network: RCNN, images: Tensor) -> float:
    """Return by how much the logit of a class is above that of the background, at most, over all proposals."""
    logits: list[Tensor] = []
    hook = network.roi_heads.box_heads[0].register_forward_hook(lambda module, inputs, found: logits.append(found[0]))
    FixedResults(network)(images)
    hook.remove()
    return float((logits[0][:, :-1] - logits[0][:, -1:]).max())


def test_pixels_around_a_fitted_image_have_the_mean_colour_where_the_file_normalises(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    written: dict[str, Any] = {}

    def noted(*_: object, metadata: dict[str, Any], **__: object) -> None:
        written.update(metadata)

    monkeypatch.setattr(export, "export_network", noted)
    export_saved(saved(detector(mask_rcnn), "detection", 3), tmp_path / "network.pt2", with_normalisation=True)
    assert written["pad"] == pytest.approx([0.5 * 255, 0.4 * 255, 0.3 * 255], abs=0.5)
    assert all(isinstance(level, int) for level in written["pad"])


def test_a_detector_is_exported_for_one_image(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"batch is 2; a detector is exported for one image: give 1 \(--batch 1\)"):
        export_network(detector(mask_rcnn), SIZE, tmp_path / "network.onnx", batch=2)


# --- comparing what was found -----------------------------------------------------------------------------------------


@torch.no_grad()
def test_the_order_of_detections_and_rounding_do_not_count() -> None:
    outputs, expected = DetectedObjects(masks=True), FixedResults(detector(mask_rcnn).float())(image())
    order = torch.randperm(100)
    shuffled = [tensor[order] * (1 if tensor.dtype == torch.int64 else 1 + 1e-5) for tensor in expected]
    assert outputs.compare([shuffled], [expected]).difference == 0
    lost = [torch.cat((tensor[1:], 0 * tensor[:1])) for tensor in expected]
    assert outputs.compare([lost], [expected]).difference == pytest.approx(1 / 199)


@torch.no_grad()
def test_a_wrong_sampling_of_features_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    network = FixedResults(detector(mask_rcnn).float())
    expected = network(image())

    def shifted(maps: list[Tensor], boxes: list[Tensor], side: int) -> Tensor:  # half a position of the finest level
        return roi_features(maps, [each + 2 for each in boxes], side)

    monkeypatch.setattr(roi_heads, "roi_features", shifted)
    found = DetectedObjects(masks=True).compare([as_results(network(image()))], [expected])
    assert found.difference > 0.5
    assert not found.agrees


def test_a_box_in_a_large_image_is_compared_in_pixels() -> None:
    boxes = torch.tensor([[100.0, 100, 700, 700], [200, 200, 1333, 800]])
    others = [torch.tensor([0.9, 0.8]), torch.tensor([1, 2]), torch.full((2, 28, 28), 0.5)]
    outputs = DetectedObjects(masks=True)
    assert outputs.compare([[boxes + 0.05, *others]], [[boxes, *others]]).difference == 0
    assert outputs.compare([[boxes + 0.2, *others]], [[boxes, *others]]).difference == 1


@pytest.mark.parametrize(
    "layer", ["roi_heads.box_heads.0.fc_reg", "roi_heads.mask_heads.0.conv_logits", "rpn_head.rpn_reg"]
)
@torch.no_grad()
def test_a_rewrite_that_changes_a_layer_slightly_is_noticed(
    layer: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found: list[str] = []

    def rewritten(network: nn.Module, images: Tensor, check: Callable[[nn.Module], str]) -> None:
        changed = copy.deepcopy(network)
        changed.get_submodule(f"network.{layer}").weight *= 1 + 3e-4  # type: ignore[operator]
        found.extend((check(network), check(changed)))
        raise InputError("enough")

    monkeypatch.setattr(export, "apply_rewrites", rewritten)
    with pytest.raises(InputError, match="enough"):
        export_network(detector(mask_rcnn), SIZE, tmp_path / "network.pt2", optimized=True)
    assert found[0] == ""
    assert "of the largest, more than 1.0e-04" in found[1]


def test_no_detections_agree_with_none() -> None:
    nothing = [torch.zeros(100, 4), torch.zeros(100), torch.zeros(100, dtype=torch.int64), torch.zeros(100, 28, 28)]
    assert DetectedObjects(masks=True).compare([nothing], [nothing]).agrees
