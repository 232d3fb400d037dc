"""Records of made-up runs: numbers drawn around published ones, so that tables and charts look like real ones."""

from __future__ import annotations

import math
import random
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from modernet.records import Record
from modernet.report import write_page
from report.visiting import Visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# row, step, title, change, params in M, GMACs of the tiny road, its published ImageNet-1K top-1
_STEPS = (
    ("0", "resnet", "ResNet",
        "The residual network of 2015 under its classic recipe: SGD, no mixing.", 25.557, 4.089, 76.13),
    ("1", "training_recipe", "Training recipe",
        "AdamW, mixup, cutmix and label smoothing instead.", 25.557, 4.089, 78.82),
    ("2", "stage_ratio", "Stage ratio", "Blocks per stage from 3-4-6-3 to 3-3-9-3.", 28.629, 4.526, 79.36),
    ("3", "patchify_stem", "Patchify stem",
        "A 4x4 convolution with stride 4 instead of 7x7 and pooling.", 28.622, 4.418, 79.51),
    ("4", "depthwise_conv", "Depthwise conv", "Every 3x3 convolution sees one channel.", 15.723, 2.350, 78.28),
    ("5", "increase_width", "Increase width", "Widths from 64 to 96 in the first stage.", 33.761, 5.268, 80.50),
    ("6", "inverted_bottleneck", "Inverted bottleneck",
        "The hidden layer is four times wider than the block.", 25.851, 4.644, 80.64),
    ("7", "move_up_depthwise", "Depthwise first",
        "The depthwise convolution moves before both 1x1s.", 25.626, 4.065, 79.92),
    ("8a", "kernel_5", "Kernel 5x5", "The depthwise kernel grows to 5x5.", 25.721, 4.097, 80.35),
    ("8b", "kernel_7", "Kernel 7x7", "The depthwise kernel grows to 7x7.", 25.864, 4.146, 80.57),
    ("8c", "kernel_9", "Kernel 9x9", "The depthwise kernel grows to 9x9.", 26.054, 4.210, 80.57),
    ("8d", "kernel_11", "Kernel 11x11", "The depthwise kernel grows to 11x11.", 26.292, 4.291, 80.47),
    ("9", "gelu", "GELU", "GELU instead of ReLU.", 25.864, 4.146, 80.62),
    ("10", "fewer_activations", "Fewer activations",
        "One activation a block, between the two 1x1s.", 25.864, 4.146, 81.27),
    ("11", "fewer_norms", "Fewer norms", "One norm a block, after the depthwise convolution.", 25.864, 4.146, 81.41),
    ("12", "layer_norm", "LayerNorm", "LayerNorm instead of BatchNorm.", 25.864, 4.146, 81.47),
    ("13", "separate_downsampling", "Separate downsampling",
        "A norm and a 2x2 convolution between stages.", 28.589, 4.456, 81.97),
)  # fmt: skip
_SIDE = ("8a", "8c", "8d")
_MODERN = {
    "name": "road",
    "source": "the paper, shortened",
    "epochs": 12,
    "optimizer": "adamw",
    "lr": 2e-3,
    "mixup": 0.8,
}
_CLASSIC = {"name": "classic", "source": "He et al. 2015", "epochs": 12, "optimizer": "sgd", "lr": 0.1, "mixup": 0.0}
_DATA = {
    "name": "digit_scenes", "classes": 10, "image_size": 32, "n_train": 1536, "n_validation": 500, "n_test": 1000,
    "splits": "by source digit", "unreadable": [],
}  # fmt: skip
_ENVIRONMENT: dict[str, Any] = {
    "created": "2026-11-20T10:00:00+00:00",
    "device": "CPU, 2 threads",
    "platform": "Linux x86_64",
    "versions": {"python": "3.12.1", "modernet": "0.1.0", "torch": "2.15.0"},
    "commit": "0123456789ab",
}

_QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip

Walk = Callable[..., list[Record]]


def _history(end: float, epochs: int, seed: int) -> list[dict[str, float]]:
    chance = random.Random(f"history {end} {seed}")
    rows = []
    for epoch in range(1, epochs + 1):
        share = 1 - math.exp(-4 * epoch / epochs)
        loss = 2.4 - 1.6 * share + chance.gauss(0, 0.02)
        top1 = 10 + (end - 10) * share + chance.gauss(0, 0.4)
        rows.append(
            {
                "epoch": epoch,
                "train_loss": loss,
                "train_top1": top1 - 4,
                "validation_loss": loss,
                "validation_top1": top1,
            }
        )
    return rows  # fmt: skip


@pytest.fixture(scope="module")
def run() -> Callable[..., Record]:
    """Make one run of the road: `run("8b", seed=1, top1=88.0)`; `settings` overrides what the record says."""

    def make(
        row: str, *, seed: int = 0, top1: float | None = None, error: str | None = None,
        created: str = _ENVIRONMENT["created"], device: str = _ENVIRONMENT["device"], **settings: Any,
    ) -> Record:  # fmt: skip
        order = [step[0] for step in _STEPS].index(row)
        _, step, title, change, params, gmacs, published = _STEPS[order]
        full: dict[str, Any] = {
            "study": "roadmap", "size": "tiny", "row": row, "order": order, "step": step, "title": title,
            "change": change, "side_step": row in _SIDE, "data": dict(_DATA), "seed": seed,
            "model": title, "model_fields": {"stem_stride": 4},
            "recipe": dict(_CLASSIC if row == "0" else _MODERN),
            "params": int(params * 1e6), "macs": int(gmacs * 1e9),
            "published_top1": published,
        } | settings  # fmt: skip
        top1 = 90.0 if top1 is None else top1
        metrics = {
            "test_top1": top1, "test_n": 1000, "validation_top1": top1 + 0.4, "validation_n": 500,
            "train_images_per_second": 900.0 + 10 * seed, "seconds": 61.5,
        }  # fmt: skip
        return Record(
            kind="train",
            name=f"roadmap/{row}/seed{seed}",
            settings=full,
            metrics={} if error else metrics,
            history=[] if error else _history(top1, full["recipe"]["epochs"], seed),
            environment=_ENVIRONMENT | {"created": created, "device": device},
            error=error,
        )

    return make


@pytest.fixture(scope="module")
def walk(run: Callable[..., Record]) -> Walk:
    """Make the runs of a whole road: the paper's shape, stretched, with the spread of small runs."""

    def make(seeds: Sequence[int] = (0, 1, 2), rows: Sequence[str] | None = None, **settings: Any) -> list[Record]:
        chance = random.Random(7)
        records = []
        for row, *_, published in _STEPS:
            for seed in seeds:
                top1 = round(88.2 + 1.4 * (published - 80) + chance.gauss(0, 0.5), 1)
                if rows is None or row in rows:
                    records.append(run(row, seed=seed, top1=top1, **settings))
        return records

    return make


@pytest.fixture(scope="module")
def training_run() -> Callable[..., Record]:
    """Make one run of `modernet train`: `recipe`, `model_fields` and `data` change what the record says of them."""

    def make(
        name: str = "convnext_atto", seed: int = 0, top1: float = 91.2, error: str | None = None, *,
        recipe: dict[str, Any] | None = None, model_fields: dict[str, Any] | None = None,
        data: dict[str, Any] | None = None,
    ) -> Record:  # fmt: skip
        settings = {
            "model": name, "model_fields": model_fields or {}, "data": _DATA | (data or {}),
            "recipe": _MODERN | (recipe or {}), "seed": seed, "params": 3_400_000, "macs": 550_000_000,
        }  # fmt: skip
        metrics = {
            "test_top1": top1, "test_top5": 99.0, "test_loss": 0.4, "test_n": 1000, "validation_top1": top1 + 0.2,
            "validation_n": 500, "seconds": 40.0, "train_images_per_second": 1200.0,
        }  # fmt: skip
        return Record(
            kind="train", name=name, settings=settings, metrics={} if error else metrics,
            history=[] if error else _history(top1, 12, seed), environment=dict(_ENVIRONMENT), error=error,
        )  # fmt: skip

    return make


@pytest.fixture(scope="module")
def made_up_case() -> Callable[..., Record]:
    """Make one case of a benchmark on a device that does not exist: `made_up_case("swin_tiny", 1, speed=20_000)`.

    The first case is the baseline. `without` names metrics that the record lacks; `settings` overrides what it says.
    """

    def make(
        model: str = "convnext_tiny", index: int = 0, speed: float = 20_000.0, *, top1: float | None = None,
        error: str | None = None, without: Sequence[str] = (), created: str = _ENVIRONMENT["created"],
        device: str = "NVIDIA Made-Up", params: float = 28.6e6, **settings: Any,
    ) -> Record:  # fmt: skip
        full: dict[str, Any] = {
            "benchmark": "run", "index": index, "model": model, "mode": "infer", "dtype": "bfloat16",
            "layout": "channels_last", "compile": "default", "batch": 256, "image_size": 224, "device": "cuda",
            "threads": None, "rounds": 10, "turn_s": 0.25, "ratio_to": "convnext_tiny infer bfloat16 channels_last",
            "bound": None if error else "bytes",
        } | settings  # fmt: skip
        latency_ms = 1e3 * (full["batch"] or 0) / speed
        ratio = 1.0 if index == 0 else speed / 20_000
        spread = 0.0 if index == 0 else 0.01
        metrics = {
            "images_per_second": speed, "images_per_second_low": 0.99 * speed, "images_per_second_high": 1.01 * speed,
            "latency_ms": latency_ms, "peak_memory_mb": 3539.4, "params": params, "macs": 4.456e9,
            "tflops": speed * 8.9e-3, "peak_share": speed * 8.9e-3 / 790, "peak_tflops": 790.0,
            "peak_gb_per_second": 4310.0, "ratio": ratio, "ratio_low": ratio - spread, "ratio_high": ratio + spread,
        }  # fmt: skip
        if top1 is not None:
            metrics["top1"] = top1
        return Record(
            kind="benchmark", name=model, settings=full,
            metrics={} if error else {name: value for name, value in metrics.items() if name not in without},
            history=[] if error else [{"seconds": latency_ms / 1e3}] * 10,
            environment=_ENVIRONMENT | {"created": created, "device": device}, error=error,
        )  # fmt: skip

    return make


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("no Chromium on the path; install one to test the page in a browser")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # playwright closes its pipes only when the process ends
        with playwright.sync_playwright() as driver:
            instance = driver.chromium.launch(executable_path=chromium, args=_QUIET)
            yield instance
            instance.close()


@pytest.fixture(scope="module")
def visit(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Visit]:
    """Write records as a page and open it: `visit(records, viewport=..., color_scheme=...)`."""

    def open_page(records: list[Record], **context: Any) -> Visit:
        path = tmp_path_factory.mktemp("page") / "page.html"
        write_page(records, path)
        return Visit(browser, path, **context)

    return open_page
