from __future__ import annotations

import base64
import io

import torch
from PIL import Image
from torch import Tensor

from modernet.evaluation.misses import Misses, small_jpeg
from modernet.processes import Processes


def decoded(jpeg: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(jpeg)))


def test_the_worst_images_are_kept_in_order_and_only_they_are_drawn() -> None:
    drawn: list[int] = []

    def drawing(position: int) -> Tensor:
        drawn.append(position)
        return torch.full((3, 4, 4), position, dtype=torch.uint8)

    misses = Misses()
    for position in range(100):
        misses.add(position // 2, position, f"image {position}", "bad", lambda position=position: drawing(position))
    misses.add(-1.0, 100, "the worst", "very bad", lambda: drawing(100))

    found = misses.gather()
    assert [entry["image"] for entry in found] == ["the worst", *(f"image {position}" for position in range(11))]
    assert drawn == [*range(12), 100]
    assert found[0].keys() == {"image", "why", "jpeg"}


def test_the_worst_of_all_processes_are_those_of_one() -> None:
    def add(misses: Misses, positions: range) -> Misses:
        for position in positions:
            score = float(position * 7 % 20)
            misses.add(score, position, str(position), "", lambda: torch.zeros(3, 2, 2, dtype=torch.uint8))
        return misses

    parts = [add(Misses(), range(rank, 40, 2)) for rank in range(2)]

    class Two(Processes):
        def gather(self, value: object, *, patiently: bool = False) -> list[object]:  # type: ignore[override]
            return [part._worst for part in parts]

    assert parts[0].gather(Two()) == add(Misses(), range(40)).gather()


def test_a_drawing_is_a_few_kilobytes_and_small_ones_are_enlarged_by_a_whole_factor() -> None:
    noise = torch.randint(0, 256, (3, 37, 50), generator=torch.Generator().manual_seed(0))
    large = torch.nn.functional.interpolate(noise[None].float(), (1500, 2000), mode="bicubic")[0]
    jpeg = small_jpeg(large.clamp(0, 255).to(torch.uint8))
    assert decoded(jpeg).size == (320, 240)
    assert len(jpeg) < 30_000

    halves = torch.zeros(3, 20, 32, dtype=torch.uint8)
    halves[..., 16:] = 255
    image = decoded(small_jpeg(halves)).convert("L")
    assert image.size == (10 * 32, 10 * 20)
    assert (image.getpixel((155, 100)), image.getpixel((164, 100))) == (0, 255)
    assert decoded(small_jpeg(torch.zeros(3, 1, 100_000, dtype=torch.uint8))).height == 1
