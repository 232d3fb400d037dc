"""The values of Pathfinder at each size, as the Long Range Arena set them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

SCALE = 2
"""Paddles and markers are drawn at this multiple of their size, and reduced by Lanczos' filter."""


@dataclass(frozen=True)
class Settings:
    """How pictures of one size are made. Lengths in pixels; snakes are counted in paddles, the strokes they consist of.

    Source: Tay et al. 2020 (arXiv 2011.04006), comments of its `data/pathfinder.py`; what they do not name are defaults
    of the generator of Linsley et al. 2018 (arXiv 1805.08315), which it ran.
    """

    side: int
    padding: int
    """Border that no snake may cross."""
    margins: tuple[int, ...]
    """Gap around a paddle; one of these for each picture."""
    seed_distance: int
    """From the first paddle of one long snake to that of the other."""
    marker_radius: float
    paddle_length: int
    thickness: float
    continuity: float
    """A turn of more than 90 degrees / continuity between paddles is impossible."""
    distractor_paddles: int
    """Paddles of all distractors together, at most."""
    target_contrast: float
    distractor_contrast: float
    contour_length: int = 14
    """Paddles of a long snake: 14 is the Arena's task (`curv_contour_length_14`), 9 and 6 the easier versions."""
    anywhere: bool = False
    """Whether the first paddle may be anywhere, not only near the centre."""

    @property
    def distractor_length(self) -> int:
        """Paddles of a distractor."""
        return self.contour_length // 3

    @property
    def distractors(self) -> int:
        """Distractors of a picture; fewer where there is no room."""
        return self.distractor_paddles // self.distractor_length

    def clean(self) -> Settings:
        """Return the same without the two shortcuts of the published pictures.

        Those are that at 32 pixels distractors are 4/3 as bright as the long snakes, and that one of the long snakes
        always begins near the centre: in the middle 4 x 4 pixels of 32 x 32, 16 x 16 of 64, 48 x 48 of 128, and 148 x
        148 of 256 (one pixel further up and left, by a shift of the generator).
        """
        return replace(self, distractor_contrast=self.target_contrast, anywhere=True)


PUBLISHED: Mapping[int, Settings] = {
    32: Settings(
        side=32,
        padding=1,
        margins=(1,),
        seed_distance=7,
        marker_radius=1.5,
        paddle_length=2,
        thickness=0.5,
        continuity=1.0,
        distractor_paddles=20,
        target_contrast=2 * 0.75,
        distractor_contrast=2.0,  # distractors are not multiplied by the contrast of paddles
    ),
    64: Settings(
        side=64,
        padding=1,
        margins=(1,),
        seed_distance=12,
        marker_radius=2.5,
        paddle_length=5,
        thickness=1.0,
        continuity=1.8,
        distractor_paddles=22,
        target_contrast=0.8,
        distractor_contrast=0.8,
    ),
    128: Settings(
        side=128,
        padding=1,
        margins=(2, 3),
        seed_distance=20,
        marker_radius=3.0,
        paddle_length=5,
        thickness=1.5,
        continuity=1.8,
        distractor_paddles=35,
        target_contrast=0.9,
        distractor_contrast=0.9,
    ),
    256: Settings(
        side=256,
        padding=22,
        margins=(3,),
        seed_distance=27,
        marker_radius=5.0,
        paddle_length=5,
        thickness=2.0,
        continuity=1.8,
        distractor_paddles=30,
        target_contrast=1.0,
        distractor_contrast=1.0,
    ),
}
"""By side."""
