"""digit_scenes: real handwritten digits at random position, scale and contrast among clutter. Embedded, no download.

The 1,797 digits of 8x8 pixels are the test set of "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak
1998, UCI Machine Learning Repository, CC BY 4.0), the same ones as in scikit-learn's `load_digits`. A scene is a softly
shaded coloured ground, fragments of other digits, one digit or several, and light noise. It knows its class, boxes,
instance masks and semantic map, so that every task has data on a fresh machine. With one digit in 32x32 pixels a
bottleneck ResNet of 0.15 M parameters reaches about 90 % after 12,000 images.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from modernet.data.dataset import InMemory
from modernet.data.targets import BoxTargets, ClassTargets, NoTargets, SemanticTargets, TargetKind
from modernet.errors import InputError
from modernet.preparation import Size

DIGITS = tuple("0123456789")
SPLITS = ("train", "validation", "test")
SplitName = Literal["train", "validation", "test"]

_SPLIT_SIZES: tuple[tuple[SplitName, int], ...] = (("train", 1536), ("validation", 300), ("test", 1000))
_SEVERAL_SIDE = (0.25, 0.5)  # of a digit, as a share of the scene's side, where there are several
_SOURCE_SHARES = (4 / 6, 5 / 6)  # of each digit's examples, two thirds are for train, a sixth each for the others
_SOURCE = Path(__file__).with_name("uci_digits.csv.gz")
_MIN_SIZE = 16
_MIN_DIGIT = 8  # pixels, as many as the source has
_FRAGMENT_OPACITY = 0.8
_FRAGMENT_SIDES = (1 / 8, 1 / 4)  # of the scene's side
_SHADING = 0.15
_NOISE = 0.04
_CONTRAST = (0.4, 0.7)
_COLOUR_JITTER = 0.08
_INK = 0.5  # a pixel belongs to a digit where ink covers at least half of it
_LEAST_VISIBLE = 0.5  # of a digit's ink; what covers more of an earlier digit is placed elsewhere
_PLACES = 10

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Scene:
    """One image with all of its annotations; n digits, the first painted first.

    Attributes:
        image: uint8 (3, h, w), RGB.
        label: the first digit, the class of a scene with one.
        boxes_xyxy: float32 (n, 4), in pixels, tight around what is visible; right and bottom edges are exclusive.
        labels: int64 (n,), the digits.
        masks: bool (n, h, w), the visible ink of each digit; masks never overlap.
        semantic: uint8 (h, w): 0 is ground (and clutter), 1 + digit is ink.
    """

    image: Tensor
    label: int
    boxes_xyxy: Tensor
    labels: Tensor
    masks: Tensor
    semantic: Tensor


@dataclass(frozen=True)
class SceneGenerator:
    """Makes scenes; scene i is a function of the fields and i alone.

    Attributes:
        split: whose source digits are used; no source digit is in two splits, whatever the seed.
        image_size: side of the square scene in pixels, at least 16.
        num_digits: fewest and most digits; there may be fewer where no position leaves the other digits visible.
        digit_side: smallest and largest side of a digit, as a share of the scene's side.
        seed: another seed, other scenes.
    """

    split: SplitName
    image_size: int = 32
    num_digits: tuple[int, int] = (1, 1)
    digit_side: tuple[float, float] = (0.7, 0.95)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.image_size < _MIN_SIZE:
            raise InputError(f"image_size is {self.image_size}; digit_scenes needs at least {_MIN_SIZE}")
        low, high = self.num_digits
        if not 1 <= low <= high:
            raise InputError(
                f"num_digits is {self.num_digits}; give the fewest and the most, at least 1, such as (1, 4)"
            )
        smallest, largest = self.digit_side
        if not _MIN_DIGIT / self.image_size <= smallest <= largest <= 1:
            raise InputError(
                f"digit_side is {self.digit_side}; give the smallest and the largest share of the side, from "
                f"{_MIN_DIGIT / self.image_size:.2f} ({_MIN_DIGIT} pixels) to 1"
            )

    def scene(self, index: int) -> Scene:
        """Return scene `index`, counted from 0."""
        size = self.image_size
        rng = np.random.default_rng([self.seed, SPLITS.index(self.split), index])
        sources, source_labels = _sources(self.split)

        ground = rng.uniform(0, 0.5, 3)
        slopes = _SHADING * rng.normal(0, 1, (3, 2))
        axis = np.linspace(-0.5, 0.5, size)
        canvas = (ground[:, None] + slopes[:, :1] * axis)[:, :, None] + (slopes[:, 1:] * axis)[:, None, :]  # 3 h w

        wanted = int(rng.integers(self.num_digits[0], self.num_digits[1] + 1))
        for _ in range(wanted * int(rng.integers(1, 3))):
            ink = _FRAGMENT_OPACITY * _fragment(sources, size, rng)
            _paint(canvas, ink, _place(ink, size, rng), rng.uniform(0, 1, 3))

        owners = np.full((size, size), -1)  # which digit's ink is seen at a pixel
        areas: list[int] = []  # of each digit's own ink, covered or not
        labels: list[int] = []
        for _ in range(wanted):
            source = int(rng.integers(len(sources)))
            side = round(size * rng.uniform(*self.digit_side))
            ink = _enlarge(sources[source], side)
            colour = ground + rng.uniform(*_CONTRAST) + rng.normal(0, _COLOUR_JITTER, 3)
            for _ in range(_PLACES):
                place = _place(ink, size, rng)
                covered = owners.copy()
                covered[place][ink >= _INK] = len(labels)
                visible = np.bincount(covered.ravel() + 1, minlength=len(labels) + 2)[1:]
                if all(visible[:-1] >= _LEAST_VISIBLE * np.array(areas)) and visible[-1] > 0:
                    _paint(canvas, ink, place, colour.clip(0, 1))
                    owners = covered
                    areas.append(int(visible[-1]))
                    labels.append(int(source_labels[source]))
                    break

        canvas += rng.normal(0, _NOISE, canvas.shape)
        masks = owners[None] == np.arange(len(labels))[:, None, None]  # n h w
        semantic = np.array([0, *(1 + label for label in labels)], np.uint8)[owners + 1]
        return Scene(
            image=torch.from_numpy((canvas.clip(0, 1) * 255).round().astype(np.uint8)),
            label=labels[0],
            boxes_xyxy=torch.tensor([_box(mask) for mask in masks], dtype=torch.float32),
            labels=torch.tensor(labels),
            masks=torch.from_numpy(masks),
            semantic=torch.from_numpy(semantic),
        )


def make_scenes(split: SplitName, n: int, *, image_size: int = 32, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Make the first n scenes of a split with one digit each, for classification.

    Returns:
        Images, uint8 (n, 3, h, w) in channels_last layout, and labels, int64 (n,).
    """
    generator = SceneGenerator(split, image_size, seed=seed)
    images = torch.empty((n, image_size, image_size, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    labels = torch.empty(n, dtype=torch.int64)
    for index in range(n):
        scene = generator.scene(index)
        images[index], labels[index] = scene.image, scene.label
    return images, labels


class Scenes(NamedTuple):
    """The three splits of digit_scenes, in memory."""

    classes: tuple[str, ...]
    size: Size
    train: InMemory
    validation: InMemory
    test: InMemory


def open_scenes(targets: TargetKind = "classes", size: Size | None = None) -> Scenes:
    """Make the scenes of a task.

    Args:
        targets: `"classes"` and `"none"` have one digit a scene, `"semantic"` and `"boxes"` one to four smaller ones.
        size: height and width in pixels, which are equal; None is 32 for one digit, 64 for several.

    Raises:
        InputError: scenes of this size cannot be made.
    """
    several = targets in ("semantic", "boxes")
    if size is None:
        size = (64, 64) if several else (32, 32)
    if size[0] != size[1]:
        raise InputError(f"image_size is {size}; digit_scenes are square, give their side in pixels")
    splits = []
    for split, n in _SPLIT_SIZES:
        if targets == "classes" or targets == "none":
            images, labels = make_scenes(split, n, image_size=size[0])
            splits.append(InMemory(images, ClassTargets(labels) if targets == "classes" else NoTargets(n)))
        else:
            splits.append(_several(split, n, size, targets))
    classes = {"classes": DIGITS, "boxes": DIGITS, "semantic": ("ground", *DIGITS), "none": ()}[targets]
    return Scenes(classes, size, *splits)


def _several(split: SplitName, n: int, size: Size, targets: Literal["semantic", "boxes"]) -> InMemory:
    """Make scenes with one to four digits of a quarter to a half of the side, where that has enough pixels."""
    smallest = max(_SEVERAL_SIDE[0], _MIN_DIGIT / size[0])
    generator = SceneGenerator(split, size[0], (1, 4), (smallest, max(_SEVERAL_SIDE[1], smallest)))
    scenes = [generator.scene(index) for index in range(n)]
    images = torch.empty((n, *size, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    torch.stack([scene.image for scene in scenes], out=images)
    if targets == "semantic":
        return InMemory(images, SemanticTargets(torch.stack([scene.semantic for scene in scenes]), np.arange(n)))
    boxes, labels, masks = (
        torch.cat([getattr(scene, name) for scene in scenes]) for name in ("boxes_xyxy", "labels", "masks")
    )
    offsets = np.cumsum([0, *(len(scene.labels) for scene in scenes)])
    crowd = torch.zeros(len(labels), dtype=torch.bool)
    areas = masks.flatten(1).sum(1).double().numpy()
    numbers = np.arange(len(labels)), areas, np.arange(1, n + 1), tuple(range(1, len(DIGITS) + 1))
    return InMemory(images, BoxTargets(boxes, labels, crowd, offsets, masks, *numbers))


@cache
def source_digits(split: SplitName) -> tuple[int, ...]:
    """Return the indices of the source digits of a split; stratified by digit and fixed."""
    labels = _digits()[1]
    rng = np.random.default_rng(0)
    part = SPLITS.index(split)
    chosen: list[int] = []
    for digit in range(10):
        examples = rng.permutation(np.flatnonzero(labels == digit))
        chosen += np.split(examples, [int(share * len(examples)) for share in _SOURCE_SHARES])[part].tolist()
    return tuple(sorted(chosen))


@cache
def _sources(split: SplitName) -> tuple[Array, NDArray[np.int64]]:
    """Return the digits of a split: ink from 0 to 1, (n, 8, 8), and labels (n,)."""
    chosen = list(source_digits(split))
    images, labels = _digits()
    return images[chosen], labels[chosen]


@cache
def _digits() -> tuple[Array, NDArray[np.int64]]:
    """Return all source digits: ink from 0 to 1, (1797, 8, 8), and labels (1797,)."""
    table = np.loadtxt(_SOURCE, delimiter=",")
    return (table[:, :64].reshape(-1, 8, 8) / 16).astype(np.float32), table[:, 64].astype(np.int64)


def _fragment(sources: Array, size: int, rng: np.random.Generator) -> Array:
    """Return a crop of 3 or 4 pixels of a random digit, enlarged."""
    crop = int(rng.integers(3, 5))
    top, left = rng.integers(0, 8 - crop + 1, 2)
    digit = sources[rng.integers(len(sources))]
    side = int(rng.integers(int(size * _FRAGMENT_SIDES[0]), int(size * _FRAGMENT_SIDES[1]) + 1))
    return _enlarge(digit[top : top + crop, left : left + crop], side)


def _enlarge(ink: Array, side: int) -> Array:
    enlarged = Image.fromarray(ink).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(enlarged).clip(0, 1)


def _place(ink: Array, size: int, rng: np.random.Generator) -> tuple[slice, slice]:
    top, left = rng.integers(0, size - len(ink) + 1, 2)
    return slice(top, top + len(ink)), slice(left, left + len(ink))


def _paint(canvas: NDArray[np.float64], ink: Array, place: tuple[slice, slice], colour: NDArray[np.float64]) -> None:
    """Paint ink of one colour over the canvas (3, h, w), in place."""
    part = canvas[:, *place]
    part += (colour[:, None, None] - part) * ink


def _box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
