"""ResNet and ResNeXt under the names of other projects.

The zoo uses the names that torchvision and timm share; those of ResNet-D are timm's.
"""

from __future__ import annotations

from modernet.weights.schemes.scheme import ORIGINAL, Scheme

_RESNET_D = [r"^conv1\.\d", r"downsample\.2"]  # only timm has its stem and shortcut
_LAYERS = {"conv": "convolution", "bn": "normalization"}

_TRANSFORMERS = Scheme(
    "transformers",
    names=[
        (r"^conv1\.", "resnet.embedder.embedder.convolution."),
        (r"^bn1\.", "resnet.embedder.embedder.normalization."),
        (r"^layer(\d)\.(\d+)\.", lambda match: f"resnet.encoder.stages.{int(match[1]) - 1}.layers.{match[2]}."),
        (r"\.downsample\.0\.", ".shortcut.convolution."),
        (r"\.downsample\.1\.", ".shortcut.normalization."),
        (r"\.(conv|bn)(\d)\.", lambda match: f".layer.{int(match[2]) - 1}.{_LAYERS[match[1]]}."),
        (r"^fc\.", "classifier.1."),
    ],
    body="resnet.",
    foreign=_RESNET_D,
)
_OPENMMLAB = Scheme(
    "openmmlab", names=[(r"^fc\.", "head.fc."), (r"^(?!head\.)", "backbone.")], body="backbone.", foreign=_RESNET_D
)

RESNET = (ORIGINAL, Scheme("torchvision", foreign=_RESNET_D), Scheme("timm"), _TRANSFORMERS, _OPENMMLAB)
