"""Write the catalogue's data from the registry of networks, the road, timm and torchvision.

    make docs

Run it after a network was added or timm was updated; tests compare the files with what this would write.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from timm.data.imagenet_info import ImageNetInfo

from modernet import catalogue
from modernet.catalogue.publishers import published_weights
from modernet.counting import count, network_facts
from modernet.models import MODELS
from modernet.roadmap import road
from modernet.roadmap.network import build

FOLDER = Path(str(files(catalogue)))
SIZES = ("nano", "tiny", "base")


def road_rows(size: str) -> dict[str, tuple[int, int]]:
    """Return parameters and multiply-accumulates of the steps of the road."""
    rows = {}
    for step in road(size):
        with torch.device("meta"):
            counts = count(build(step.design), catalogue.ROAD_IMAGE_SIZE)
        rows[step.row] = (counts.params, counts.macs)
    return rows


def weight_rows() -> list[dict[str, Any]]:
    """Return the rows of all published weights, without the fields that have their defaults."""
    rows = []
    for model in MODELS:
        for entry in published_weights(model):
            row = {name: value for name, value in asdict(entry).items() if value != getattr(type(entry), name, ...)}
            row["file"] = {
                name: value for name, value in row["file"].items() if value != getattr(type(entry.file), name, "")
            }
            rows.append(row)
    return rows


def imagenet_names() -> list[str]:
    """Return the names of ImageNet-1K's classes."""
    info = ImageNetInfo("imagenet-1k")
    return [info.index_to_description(index) for index in range(info.num_classes())]


def imagenet_synsets() -> list[str]:
    """Return the synsets of ImageNet-1K's classes."""
    return list(ImageNetInfo("imagenet-1k").label_names())


def versions() -> dict[str, str]:
    """Return the versions of the libraries that publish the weights."""
    return {name: version(name) for name in ("timm", "torchvision")}


def lines(rows: Iterable[Any]) -> str:
    """Return rows as a JSON list, one per line."""
    return "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]"


def main() -> None:
    rows = lines(asdict(network_facts(name)) for name in MODELS)
    (FOLDER / "networks.json").write_text(f"{rows}\n", encoding="utf-8")
    catalogue.all_networks.cache_clear()
    counts = {size: road_rows(size) for size in SIZES}
    (FOLDER / "road.json").write_text(json.dumps(counts) + "\n", encoding="utf-8")
    (FOLDER / "imagenet_1k.txt").write_text("\n".join(imagenet_names()) + "\n", encoding="utf-8")
    (FOLDER / "imagenet_1k_synsets.txt").write_text("\n".join(imagenet_synsets()) + "\n", encoding="utf-8")
    head = json.dumps(versions())
    text = f'{{\n"from": {head},\n"weights": {lines(weight_rows())}\n}}\n'
    (FOLDER / "weights.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
