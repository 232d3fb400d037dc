from __future__ import annotations

import numpy as np
import pytest
import torch

from modernet.data import open_dataset, reading
from modernet.data.images.collection import DecodedImages
from modernet.data.images.decoding import UnreadableImage
from modernet.data.reading import read_all
from modernet.data.sources.examples import Examples, labelled
from modernet.data.targets import NoTargets
from modernet.machine import cores

IMAGES = DecodedImages(torch.zeros((150, 2, 2), dtype=torch.uint8), "file")


def test_every_image_is_read_once_and_failures_are_returned_by_position() -> None:
    indices = np.arange(150)[::-1]
    seen: dict[int, int] = {}

    def read(position: int, index: int) -> None:
        seen[position] = index
        if index == 3:
            raise UnreadableImage("a", "it is torn")

    failures = read_all(Examples(IMAGES, indices, NoTargets(150)), read, "reading")
    assert seen == {position: 149 - position for position in range(150)}
    assert {position: error.reason for position, error in failures.items()} == {146: "it is torn"}


def test_the_centre_is_decoded() -> None:
    pixels = torch.randint(256, (2, 3, 16, 20), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    examples = labelled(DecodedImages(pixels, "file"), np.array([1, 0]))
    whole, failures = reading.decode(examples, (16, 16), "reading")
    assert failures == {}
    assert torch.equal(whole.images, pixels[..., 2:18])
    centre, _ = reading.decode(examples, (8, 8), "reading", crop=0.5)
    assert torch.equal(centre.images, pixels[..., 4:12, 6:14])
    assert centre.labels.tolist() == [1, 0]


def test_of_an_empty_split_nothing_is_read() -> None:
    empty = labelled(IMAGES, np.zeros(150, dtype=np.int64)).take(np.arange(0))
    assert read_all(empty, lambda position, index: 1 / 0, "reading") == {}


def test_a_data_set_is_decoded_by_so_many_threads(tmp_path, write_folder, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []

    class Threads(reading.ThreadPoolExecutor):
        def __init__(self, threads: int) -> None:
            started.append(threads)
            super().__init__(threads)

    monkeypatch.setattr(reading, "ThreadPoolExecutor", Threads)
    monkeypatch.setattr(cores, "usable_cores", lambda: 64)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    open_dataset(str(write_folder(tmp_path)))
    assert set(started) == {3}
