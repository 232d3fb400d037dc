from __future__ import annotations

from typing import Any

import pytest
import torch

from modernet.benchmark import benchmark_models
from modernet.benchmark.inputs import Clouds, Images, Inputs, Sequences
from modernet.benchmark.targets import find_network
from modernet.counting.macs import count_macs
from modernet.data.points.inputs import PointInputs
from modernet.data.sequences.inputs import SequenceInputs
from modernet.errors import InputError
from modernet.report import benchmark_markdown, benchmark_rows
from modernet.sequences.zoo import sequence_models

CPU, META = torch.device("cpu"), torch.device("meta")
CONTIGUOUS = torch.contiguous_format


def measured(*models: str, **options: Any) -> list[Any]:
    short: dict[str, Any] = {"batch": 2, "rounds": 2, "turn_s": 0.0, "threads": 1, "device": "cpu"}
    return benchmark_models(models, **short | options)


def test_tokens_are_never_padding_and_all_sequences_have_their_length() -> None:
    tokens, lengths = Sequences(SequenceInputs(0, vocabulary=3)).draw(4, 50, torch.float32, CONTIGUOUS, CPU)
    assert (tokens.shape, tokens.dtype) == ((4, 50), torch.int64)
    assert sorted(tokens.unique().tolist()) == [1, 2]
    assert lengths.tolist() == [50] * 4


def test_pairs_of_numbers_are_four_arguments_and_only_numbers_are_cast() -> None:
    pair = Sequences(SequenceInputs(9, channels=2, towers=2)).draw(3, 5, torch.bfloat16, CONTIGUOUS, CPU)
    assert [(tuple(x.shape), x.dtype) for x in pair] == 2 * [((3, 5, 2), torch.bfloat16), ((3,), torch.int64)]


def test_a_segmenter_of_clouds_is_given_their_categories() -> None:
    points, categories = Clouds(PointInputs(categories=4, channels=6), segmented=True).draw(
        8, 16, torch.float32, CONTIGUOUS, CPU
    )
    assert points.shape == (8, 16, 6)
    assert set(categories.tolist()) <= set(range(4))


@pytest.mark.parametrize(
    ("inputs", "size", "message"),
    [
        (Images(), 0, "image_size is 0; give the side of an image in pixels"),
        (Clouds(PointInputs()), 0, "length is 0; give the steps of a sequence or the points of a cloud"),
        (
            Sequences(SequenceInputs(64), trained=True),
            65,
            "length is 65, and the run has learned from at most 64 steps",
        ),
    ],
)
def test_an_impossible_size_is_refused(inputs: Inputs, size: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        inputs.check(size)


@pytest.mark.medium
def test_every_sequence_model_but_fnet_is_counted() -> None:
    """FNet groups sequences by their lengths, for which it needs values."""
    for name in [entry.name for entry in sequence_models() if entry.name != "fnet"]:
        target = find_network(name)
        assert count_macs(target.build(128), target.inputs.draw(1, 128, torch.float32, CONTIGUOUS, META)) > 0, name


@pytest.mark.usefixtures("peaks")
def test_sequences_a_second_are_in_records_rows_and_tables() -> None:
    records = measured("s4", "transformer", length=64, modes=("infer", "train"))
    assert [record.error for record in records] == [None] * 4
    for record in records:
        speed = record.metrics["sequences_per_second"]
        assert speed == pytest.approx(2e3 / record.metrics["latency_ms"])
        assert (record.settings["length"], record.settings["image_size"]) == (64, None)
        assert record.settings["layout"] == "contiguous"
        assert not [name for name in record.metrics if "image" in name]
    assert records[0].metrics["macs"] != records[1].metrics["macs"]
    rows = benchmark_rows(records)
    assert [row["sequences_per_second"] for row in rows] == [r.metrics["sequences_per_second"] for r in records]
    table = benchmark_markdown(records)
    assert "| Sequences/s |" in table
    assert "length 64" in table
    assert "not Fourier transforms" in table
    assert "mages" not in table


@pytest.mark.usefixtures("peaks")
def test_clouds_are_measured_in_training_too() -> None:
    (record,) = measured("pointnet", length=32, modes=("train",))
    assert record.error is None
    assert record.metrics["clouds_per_second"] > 0
    assert record.metrics["params"] > 0


@pytest.mark.parametrize(
    ("models", "options", "message"),
    [
        (("s4", "resnet_test"), {}, "s4 takes sequences, and resnet_test takes images; measure each kind"),
        (("s4",), {"image_size": 64}, "image_size is that of images; of sequences, give length"),
        (("resnet_test",), {"length": 64}, "length is that of sequences and point clouds"),
        (("ascn",), {"layouts": ("channels_last",)}, "layouts are those of images, and ascn takes clouds"),
        (("optimized:s4",), {}, "s4 takes sequences, and only networks for images are optimized; give s4"),
    ],
)
def test_options_of_other_inputs_are_refused(models: tuple[str, ...], options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        measured(*models, **options)
