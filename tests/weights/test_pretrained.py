"""Networks made for the weights of a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from modernet.catalogue import list_weights
from modernet.errors import InputError
from modernet.models import MODELS, create_model
from modernet.preparation import Preparation
from modernet.weights import (
    NetworkSpec,
    convert,
    load_model,
    load_weights,
    save_network,
    starting_weights,
    untrained_model,
    weights_fingerprint,
)

# of every kind of position weights in the zoo: model, its field in the file, image size that this means
OTHER_SIZES: list[tuple[str, dict[str, int], int]] = [
    ("vit_test", {"image_size": 96}, 96),
    ("deit_test", {"image_size": 32}, 32),
    ("swin_test", {"window_size": 7}, 112),
    ("levit_test", {"image_size": 160}, 160),
    ("gfnet_test", {"image_size": 96}, 96),
    ("coatnet_test", {"image_size": 96}, 96),
    ("rvt_plus_test", {"image_size": 96}, 96),
]


@pytest.mark.parametrize(("model", "fields", "image_size"), OTHER_SIZES)
def test_a_file_for_another_image_size_gives_a_network_for_that_size(
    model: str, fields: dict[str, int], image_size: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    source = create_model(model, num_classes=3, **fields).eval()
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    saved = load_model(model, tmp_path / "weights.pth")
    assert saved.spec.fields == fields
    assert saved.preparation.image_size == image_size
    x = torch.randn(2, 3, image_size, image_size)
    assert torch.equal(saved.network(x), source(x))
    saved.spec.build(3).load_state_dict(source.state_dict())


def test_every_family_with_an_image_size_in_its_config_is_among_these() -> None:
    from modernet.models import get_entry

    def sized(name: str) -> bool:
        config = get_entry(name).config
        return hasattr(config, "image_size") or hasattr(config, "window_size")

    families = {get_entry(name).family for name in MODELS.names() if sized(name)}
    assert families - {get_entry(name).family for name, *_ in OTHER_SIZES} == {"lenet"}


def test_grey_weights_give_a_network_for_colour_images(tmp_path: Path) -> None:
    grey = create_model("convnext_test", num_classes=3, in_chans=1).eval()
    torch.save(grey.state_dict(), tmp_path / "grey.pth")
    saved = load_model("convnext_test", tmp_path / "grey.pth")
    x = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(saved.network(x), grey(x.mean(1, keepdim=True)), rtol=1e-3, atol=1e-4)


def test_timms_name_and_a_tag_decide_the_preparation(tmp_path: Path) -> None:
    torch.save(create_model("mobilenet_v2").state_dict(), tmp_path / "weights.pth")
    tags = [entry.tag for entry in list_weights("mobilenet_v2")]
    preparations = [load_model(f"mobilenetv2_100.{tag}", tmp_path / "weights.pth").preparation for tag in tags]
    assert [(each.image_size, each.crop, each.interpolation) for each in preparations] == [
        (entry.image_size, entry.crop, entry.interpolation) for entry in list_weights("mobilenet_v2")
    ]
    assert len(set(preparations)) > 1


@pytest.mark.parametrize(("model", "fields"), [("vit_test", {"image_size": 96}), ("convnext_test", {"in_chans": 1})])
def test_weights_for_other_images_are_converted_bit_by_bit(model: str, fields: dict[str, int], tmp_path: Path) -> None:
    source = create_model(model, num_classes=3, **fields)
    save_file(source.state_dict(), tmp_path / "weights.safetensors")
    convert(tmp_path / "weights.safetensors", tmp_path / "timm.safetensors", "timm", model=model)
    other = create_model(model, num_classes=3, **fields)
    assert load_weights(other, tmp_path / "timm.safetensors").adapted == ()
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in other.state_dict().items())


def test_one_of_two_sets_is_converted(tmp_path: Path) -> None:
    student, teacher = (create_model("convnext_test", num_classes=3) for _ in range(2))
    content: dict[str, Any] = {"student": student.state_dict(), "teacher": teacher.state_dict()}
    torch.save(content, tmp_path / "weights.pth")
    target = tmp_path / "student.pth"
    convert(tmp_path / "weights.pth", target, "original", model="convnext_test", entry="student")
    assert torch.equal(torch.load(target)["head.weight"], student.state_dict()["head.weight"])


@pytest.mark.parametrize("file", ["", "model.safetensors"])
def test_the_weights_of_a_run_are_not_taken_for_published_ones(file: str, tmp_path: Path) -> None:
    """Its classes and how its images are prepared would be lost."""
    spec = NetworkSpec("model", "convnext_test", {})
    save_network(tmp_path, spec.build(2), spec, ("cat", "dog"), Preparation(32, (0.5,) * 3, (0.2,) * 3))
    with pytest.raises(InputError, match=f"has the weights of a run; give its folder {tmp_path} alone, without a"):
        load_model("convnext_test", tmp_path / file)


@pytest.mark.parametrize("load", [load_model, starting_weights])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet50.typo", r"no set of weights for resnet50 is called 'resnet50\.typo'; did you mean resnet50\."),
        ("resnet_test.typo", r"no published weights for resnet_test; leave out \.typo, and give a file of weights"),
    ],
)
def test_an_unknown_tag_is_refused_with_a_file_too(load: Callable[..., object], name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(name, "weights.pth")


def test_weights_without_a_classifier_make_a_network_for_features_alone(tmp_path: Path) -> None:
    body = create_model("resnet_test", num_classes=0)
    save_file(body.state_dict(), tmp_path / "body.safetensors")
    with pytest.raises(InputError, match="has no classifier; train one first"):
        load_model("resnet_test", tmp_path / "body.safetensors")
    saved = load_model("resnet_test", tmp_path / "body.safetensors", classifier=False)

    assert saved.classes == ()
    assert weights_fingerprint(saved.network) == weights_fingerprint(body)


def test_random_weights_are_a_function_of_the_seed_alone() -> None:
    before = torch.random.get_rng_state()
    first, again, other = (weights_fingerprint(untrained_model("resnet_test", seed).network) for seed in (0, 0, 1))

    assert first == again != other
    assert torch.equal(torch.random.get_rng_state(), before)
    with pytest.raises(InputError, match=r"names weights; for random ones, give mobilenet_v2"):
        untrained_model("mobilenetv2_100.ra_in1k")
