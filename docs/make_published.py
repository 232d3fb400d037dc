"""Write catalogue/published_models.csv from the result files of timm's repository.

    uv run python docs/make_published.py pytorch-image-models/results aa4b5850

Each row is a model at one image size. Accuracy, parameters and speed of a row are of that size: a speed that timm has
only at another one is left out. Licences and pre-training are what timm states of its weights.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import timm

from modernet.files.atomic import whole_file

OUT = Path(__file__).resolve().parents[1] / "src/modernet/catalogue/published_models.csv"

SETS = {
    "real": "results-imagenet-real",
    "v2": "results-imagenetv2-matched-frequency",
    "a": "results-imagenet-a",
    "r": "results-imagenet-r",
    "sketch": "results-sketch",
}
SPEEDS = {
    "rtx4090": "benchmark-infer-amp-nchw-pt291-cu128-4090",
    "rtx4090_compiled": "benchmark-infer-amp-nchw-pt291-cu128-4090-dynamo",
    "rtx5090_compiled": "benchmark-infer-amp-nchw-pt291-cu130-5090-dynamo",
    "rtx3090_channels_last": "benchmark-infer-amp-nhwc-pt240-cu124-rtx3090",
    "i9_10940x_compiled": "benchmark-infer-fp32-nchw-pt240-cpu-i9_10940x-dynamo",
}

# the first that matches; the others are named by their first letters
FAMILIES = (
    r"(convnextv2|convnext|efficientnetv2|efficientnet|levit|regnet[xyzv]|mobilevitv2|mobilevit|repvgg|crossvit|convit)",
    r"(resnetrs|resnetblur|swinv2|swin|vgg|deit3|deit|xcit|maxvit|coatnet|eva02|eva|beitv2|beit3|beit|volo|cait)",
    r"(tiny_vit|wide_resnet|cs3|mobilenetv[1-4]|res2net|resnest|resnext|densenet|nfnet|hgnetv2|hgnet|mambaout|inception_next|caformer|convformer|fastvit)",
)
EXTRA = re.compile(r"in2[12]k|in12k|jft|ig1b|swsl|yfc|wsl|webli|laion|openai|clip|merged|m30m|m38m|ssld|swag|seer")
"""In the tag of weights that have learned from other images than those of ImageNet-1K, or from a teacher that has."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="the folder `results` of timm's repository")
    parser.add_argument("commit", help="its commit")
    options = parser.parse_args()
    rows = list(published(options.results))
    with whole_file(OUT) as unfinished, unfinished.open("w", encoding="utf-8", newline="") as file:
        file.write(f"# huggingface/pytorch-image-models, results/, commit {options.commit}; Apache-2.0\n")
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{OUT}: {len(rows)} rows")


def published(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows, the most accurate first."""
    shifted = {name: {_key(row): row["top1"] for row in _read(folder, file)} for name, file in SETS.items()}
    speeds = {name: _speeds(folder, file) for name, file in SPEEDS.items()}
    macs = {
        (row["model"].partition(".")[0], int(float(row["infer_img_size"]))): row["infer_gmacs"]
        for row in _read(folder, SPEEDS["rtx4090"])
    }
    for row in _read(folder, "results-imagenet"):
        name, size = key = _key(row)
        architecture = name.partition(".")[0]
        if architecture.startswith("test_"):
            continue
        config = timm.get_pretrained_cfg(name)
        yield {
            "model": name,
            "family": family(name),
            "licence": (config and config.license) or "",
            "extra_data": int(bool(EXTRA.search(name.partition(".")[2]))),
            "image_size": size,
            "params_m": row["param_count"].replace(",", ""),
            "gmacs": macs.get((architecture, size), ""),
            "top1": row["top1"],
            **{each: found.get(key, "") for each, found in shifted.items()},
            **{each: found.get((architecture, size), "") for each, found in speeds.items()},
        }


def family(name: str) -> str:
    """Return the family of a model, as the talk's chart has them."""
    architecture, _, tag = re.sub("^(tf|dm|legacy|ese|eca|gc|sk)_", "", name).partition(".")
    if re.match(r"resnetv2_\d+d", architecture):
        return "resnetv2d"
    if re.match(r"resnet\d+d", architecture):
        return "resnetd"
    if architecture.startswith("convnext_") and re.search(r"in22k|in12k", tag):
        return "convnext_in22"
    for pattern in FAMILIES:
        if found := re.match(pattern, architecture):
            return found[1]
    found = re.match(r"[a-z]+(?:(?<=v)\d)?", architecture)
    assert found is not None, name
    return found[0]


def _read(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _key(row: Mapping[str, str]) -> tuple[str, int]:
    return row["model"], int(row["img_size"])


def _speeds(folder: Path, name: str) -> dict[tuple[str, int], str]:
    return {
        (row["model"].partition(".")[0], int(float(row["infer_img_size"]))): row["infer_samples_per_sec"]
        for row in _read(folder, name)
    }


if __name__ == "__main__":
    main()
