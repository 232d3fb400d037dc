"""What the quantities of a comparison mean, besides the metrics of its task."""

from __future__ import annotations

from dataclasses import replace

from modernet.records import Metric

BINS = 15
CORRUPTIONS = ("gaussian_noise", "defocus_blur", "fog", "jpeg_compression")
"""One of each of ImageNet-C's categories: noise, blur, weather, digital."""
SEVERITY = 3
MOST_IMAGES = {"classification": 1000, "segmentation": 100, "detection": 100}
"""Task -> test images that are corrupted, evenly from the whole of them."""

_FROM_0 = (0.0, None)

ECE = Metric("ece", f"ECE ({BINS} bins of equal width)", higher_is_better=False)
PARAMS = Metric("params", "parameters", "", 0, higher_is_better=False, limits=_FROM_0)
MACS = Metric("macs", "multiply-accumulates for an image", "", 0, higher_is_better=False, limits=_FROM_0)


def corrupted(primary: Metric, task: str) -> Metric:
    """Return the metric of corrupted test images for a task's primary one."""
    what = f"Gaussian noise, defocus blur, fog, JPEG; severity {SEVERITY}; at most {MOST_IMAGES[task]:,} images"
    return replace(primary, name="corrupted", title=f"{primary.title}, corrupted ({what})")


def images_per_second(batch: int, dtype: str) -> Metric:
    """Return the metric of throughput, in batches of so many images."""
    return Metric("images_per_second", f"throughput (batch {batch}, {dtype})", "images/s", 1, limits=_FROM_0)


def best_images_per_second(batch: int) -> Metric:
    """Return the metric of throughput in the fastest way that keeps the accuracy."""
    title = f"throughput, fastest way (batch {batch}, any precision that keeps the accuracy)"
    return Metric("best_images_per_second", title, "images/s", 1, limits=_FROM_0)


def latency_ms(dtype: str) -> Metric:
    """Return the metric of the time for one image."""
    return Metric("latency_ms", f"latency (one image, {dtype})", "ms", 2, higher_is_better=False, limits=_FROM_0)


def peak_memory_mb(batch: int, dtype: str) -> Metric:
    """Return the metric of memory in inference: weights, one batch, and what a forward pass allocates."""
    title = f"memory in inference (batch {batch}, {dtype})"
    return Metric("peak_memory_mb", title, "MB", 0, higher_is_better=False, limits=_FROM_0)
