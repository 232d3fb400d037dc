"""Records of tests of robustness that never ran, with numbers that look like real ones."""

from __future__ import annotations

import math
from typing import Any

from modernet.records import Metric, Record

CORRUPTIONS = {
    "c": (
        "gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "glass_blur", "motion_blur", "zoom_blur",
        "snow", "frost", "fog", "brightness", "contrast", "elastic_transform", "pixelate", "jpeg_compression",
    ),
    "cbar": ("blue_noise_sample", "plasma_noise", "checkerboard_cutout"),
}  # fmt: skip


def made_up_record(name: str = "convnext_tiny", hardship: float = 1.0, **settings: Any) -> Record:
    """Make the record of a network's test; errors grow with `hardship`."""
    cells: list[dict[str, Any]] = []
    means: list[dict[str, Any]] = []
    metrics = {"n": 400.0, **interval("clean_top1", 88.0 - 4 * hardship)}
    for suite, names in CORRUPTIONS.items():
        for place, corruption in enumerate(names):
            worst = 20 + 40 * abs(math.sin(2.0 * place)) * hardship
            errors = [12 + 4 * hardship + worst * severity / 5 for severity in range(1, 6)]
            cells += [
                {"suite": suite, "corruption": corruption, "severity": severity, "error": error, "n": 400}
                for severity, error in enumerate(errors, 1)
            ]
            mean = sum(errors) / 5
            row = {"suite": suite, "corruption": corruption, **interval("error", mean)}
            means.append(row | (interval("ce", mean / 0.8) if suite == "c" else {}))
        own = [row["error"] for row in means if row["suite"] == suite]
        metrics |= interval(f"{suite}_mean_error", sum(own) / len(own))
    metrics |= interval("c_mce", 51.2 * hardship) | interval("c_relative_mce", 60.3 * hardship)
    metrics |= (
        interval("sketch_top1", 41.0)
        | interval("sketch_clean_top1", 83.0)
        | {"sketch_n": 50889.0, "sketch_clean_n": 400.0}
    )
    metrics |= {"calibration_ece": 4.21, "calibration_adaptive_ece": 4.05, "calibration_brier": 0.231}
    metrics |= {"calibration_nll": 0.612, "calibration_n": 400.0, "calibration_temperature": 1.27}
    metrics |= {"calibration_scaled_ece": 1.9, "calibration_scaled_nll": 0.58}
    shifts = []
    for shift in (1, 2, 4, 8, 16):
        value = 99 - shift * hardship / 2
        metrics |= interval(f"translation_{shift}_consistency", value)
        shifts += [
            {
                "shift": shift, "direction": direction, "n": 400, **interval("consistency", value),
                **interval("probability_change", 1.5 * shift),
            }
            for direction in ("horizontal", "vertical")
        ]  # fmt: skip
    bins = [{"low": i / 15, "high": (i + 1) / 15, "n": 0, "confidence": None, "accuracy": None} for i in range(15)]
    for i in range(4, 15):
        middle = (i + 0.5) / 15
        bins[i] |= {"n": 10 + 3 * i**2 // 4, "confidence": middle, "accuracy": middle - 0.05 * hardship}
    sizes: list[dict[str, Any]] = [
        {
            "image_size": size, "own": size == 224, "n": 400, "rebuilt": False,
            **interval("top1", 84 - abs(size - 256) ** 1.5 / 100 * hardship),
        }
        for size in range(128, 449, 32)
    ]  # fmt: skip
    sizes.append({"image_size": 480, "own": False, "n": 400, "rebuilt": False, "reason": "not at 480 x 480: too large"})
    probes = [
        {"probe": probe, "title": title, "n": 400, **interval("top1", top1)}
        for probe, title, top1 in (
            ("unchanged", "unchanged", 84.0), ("patches_4", "4 x 4 patches shuffled", 41.5),
            ("smooth", "texture smoothed", 60.0), ("centre", "centre alone", 75.0), ("border", "border alone", 33.0),
        )
    ]  # fmt: skip
    return Record(
        "robustness",
        name,
        {
            "model": name, "data": {"name": "imagenet_like", "fingerprint": "0123"}, "suites": ["c", "cbar", "sketch"],
            "protocol": {"images": "shorter side scaled to 256, bilinear; central 224 x 224", "stored": "JPEG"},
            "frost": "synthesised", "baseline": "AlexNet", "seed": 0,
        } | settings,
        metrics,
        environment={"device": "CPU, 2 threads", "created": "2026-11-20T10:00:00+00:00"},
        task_metrics=(
            Metric("c_mce", "mCE", digits=1, higher_is_better=False, limits=(0.0, None)),
            Metric("clean_top1", "clean top-1"),
        ),
        details={
            "corruptions": cells,
            "corruption_means": means,
            "shifted": [{"name": "sketch", "title": "ImageNet-Sketch"}],
            "calibration": {"binning": "15 bins of equal width", "bins": bins},
            "resolution": sizes,
            "translation": shifts,
            "bias": {"guessing": 0.1, "probes": probes},
        },
    )  # fmt: skip


def interval(name: str, value: float) -> dict[str, float]:
    return {name: value, f"{name}_low": value - 2.3, f"{name}_high": value + 2.1}
