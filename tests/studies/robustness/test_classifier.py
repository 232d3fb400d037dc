"""A classifier answers alike whatever runs it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Never

import pytest
import torch

from modernet.data import OpenedSplit, open_split
from modernet.data.images.marks import NO_MARKS
from modernet.deploy.rewriting.apply import rewritten
from modernet.studies.robustness import NamedNetwork
from modernet.studies.robustness.classifier import Classifier, decoded
from modernet.training import Interrupted
from small_classifiers import save_classifier, save_images


def opened(tmp_path: Path, crop: float) -> tuple[NamedNetwork, OpenedSplit]:
    network = NamedNetwork.load(save_classifier(tmp_path / "run", crop=crop))
    photos = save_images(tmp_path / "photos", each=5)
    return network, open_split(str(photos), "test", network.saved.preparation, marks=NO_MARKS)


def classifier(network: NamedNetwork, threads: int, stop_at: int = 10**9) -> Classifier:
    saved = network.saved
    calls = iter(range(10**9))
    fast = rewritten(saved.network, saved.preparation.size)
    cpu = torch.device("cpu")
    return Classifier(fast, saved.classes, saved.preparation, cpu, 2, lambda: next(calls) >= stop_at, threads)


def test_threads_share_the_images_and_keep_their_order(tmp_path: Path) -> None:
    network, images = opened(tmp_path, crop=0.9)
    split, preparation = decoded(images, network.saved.preparation)
    alone, shared = (classifier(network, threads).answer(split, "", images=preparation) for threads in (1, 3))
    assert torch.equal(shared.labels, alone.labels)
    assert torch.equal(alone.labels, torch.arange(3).repeat_interleave(5))
    torch.testing.assert_close(shared.logits, alone.logits)
    from_disk = classifier(network, 1).answer(images, "")
    torch.testing.assert_close(from_disk.logits, alone.logits)
    assert torch.get_num_threads() == 1

    with pytest.raises(Interrupted):
        classifier(network, 3, stop_at=4).answer(split, "", images=preparation)


def test_ctrl_c_stops_all_threads_after_their_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, images = opened(tmp_path, crop=1.0)
    split, preparation = decoded(images, network.saved.preparation)
    shown = []

    class WithCtrlC(ThreadPoolExecutor):
        def map(self, function: Callable[..., object], *arguments: Iterable[object]) -> Never:  # type: ignore[override]
            super().map(function, *arguments)
            raise KeyboardInterrupt

    def slowly() -> bool:
        time.sleep(0.05)
        shown.append(1)
        return False

    monkeypatch.setattr("modernet.studies.robustness.classifier.ThreadPoolExecutor", WithCtrlC)
    tested = replace(classifier(network, 3), batch_size=1, should_stop=slowly)
    with pytest.raises(KeyboardInterrupt):
        tested.correct(split, "", images=preparation)
    assert len(shown) < len(split.split)


def test_what_is_kept_of_answers_is_whether_they_are_right(tmp_path: Path) -> None:
    network, images = opened(tmp_path, crop=0.9)
    tested = classifier(network, 2)
    answers = tested.answer(images, "")
    split, preparation = decoded(images, network.saved.preparation)
    correct, labels = tested.correct(split, "", images=preparation)
    assert torch.equal(labels, answers.labels)
    assert torch.equal(correct, answers.correct())
