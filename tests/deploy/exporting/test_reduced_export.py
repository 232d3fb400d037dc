"""Files for OpenVINO, and files that compute with 8-bit integers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import openvino
import pytest
import torch
from torch import Tensor, nn

from deploy.networks import images, randomised
from detection.small import detector
from modernet.deploy import export_network
from modernet.detection import mask_rcnn
from modernet.errors import InputError


def small() -> nn.Module:
    """Return a minimal network."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8), nn.Flatten(), nn.Linear(128, 5)
    )
    return randomised(network)


def run(path: Path, x: Tensor) -> Tensor:
    """Run a file as its user does."""
    if path.suffix == ".onnx":
        return torch.from_numpy(onnxruntime.InferenceSession(path).run(None, {"images": x.numpy()})[0])
    compiled = openvino.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return torch.from_numpy(compiled({"images": x.numpy()})["scores"])


def metadata_of(path: Path) -> dict[str, Any]:
    if path.suffix == ".onnx":
        text = onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map["modernet"]
    else:
        text = openvino.Core().read_model(path).get_rt_info("modernet").astype(str)
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.mark.medium
@torch.no_grad()
def test_a_network_exports_to_openvino_for_any_batch_size(tmp_path: Path) -> None:
    network, x = small(), images(8, batch=5)
    network[5].weight[0] = 1e5  # float16 would end at 65,504
    done = export_network(network, 8, tmp_path / "network.xml", metadata={"classes": ["a", 'b "c"']})

    assert {path.name for path in tmp_path.iterdir()} == {"network.xml", "network.bin"}
    torch.testing.assert_close(run(done.path, x), network(x), rtol=1e-4, atol=1e-3)
    assert done.images == (None, 3, 8, 8)
    metadata = metadata_of(done.path)
    assert metadata.pop("modernet")
    assert metadata == {"classes": ["a", 'b "c"'], "images": [None, 3, 8, 8], "dtype": "float32"}


@pytest.mark.medium
@pytest.mark.parametrize("name", ["network.onnx", "network.xml"])
@torch.no_grad()
def test_a_file_of_integers_takes_pixels_and_gives_the_answers_of_the_network(name: str, tmp_path: Path) -> None:
    network, generator = small(), torch.Generator().manual_seed(0)
    x = torch.randint(256, (400, 3, 8, 8), dtype=torch.uint8, generator=generator)
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.2, 0.2)
    expected = network((x / 255 - torch.tensor(mean)[:, None, None]) / 0.2)
    clear = expected.topk(2).values.diff(dim=1).abs()[:, 0] > 0.5 * expected.std()
    done = export_network(network, 8, tmp_path / name, normalisation=(mean, std), metadata={"a": 1}, int8=x[clear])

    assert done.difference <= done.allowed == pytest.approx(0.01)
    assert "% equal top-1" in done.agreement
    found = run(done.path, x)
    assert (found.argmax(1) == expected.argmax(1))[clear].float().mean() >= 0.99
    assert 1e-4 < (found - expected).abs().max() / expected.abs().max() < 0.1
    assert metadata_of(done.path)["a"] == 1
    if name.endswith("onnx"):
        kinds = {node.output[0]: node.op_type for node in onnx.load(done.path).graph.node}
        weighted = [node for node in onnx.load(done.path).graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
        assert len(weighted) == 3
        assert {kinds[node.input[1]] for node in weighted} == {"DequantizeLinear"}


@pytest.mark.medium
@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("name", ["network.onnx", "network.xml"])
@torch.no_grad()
def test_a_file_of_integers_may_have_a_fixed_batch_size(name: str, batch: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = randomised(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()))
    x = images(8, batch=38).sigmoid()  # in a range that 255 steps divide finely; 10 calibrate
    done = export_network(network, 8, tmp_path / name, batch=batch, int8=x)
    assert done.images == (batch, 3, 8, 8)
    assert 1e-4 < done.difference <= done.allowed


def test_too_few_images_for_a_batch_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="10 of 38 images calibrate, less than a batch of 16; give more images, or a"):
        export_network(nn.Conv2d(3, 8, 3), 8, tmp_path / "a.onnx", batch=16, int8=images(8, batch=38))


@pytest.mark.medium
def test_integers_that_change_answers_are_not_written(tmp_path: Path) -> None:
    network = small()
    with torch.no_grad():
        network[5].weight.zero_()
        network[5].weight[:, 0] = torch.tensor([1.0, 0.9999, 0.9998, 0.9997, 0.9996])
        network[5].bias.copy_(torch.tensor([0.0, 1e-5, 2e-5, 3e-5, 4e-5]))
    x = images(8, batch=64)
    with pytest.raises(InputError, match=r"was not written: .* % equal top-1, less than 99 %; export it in float32"):
        export_network(network, 8, tmp_path / "network.onnx", int8=x)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("network", "name", "options", "message"),
    [
        (nn.Conv2d(3, 4, 3), "a.pt2", {}, "a .pt2 is written in float32 only; for 8-bit integers give --to onnx or"),
        (detector(mask_rcnn), "a.onnx", {}, "a detector is exported in float32 only; leave out int8"),
    ],
)
def test_what_has_no_integers_is_refused(
    network: nn.Module, name: str, options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        export_network(network, 8, tmp_path / name, int8=images(8), **options)


def test_too_few_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="63 images; reduced precision is judged on images that it is not calibrated"):
        export_network(small(), 8, tmp_path / "network.onnx", int8=images(8, batch=63))
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("given", "normalisation", "message"),
    [
        (torch.zeros(64, 3, 8, 9), None, r"are \(64, 3, 8, 9\) torch.float32; give \(n, 3, 8, 8\) in float32"),
        (torch.zeros(64, 1, 8, 8), None, r"are \(64, 1, 8, 8\) torch.float32; give \(n, 3, 8, 8\) in float32"),
        (torch.zeros(3, 8, 8), None, r"are \(3, 8, 8\) torch.float32"),
        (torch.zeros(64, 3, 8, 8, dtype=torch.uint8), None, r"are \(64, 3, 8, 8\) torch.uint8; .* in float32"),
        (torch.zeros(64, 3, 8, 8), ((0.5,) * 3, (0.2,) * 3), r"are .* torch.float32; give \(n, 3, 8, 8\) in uint8"),
        ([[0.0]], None, "are list; give"),
    ],
)
def test_other_images_than_the_file_takes_are_refused(
    given: Any, normalisation: Any, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=f"^the images for int8 {message}"):
        export_network(small(), 8, tmp_path / "a.onnx", normalisation=normalisation, int8=given)
