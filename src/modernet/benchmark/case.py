"""What is measured: a network with the options under which it runs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from modernet.errors import InputError

MODES = ("infer", "train")
DTYPES = ("float32", "tf32", "bfloat16", "float16")
LAYOUTS = ("channels_last", "contiguous")
COMPILE_MODES = ("off", "default", "max-autotune")

OPTIMIZED_PREFIX = "optimized:"
"""What names of networks begin with that `modernet.deploy.optimize` makes fast."""
CHOSEN = "chosen"
"""Layout and compile mode of an optimized network: they are chosen for it, by measurement."""


@dataclass(frozen=True)
class Case:
    """One row of a benchmark.

    Attributes:
        model: name of the network, as `find_network` knows it.
        mode: `infer`, a forward pass; or `train`, a step: forward, cross-entropy, backward, SGD.
        dtype: `float32`, without TF32; `tf32`, float32 numbers multiplied by TF32 units; `bfloat16` or `float16`:
            inference with the network cast to it, training with float32 weights under autocast.
        layout: of weights and images in memory.
        compile: mode of `torch.compile`, or `off`.
        batch: images in a batch; None until the fastest was found.
        image_size: side of the square images in pixels.
        threads: that the CPU computes with.
    """

    model: str
    mode: str
    dtype: str
    layout: str
    compile: str
    batch: int | None
    image_size: int
    threads: int

    @property
    def label(self) -> str:
        """The case in a few words: `convnext_tiny infer bfloat16 channels_last`."""
        words = [self.model, self.mode, self.dtype]
        if self.layout != CHOSEN:
            words.append(self.layout)
        if self.compile not in ("off", CHOSEN):
            words.append(f"compiled {self.compile}")
        return " ".join(words)

    @property
    def tensor_dtype(self) -> torch.dtype:
        """Of the numbers that the network computes with."""
        dtype: torch.dtype = getattr(torch, "float32" if self.dtype == "tf32" else self.dtype)
        return dtype

    @property
    def memory_format(self) -> torch.memory_format:
        """Of the images; an optimized network is given contiguous ones, and may reorder them."""
        return torch.channels_last if self.layout == "channels_last" else torch.contiguous_format

    def likeness(self, other: Case) -> tuple[bool, ...]:
        """How alike the options of two cases are; larger is more alike."""
        return self.dtype == other.dtype, self.layout == other.layout, self.compile == other.compile


def plan_cases(
    models: Sequence[str],
    device: torch.device,
    *,
    modes: Sequence[str],
    dtypes: Sequence[str],
    layouts: Sequence[str],
    compile_modes: Sequence[str],
    batch: int | Literal["auto"],
    image_size: int,
    threads: int,
) -> list[Case]:
    """Every model in every circumstance that was asked for; models next to each other, as they will take turns.

    Raises:
        InputError: an option has no such value, is out of range, or does not go with the device or with a model.
    """
    if not models:
        raise InputError("no model was given; name one or more, such as convnext_tiny")
    for option, given, allowed in (
        ("mode", modes, MODES),
        ("dtype", dtypes, DTYPES),
        ("layout", layouts, LAYOUTS),
        ("compile", compile_modes, COMPILE_MODES),
    ):
        _check_choice(option, given, allowed)
    if device.type != "cuda" and "tf32" in dtypes:
        raise InputError(f"dtype tf32 needs a CUDA device, and this is {device.type}; give float32 or bfloat16")
    if batch != "auto" and batch < 1:
        raise InputError(f"batch is {batch}; give 1 or more, or auto")
    if image_size < 1:
        raise InputError(f"image_size is {image_size}; give the side of an image in pixels, 1 or more")
    optimized = [model for model in models if model.startswith(OPTIMIZED_PREFIX)]
    if optimized and "train" in modes:
        raise InputError(f"{optimized[0]} is for inference and cannot be trained; give --mode infer, or leave it out")

    size = None if batch == "auto" else batch
    cases = []
    for mode, dtype in itertools.product(modes, dtypes):
        for place, (layout, compile_mode) in enumerate(itertools.product(layouts, compile_modes)):
            for model in models:
                if model not in optimized:
                    cases.append(Case(model, mode, dtype, layout, compile_mode, size, image_size, threads))
                elif place == 0:
                    cases.append(Case(model, mode, dtype, CHOSEN, CHOSEN, size, image_size, threads))
    return cases


def reference_of(case: Case, cases: Sequence[Case]) -> Case | None:
    """What a case is compared with: the first model under the same options, or else under the most similar ones.

    Options count in the order dtype, layout, compile mode; a mode is never compared with the other one. None where the
    first model does not run in that mode.
    """
    first = [other for other in cases if other.model == cases[0].model and other.mode == case.mode]
    return max(first, key=case.likeness, default=None)


def _check_choice(option: str, given: Sequence[str], allowed: Sequence[str]) -> None:
    for value in given:
        if value not in allowed:
            raise InputError(f"{option} is {value!r}; give one or more of {', '.join(allowed)}, with commas between")
    if not given or len(set(given)) < len(given):
        raise InputError(
            f"{option} is {','.join(given)!r}; give each of {', '.join(allowed)} at most once, at least one"
        )
