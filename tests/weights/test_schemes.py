"""Weights of the neighbours' own classes give the neighbours' own outputs here, and go back bit by bit."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import timm
import torch
import torchvision
import transformers
from timm.models.deit import VisionTransformerDistilled
from timm.models.levit import LevitDistilled
from torch import Tensor, nn
from torchvision.models.convnext import CNBlockConfig

from modernet.models import create_model
from modernet.weights import load_weights
from modernet.weights.conversion import scheme_named
from modernet.weights.schemes import schemes_of

SIZE = 32
CONVNEXT = {"depths": (1, 2, 1, 1), "dims": (8, 16, 24, 32)}
VIT = {"image_size": SIZE, "patch_size": 8, "dim": 32, "depth": 2, "heads": 4}
HF_VIT = {
    "image_size": SIZE, "patch_size": 8, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 128, "layer_norm_eps": 1e-6, "num_labels": 5,
}  # fmt: skip
TIMM_VIT = {"img_size": SIZE, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 4, "num_classes": 5}


@dataclass(frozen=True)
class Neighbour:
    """A small network of another project, and ours of the same shape."""

    project: str
    ours: Callable[[], nn.Module]
    theirs: Callable[[], nn.Module]
    scores: Callable[[Any], Tensor] = lambda output: output


def ours(name: str, **fields: Any) -> Callable[[], nn.Module]:
    return lambda: create_model(name, num_classes=5, **fields)


def logits(output: Any) -> Tensor:
    scores: Tensor = output.logits
    return scores


def torchvision_convnext() -> nn.Module:
    pairs = [*zip(CONVNEXT["dims"], CONVNEXT["dims"][1:], CONVNEXT["depths"], strict=False), (32, None, 1)]
    return torchvision.models.convnext.ConvNeXt([CNBlockConfig(*pair) for pair in pairs], num_classes=5)


NEIGHBOURS = {
    "convnext timm": Neighbour(
        "timm", ours("convnext_test", **CONVNEXT), lambda: timm.models.ConvNeXt(num_classes=5, **CONVNEXT)
    ),
    "convnext torchvision": Neighbour("torchvision", ours("convnext_test", **CONVNEXT), torchvision_convnext),
    "convnext transformers": Neighbour(
        "transformers",
        ours("convnext_test", **CONVNEXT),
        lambda: transformers.ConvNextForImageClassification(
            transformers.ConvNextConfig(hidden_sizes=[8, 16, 24, 32], depths=[1, 2, 1, 1], num_labels=5)
        ),
        logits,
    ),
    "convnextv2 timm": Neighbour(
        "timm",
        ours("convnextv2_test", **CONVNEXT),
        lambda: timm.models.ConvNeXt(num_classes=5, use_grn=True, ls_init_value=None, **CONVNEXT),
    ),
    "convnextv2 transformers": Neighbour(
        "transformers",
        ours("convnextv2_test", **CONVNEXT),
        lambda: transformers.ConvNextV2ForImageClassification(
            transformers.ConvNextV2Config(hidden_sizes=[8, 16, 24, 32], depths=[1, 2, 1, 1], num_labels=5)
        ),
        logits,
    ),
    "levit timm": Neighbour(
        "timm",
        ours("levit_test", image_size=SIZE, depths=(1, 2, 1)),
        lambda: LevitDistilled(
            img_size=SIZE, embed_dim=(32, 48, 64), depth=(1, 2, 1), num_heads=(2, 3, 4), key_dim=8, num_classes=5
        ),
    ),
    "mobilenetv2 torchvision": Neighbour(
        "torchvision", ours("mobilenet_v2"), lambda: torchvision.models.mobilenet_v2(num_classes=5)
    ),
    "mobilenetv2 timm": Neighbour(
        "timm", ours("mobilenet_v2"), lambda: timm.create_model("mobilenetv2_100", num_classes=5)
    ),
    "resnet timm": Neighbour(
        "timm",
        ours("resnet50", depths=(1, 1, 1, 1)),
        lambda: timm.models.ResNet(timm.models.resnet.Bottleneck, (1, 1, 1, 1), num_classes=5),
    ),
    "resnetd timm": Neighbour(
        "timm",
        ours("resnet50d", depths=(1, 1, 1, 1)),
        lambda: timm.models.ResNet(
            timm.models.resnet.Bottleneck,
            (1, 1, 1, 1),
            num_classes=5,
            stem_width=32,
            stem_type="deep",
            avg_down=True,
        ),
    ),
    "resnet torchvision": Neighbour(
        "torchvision", ours("resnet18"), lambda: torchvision.models.resnet18(num_classes=5)
    ),
    "resnet transformers": Neighbour(
        "transformers",
        ours("resnet_test", depths=(2, 1, 1, 1), width=16),
        lambda: transformers.ResNetForImageClassification(
            transformers.ResNetConfig(
                embedding_size=16, hidden_sizes=[64, 128, 256, 512], depths=[2, 1, 1, 1], num_labels=5
            )
        ),
        logits,
    ),
    "swin timm": Neighbour(
        "timm",
        ours("swin_test", depths=(2, 1)),
        lambda: timm.models.SwinTransformer(
            img_size=SIZE, embed_dim=24, depths=(2, 1), num_heads=(1, 2), window_size=4, num_classes=5
        ),
    ),
    "swin torchvision": Neighbour(
        "torchvision",
        ours("swin_test", depths=(2, 1)),
        lambda: torchvision.models.SwinTransformer([4, 4], 24, [2, 1], [1, 2], [4, 4], num_classes=5),
    ),
    "swin transformers": Neighbour(
        "transformers",
        ours("swin_test", depths=(2, 1)),
        lambda: transformers.SwinForImageClassification(
            transformers.SwinConfig(
                image_size=SIZE, embed_dim=24, depths=[2, 1], num_heads=[1, 2], window_size=4, num_labels=5
            )
        ),
        logits,
    ),
    "vgg timm": Neighbour(
        "timm",
        ours("vgg11", depths=(1, 1, 1, 1, 1), dims=(8, 8, 8, 8, 8)),
        lambda: timm.models.VGG([8, "M"] * 5, num_classes=5),
    ),
    "vit timm": Neighbour("timm", ours("vit_test", **VIT), lambda: timm.models.VisionTransformer(**TIMM_VIT)),
    "vit torchvision": Neighbour(
        "torchvision",
        ours("vit_test", **VIT),
        lambda: torchvision.models.VisionTransformer(SIZE, 8, 2, 4, 32, 128, num_classes=5),
    ),
    "vit transformers": Neighbour(
        "transformers",
        ours("vit_test", **VIT),
        lambda: transformers.ViTForImageClassification(transformers.ViTConfig(**HF_VIT)),
        logits,
    ),
    "deit timm": Neighbour("timm", ours("deit_test", **VIT), lambda: VisionTransformerDistilled(**TIMM_VIT)),
    "deit transformers": Neighbour(
        "transformers",
        ours("deit_test", **VIT),
        lambda: transformers.DeiTForImageClassificationWithTeacher(transformers.DeiTConfig(**HF_VIT)),
        logits,
    ),
}


class FlatBlock(nn.Module):
    """MobileNetV2's block with its layers in one sequence, as before torchvision."""

    def __init__(self, cin: int, cout: int, stride: int, expand: int) -> None:
        super().__init__()
        hidden = cin * expand
        widen = [nn.Conv2d(cin, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6()] if expand > 1 else []
        depthwise = nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False)
        narrow = [nn.Conv2d(hidden, cout, 1, bias=False), nn.BatchNorm2d(cout)]
        self.conv = nn.Sequential(*widen, depthwise, nn.BatchNorm2d(hidden), nn.ReLU6(), *narrow)
        self.shortcut = stride == 1 and cin == cout

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.shortcut else self.conv(x)


class FlatMobileNetV2(nn.Module):
    """The layouts of tonylins (with or without dropout in the classifier) and, with `outside`, of d-li14."""

    def __init__(self, *, dropout: bool = False, outside: bool = False) -> None:
        super().__init__()

        def layer(cin: int, cout: int, kernel: int) -> nn.Sequential:
            convolution = nn.Conv2d(cin, cout, kernel, kernel // 2 + 1, kernel // 2, bias=False)
            return nn.Sequential(convolution, nn.BatchNorm2d(cout), nn.ReLU6())

        layers, cin = [layer(3, 32, 3)], 32
        for expand, cout, repeats, stride in [
            *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)),
            *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
        ]:
            for index in range(repeats):
                layers.append(FlatBlock(cin, cout, 1 if index else stride, expand))
                cin = cout
        last = layer(cin, 1280, 1)
        self.features = nn.Sequential(*layers, *([] if outside else [last]))
        self.conv = last if outside else nn.Identity()
        classifier = nn.Linear(1280, 5)
        self.classifier = nn.Sequential(nn.Dropout(), classifier) if dropout else classifier

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.conv(self.features(x)).mean((2, 3)))


FLAT = [("tonylins", {"dropout": True}), ("tonylins", {}), ("d-li14", {"outside": True})]


@pytest.mark.parametrize(("project", "layout"), FLAT)
def test_mobilenets_from_before_torchvision_give_their_scores(project: str, layout: dict[str, bool]) -> None:
    theirs, network = randomised(FlatMobileNetV2(**layout)), create_model("mobilenet_v2", num_classes=5).eval()
    assert load_weights(network, theirs.state_dict()).project == project
    x = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    expected = theirs(x)
    torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())


def test_torchvisions_files_of_vit_keep_the_names_of_its_first_release() -> None:
    theirs = randomised(torchvision.models.VisionTransformer(SIZE, 8, 2, 4, 32, 128, num_classes=5))
    weights = dict(theirs.state_dict())
    weights = {
        re.sub(r"mlp\.0", "mlp.linear_1", re.sub(r"mlp\.3", "mlp.linear_2", name)): weights[name] for name in weights
    }
    theirs.load_state_dict(dict(weights))  # torchvision renames them itself
    network = create_model("vit_test", num_classes=5, **VIT)
    assert load_weights(network, weights).project == "torchvision"
    x = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(network.eval()(x), theirs(x), rtol=1e-4, atol=1e-4)


def randomised(network: nn.Module) -> Any:
    generator = torch.Generator().manual_seed(0)
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            nn.init.uniform_(tensor, -0.2, 0.25, generator=generator)
    for name, buffer in network.named_buffers():
        if name.endswith("running_var"):
            nn.init.uniform_(buffer, 0.5, 1.5, generator=generator)
    return network.eval()


def on_disk(network: nn.Module, project: str, folder: Any) -> dict[str, Tensor]:
    """The weights as the project writes them: transformers renames some as it saves."""
    if project != "transformers":
        return network.state_dict()
    from safetensors.torch import load_file

    network.save_pretrained(folder)
    return load_file(folder / "model.safetensors")


@pytest.fixture(autouse=True)
def _quiet() -> None:
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


@pytest.mark.medium
@pytest.mark.parametrize("name", NEIGHBOURS)
def test_weights_of_another_project_give_its_scores(name: str, tmp_path: Any) -> None:
    neighbour = NEIGHBOURS[name]
    theirs, network = randomised(neighbour.theirs()), neighbour.ours().eval()
    load_weights(network, on_disk(theirs, neighbour.project, tmp_path))
    x = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    expected = neighbour.scores(theirs(x))
    torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())


@pytest.mark.medium
@pytest.mark.parametrize("name", [name for name in NEIGHBOURS if "transformers" in name])
def test_state_dicts_of_transformers_in_memory_are_recognised(name: str) -> None:
    neighbour = NEIGHBOURS[name]
    theirs, network = randomised(neighbour.theirs()), neighbour.ours().eval()
    assert load_weights(network, theirs.state_dict()).project == "transformers"
    x = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    expected = neighbour.scores(theirs(x))
    torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())


@pytest.mark.medium
@pytest.mark.parametrize("name", NEIGHBOURS)
def test_a_round_trip_is_bit_identical(name: str, tmp_path: Any) -> None:
    neighbour = NEIGHBOURS[name]
    theirs, network = randomised(neighbour.theirs()), neighbour.ours()
    weights = on_disk(theirs, neighbour.project, tmp_path)
    load_weights(network, weights)
    back = scheme_named(network, neighbour.project).to_stored(network.state_dict())
    weights = {name: value for name, value in weights.items() if not name.endswith("relative_position_index")}
    assert sorted(back) == sorted(weights)
    for each, value in weights.items():
        assert back[each].shape == value.shape, each
        assert torch.equal(back[each], value), each


@pytest.mark.medium
@pytest.mark.parametrize(
    "model",
    [
        *("convnext_test", "convnextv2_test", "levit_test", "mobilenet_v2_test", "resnet_test", "resnetd_test"),
        *("swin_test", "vgg_test", "vit_test", "deit_test"),
    ],
)
def test_every_scheme_of_a_family_is_recognised_and_loses_nothing(model: str) -> None:
    network = randomised(create_model(model))
    for scheme in schemes_of(network):
        if not scheme.fits(network.state_dict()):
            continue
        other = create_model(model)
        stored = scheme.to_stored(network.state_dict())
        report = load_weights(other, stored, skip_head=bool(scheme.absent))
        of_same_names = [s for s in schemes_of(network) if s.to_stored(network.state_dict()).keys() == stored.keys()]
        assert report.project == of_same_names[0].project
        for name, value in network.state_dict().items():
            if name not in report.new and scheme.stored_names(name):
                assert torch.equal(other.state_dict()[name], value), (scheme.project, name)
