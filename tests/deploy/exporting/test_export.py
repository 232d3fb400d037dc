from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from deploy.networks import images, randomised
from modernet.deploy import export_network, export_saved
from modernet.deploy.exporting import formats
from modernet.errors import InputError
from modernet.models import MODELS, create_model
from modernet.preparation import Preparation
from modernet.weights import NetworkSpec, SavedNetwork

IN_ONNX = ["convnextv2_test", "swin_test"]
PROGRAMS = ["coat_lite_test", "mobilenet_v2_test"]  # export of every network is tested in the contract


def make(name: str, **fields: Any) -> nn.Module:
    torch.manual_seed(0)
    return randomised(create_model(name, num_classes=10, **fields))


def small(*layers: nn.Module) -> nn.Module:
    """Return a minimal network."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), *layers, nn.Flatten(), nn.Linear(144, 5)).eval()


def run_torch(path: Path, x: Tensor) -> Tensor:
    with torch.no_grad():
        scores: Tensor = torch.export.load(path).module()(x)
    return scores


def run_onnx(path: Path, x: Tensor) -> Tensor:
    return torch.from_numpy(onnxruntime.InferenceSession(path).run(None, {"images": x.numpy()})[0])


def metadata_of(path: Path) -> dict[str, Any]:
    """Read the metadata of a file."""
    if path.suffix == ".onnx":
        found: dict[str, Any] = json.loads(
            onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map["modernet"]
        )
        return found
    inside = {"modernet.json": ""}
    torch.export.load(path, extra_files=inside)
    found = json.loads(inside["modernet.json"])
    return found


@pytest.fixture(scope="module")
def saved() -> SavedNetwork:
    network = make("convnext_test")
    spec, names = NetworkSpec("model", "convnext_test", {}), tuple(f"class {index}" for index in range(10))
    return SavedNetwork(network, spec, names, Preparation(32, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), 0.9, "bicubic"))


# --- what is written --------------------------------------------------------------------------------------------------


@pytest.mark.medium
@pytest.mark.parametrize("name", PROGRAMS)
def test_networks_export_to_torch_for_any_batch_size(name: str, tmp_path: Path) -> None:
    size, channels = MODELS[name].published.image_size, MODELS[name].config.in_chans
    done = export_network(make(name), size, tmp_path / "network.pt2", in_chans=channels)

    assert done.difference <= 0.1 * done.allowed  # read back, it runs the same operations
    assert done.images == (None, channels, size, size)


@pytest.mark.medium
@pytest.mark.parametrize("name", IN_ONNX)
@torch.no_grad()
def test_networks_export_to_onnx_for_any_batch_size(name: str, tmp_path: Path) -> None:
    network, size = make(name), MODELS[name].published.image_size
    done = export_network(network, size, tmp_path / "network.onnx")
    x = images(size, batch=5)
    expected = network(x)

    onnx.checker.check_model(done.path, full_check=True)
    assert (run_onnx(done.path, x) - expected).abs().max() < 1e-4 * expected.abs().max()
    assert done.difference <= done.allowed
    assert [path.name for path in tmp_path.iterdir()] == ["network.onnx"]


@pytest.mark.medium
@pytest.mark.parametrize("suffix", [".pt2", ".onnx"])
def test_a_file_holds_classes_and_preprocessing(saved: SavedNetwork, suffix: str, tmp_path: Path) -> None:
    metadata = metadata_of(export_saved(saved, tmp_path / f"network{suffix}").path)

    assert metadata.pop("modernet")
    assert metadata == {
        "task": "classification",
        "network": "convnext_test",
        "classes": list(saved.classes),
        "image_size": 32,
        "crop": 0.9,
        "interpolation": "bicubic",
        "mean": [0.5, 0.4, 0.3],
        "std": [0.2, 0.3, 0.4],
        "images": [None, 3, 32, 32],
        "dtype": "float32",
    }


@pytest.mark.medium
@pytest.mark.parametrize(("suffix", "run"), [(".pt2", run_torch), (".onnx", run_onnx)])
@torch.no_grad()
def test_a_file_can_normalise_images_itself(saved: SavedNetwork, suffix: str, run: Any, tmp_path: Path) -> None:
    done = export_saved(saved, tmp_path / f"network{suffix}", with_normalisation=True, optimized=True)
    pixels = torch.randint(256, (3, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(5))
    mean, std = (torch.tensor(values).reshape(3, 1, 1) for values in (saved.preparation.mean, saved.preparation.std))
    metadata = metadata_of(done.path)

    torch.testing.assert_close(run(done.path, pixels), saved.network((pixels / 255 - mean) / std), rtol=1e-4, atol=1e-5)
    assert metadata["dtype"] == done.dtype == "uint8"
    assert not {"mean", "std"} & metadata.keys()
    assert sum(rewrite.count for rewrite in done.rewrites) > 0


@pytest.mark.medium
@pytest.mark.parametrize(("suffix", "run"), [(".pt2", run_torch), (".onnx", run_onnx)])
def test_a_fixed_batch_size_is_enforced(suffix: str, run: Any, tmp_path: Path) -> None:
    done = export_network(small(), 8, tmp_path / f"network{suffix}", batch=4)

    assert run(done.path, images(8, batch=4)).shape == (4, 5)
    with pytest.raises(Exception, match=r"4|shape"):
        run(done.path, images(8, batch=3))


@pytest.mark.medium
def test_norms_are_folded_first_if_requested(tmp_path: Path) -> None:
    network = randomised(small(nn.BatchNorm2d(4)))
    plain = export_network(network, 8, tmp_path / "plain.onnx")
    folded = export_network(network, 8, tmp_path / "folded.onnx", optimized=True)
    kinds = [{node.op_type for node in onnx.load(done.path).graph.node} for done in (plain, folded)]

    assert [rewrite.count for rewrite in folded.rewrites if "layer before" in rewrite.name] == [1, 0]
    assert "BatchNormalization" not in kinds[1]
    assert plain.rewrites == ()


@torch.no_grad()
def test_the_network_is_unchanged(tmp_path: Path) -> None:
    network = small(nn.BatchNorm2d(4), nn.Dropout())
    x = images(8)
    expected = network(x)
    network = network.to(torch.bfloat16, memory_format=torch.channels_last).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    done = export_network(network, 8, tmp_path / "network.pt2", optimized=True)

    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    torch.testing.assert_close(network.state_dict(), before, rtol=0, atol=0)
    torch.testing.assert_close(run_torch(done.path, x), expected, rtol=2e-2, atol=2e-2)  # weights rounded to bfloat16


class Turned(nn.Module):
    """Multiplies by a complex weight, and adds real and imaginary parts."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1 + 2j, 3 - 1j, 2j]).reshape(3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.view_as_real(x * self.weight).sum(-1)


@pytest.mark.medium
@torch.no_grad()
def test_a_file_keeps_imaginary_parts(tmp_path: Path) -> None:
    network, x = Turned(), images(8)
    done = export_network(network, 8, tmp_path / "network.pt2")

    torch.testing.assert_close(run_torch(done.path, x), x * torch.tensor([3.0, 2.0, 2.0]).reshape(3, 1, 1))


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.medium
@pytest.mark.parametrize("kind", [formats.TorchProgram, formats.OnnxModel])
def test_a_file_with_different_scores_is_not_kept(kind: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f"network{kind.suffix}"
    path.write_text("what was there")
    honest = kind.open
    monkeypatch.setattr(kind, "open", lambda self, file, outputs: lambda x: [honest(self, file, outputs)(x)[0] + 1e-3])

    with pytest.raises(
        InputError,
        match=r"was not written: scores differ from the network's by at most 1.0e-03 \(.* is allowed\); export",
    ):
        export_network(small(), 8, path)
    assert path.read_text() == "what was there"
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_file_with_non_finite_scores_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        formats.TorchProgram, "open", lambda self, file, outputs: lambda x: [torch.full((len(x), 5), torch.nan)]
    )
    with pytest.raises(InputError, match="differ from the network's by at most inf"):
        export_network(small(), 8, tmp_path / "network.pt2")


class Counted(nn.Module):
    """Uses the batch size as a Python int."""

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(len(x), -1)


class Branching(nn.Module):
    """Branches on pixel values."""

    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class Decomposed(nn.Module):
    """Computes singular values, which ONNX does not support."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.svdvals(x)


class Rooted(nn.Module):
    """Returns NaN."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sqrt()


class Listed(nn.Module):
    def forward(self, x: Tensor) -> list[Tensor]:
        return [x]


@pytest.mark.medium
@pytest.mark.parametrize(
    ("network", "name", "options", "message"),
    [
        (Listed(), "a.gguf", {}, r"cannot export to .*a.gguf: give a name with suffix .pt2 .torch.export., .onnx or"),
        (Listed(), "a.onnx", {"batch": 0}, "batch is 0; give 1 or more, or None for any batch size"),
        (Listed(), "a.pt2", {}, "the network returns a list; export one that returns one tensor"),
        (Rooted(), "a.pt2", {}, "the network returns non-finite scores; export one with finite weights"),
        (Counted(), "a.pt2", {}, r"cannot be exported for any batch size: UserError: .*try batch=1"),
        (Branching(), "a.pt2", {"batch": 1}, r"the network cannot be exported: \w+: [^\n]*$"),
        (Decomposed(), "a.onnx", {}, r"ONNX does not support this network \(.*svd.*\); export a .pt2"),
        (Listed(), "file/a.onnx", {}, r"cannot write to .*file: .*; give another --out"),
    ],
)
def test_networks_that_cannot_be_exported_raise_in_one_line(
    network: nn.Module, name: str, options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=message) as caught:
        export_network(network, 8, tmp_path / name, **options)

    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats.OnnxModel, "packages", ("onnx", "no_such_package"))
    with pytest.raises(
        InputError, match=r"cannot be written here: no_such_package not installed: pip install 'modernet\[export\]'"
    ):
        export_network(small(), 8, tmp_path / "network.onnx")


def test_weights_too_large_for_an_onnx_file_raise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats.OnnxModel, "largest", 100)
    with pytest.raises(InputError, match=r"the weights are 0.0 GB, and an ONNX file holds at most 0 GB; export a .pt2"):
        export_network(small(), 8, tmp_path / "network.onnx")
