"""What to measure: a network and the options under which it runs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from modernet.errors import InputError
from modernet.preparation import ImageSize
from modernet.records import OPTIMIZED_PREFIX

MODES = ("infer", "train")
DTYPES = ("float32", "tf32", "bfloat16", "float16")
LAYOUTS = ("channels_last", "contiguous")
COMPILE_MODES = ("off", "default", "max-autotune")

CHOSEN = "chosen"
"""Layout and compile mode of an optimized network, which are chosen by measurement."""


@dataclass(frozen=True)
class Case:
    """One row of a benchmark.

    Attributes:
        model: name of the network, see `find_network`.
        mode: `infer`, a forward pass; or `train`, a step: forward, cross-entropy, backward, SGD.
        dtype: `float32`, without TF32; `tf32`, float32 multiplied by TF32 units; `bfloat16` or `float16`, with the
            network cast to it for inference, and float32 weights under autocast for training.
        layout: memory layout of weights and images; `contiguous` for networks of sequences and clouds.
        compile: mode of `torch.compile`, or `off`.
        batch: examples per batch; None until the fastest was found.
        size: of the examples: side of the images in pixels, or height and width; steps of the sequences; points of the
            clouds.
        threads: number of CPU threads.
    """

    model: str
    mode: str
    dtype: str
    layout: str
    compile: str
    batch: int | None
    size: ImageSize
    threads: int

    @property
    def label(self) -> str:
        """A short label: `convnext_tiny infer bfloat16 channels_last`."""
        parts = [self.model, self.mode, self.dtype]
        if self.layout != CHOSEN:
            parts.append(self.layout)
        if self.compile not in ("off", CHOSEN):
            parts.append(f"compiled {self.compile}")
        return " ".join(parts)

    @property
    def tensor_dtype(self) -> torch.dtype:
        """The dtype in which the network computes."""
        dtype: torch.dtype = getattr(torch, "float32" if self.dtype == "tf32" else self.dtype)
        return dtype

    @property
    def memory_format(self) -> torch.memory_format:
        """The memory format of the images; an optimized network gets contiguous ones, and may convert them."""
        return torch.channels_last if self.layout == "channels_last" else torch.contiguous_format

    def similarity(self, other: Case) -> tuple[bool, ...]:
        """Return how similar the options of two cases are; larger is more similar."""
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
    size: ImageSize,
    threads: int,
) -> list[Case]:
    """Return every model with every combination of the options; models are adjacent, since they take turns.

    Raises:
        InputError: a value is unknown or out of range, or not possible on the device or for a model.
    """
    for option, given, allowed in (
        ("mode", modes, MODES),
        ("dtype", dtypes, DTYPES),
        ("layout", layouts, LAYOUTS),
        ("compile", compile_modes, COMPILE_MODES),
    ):
        _check_choice(option, given, allowed)
    if device.type != "cuda" and "tf32" in dtypes:
        raise InputError(f"dtype tf32 needs a CUDA device, but the device is {device.type}; give float32 or bfloat16")
    if batch != "auto" and batch < 1:
        raise InputError(f"batch is {batch}; give 1 or more, or auto")
    optimized = [model for model in models if model.startswith(OPTIMIZED_PREFIX)]
    if optimized and "train" in modes:
        raise InputError(f"{optimized[0]} is for inference and cannot be trained; give --mode infer, or leave it out")

    examples = None if batch == "auto" else batch
    cases = []
    for mode, dtype in itertools.product(modes, dtypes):
        for index, (layout, compile_mode) in enumerate(itertools.product(layouts, compile_modes)):
            for model in models:
                if model not in optimized:
                    cases.append(Case(model, mode, dtype, layout, compile_mode, examples, size, threads))
                elif index == 0:
                    cases.append(Case(model, mode, dtype, CHOSEN, CHOSEN, examples, size, threads))
    return cases


def reference_of(case: Case, cases: Sequence[Case]) -> Case | None:
    """Return the case to compare with: the first model with the same options, or else with the most similar ones.

    The options count in the order dtype, layout, compile mode. Inference and training are never compared: the result is
    None if the first model has no case in that mode.
    """
    first = [other for other in cases if other.model == cases[0].model and other.mode == case.mode]
    return max(first, key=case.similarity, default=None)


def _check_choice(option: str, given: Sequence[str], allowed: Sequence[str]) -> None:
    for value in given:
        if value not in allowed:
            raise InputError(f"{option} is {value!r}; give one or more of {', '.join(allowed)}, separated by commas")
    if not given or len(set(given)) < len(given):
        raise InputError(
            f"{option} is {','.join(given)!r}; give each of {', '.join(allowed)} at most once, at least one"
        )
