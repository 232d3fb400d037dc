"""What papers and releases say of their own networks: accuracy, robustness, size and speed, and where it is written."""

from __future__ import annotations

import csv
import functools
from dataclasses import dataclass
from importlib.resources import files

from modernet.catalogue.published_models import ACCURACIES, PublishedModel

PAPER_DEVICES = {"a100": "A100, TF32, channels last for ConvNeXt"}
"""Device that a paper states speeds of -> how they were measured."""


@dataclass(frozen=True)
class Source:
    """Where numbers were published.

    Attributes:
        title: the publication, and the table or file that has them.
        date: year and month of the publication's first version, `"2022-01"`.
        read: year and month in which the numbers were copied from there.
        address: of the paper or the repository.
    """

    title: str
    date: str
    read: str
    address: str


def _paper(title: str, arxiv: str, read: str = "2026-11") -> Source:
    return Source(title, f"20{arxiv[:2]}-{arxiv[2:4]}", read, f"https://arxiv.org/abs/{arxiv}")


def _release(title: str, date: str, repository: str, read: str = "2026-11") -> Source:
    return Source(f"{title}, README of the release", date, read, f"https://github.com/{repository}")


PAPERS = {
    "convnext": _paper("ConvNeXt, tables 1, 2, 8 and 12", "2201.03545"),
    "convnext_8": _paper("others as compared in ConvNeXt, table 8", "2201.03545"),
    "convnextv2": _paper("ConvNeXt V2, tables 14 and 15", "2301.00808"),
    "rvt": _release("RVT", "2021-05", "vtddggg/Robust-Vision-Transformer"),
    "rvt_listed": _paper("RVT, as listed by Papers with Code", "2105.07926"),
    "mae": _release("MAE", "2021-11", "facebookresearch/mae"),
    "deit": _release("DeiT", "2020-12", "facebookresearch/deit"),
    "swin": _release("Swin", "2021-03", "microsoft/Swin-Transformer"),
    "levit": _release("LeViT", "2021-04", "facebookresearch/LeViT"),
    "resnetrs": _release("ResNet-RS", "2021-03", "tensorflow/tpu"),
    "coatnet": _paper("CoAtNet, tables of results", "2106.04803"),
    "coat": _release("CoaT", "2021-04", "mlpc-ucsd/CoaT"),
    "gfnet": _release("GFNet", "2021-07", "raoyongming/GFNet"),
    "replknet": _release("RepLKNet", "2022-03", "DingXiaoH/RepLKNet-pytorch"),
    "pycls": _release("RegNet and its baselines (pycls, 100 epochs)", "2020-03", "facebookresearch/pycls", "2026-12"),
    "efficientnetv2": _release("EfficientNetV2", "2021-04", "google/automl", "2026-12"),
    "mobilevit": _release("MobileViT (CVNets)", "2021-10", "apple/ml-cvnets", "2026-12"),
    "repvgg": _release("RepVGG", "2021-01", "DingXiaoH/RepVGG", "2026-12"),
    "convit": _release("ConViT", "2021-03", "facebookresearch/convit", "2026-12"),
    "crossvit": _paper("CrossViT, as listed by Papers with Code", "2103.14899", "2026-12"),
    "torchvision": Source(
        "torchvision 0.29.2, stated with its weights", "2026-11", "2026-12", "https://pytorch.org/vision"
    ),
    "fan": _release("FAN", "2022-04", "NVlabs/FAN", "2026-12"),
    "lsnet": _release("LSNet", "2025-03", "THU-MIG/lsnet", "2026-12"),
    "imagenet_c": _release("ImageNet-C, leaderboard of ResNet-50", "2019-03", "hendrycks/robustness", "2026-12"),
    "easyrobust": _release("EasyRobust, on weights of the authors", "2022-09", "alibaba/easyrobust", "2026-12"),
}
"""Source of `published_papers` -> what it is."""


@functools.cache
def published_papers() -> tuple[PublishedModel, ...]:
    """Return all of them, a source after another; numbers that a source does not state are None or missing."""
    text = (files("modernet.catalogue") / "published_papers.csv").read_text(encoding="utf-8")
    return tuple(
        PublishedModel(
            name=row["model"],
            family=row["family"],
            licence="",
            extra_data=row["extra_data"] == "1",
            image_size=int(row["image_size"]),
            params_m=_number(row["params_m"]),
            gmacs=_number(row["gmacs"]),
            accuracies={name: float(row[name]) for name in ACCURACIES if row.get(name)},
            speeds={name: float(row[name]) for name in PAPER_DEVICES if row[name]},
            mce=_number(row["mce"]),
            source=row["source"],
            architecture=row["architecture"],
        )
        for row in csv.DictReader(text.splitlines()[1:])
    )


def _number(text: str) -> float | None:
    return float(text) if text else None
