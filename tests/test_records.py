import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from modernet.errors import InputError
from modernet.records import (
    CLASSIFICATION,
    RECORD_NAME,
    SCHEMA,
    Metric,
    Record,
    environment,
    read_record,
    read_records,
)

RECORD = Record("train", "resnet18", {"seed": 3}, {"test_top1": 93.25}, [{"epoch": 1.0, "train_loss": 0.5}])


def test_a_record_survives_a_round_trip(tmp_path: Path) -> None:
    RECORD.write(tmp_path / RECORD_NAME)

    assert read_record(tmp_path / RECORD_NAME) == RECORD


def test_the_details_of_a_record_are_one_line_of_its_file(tmp_path: Path) -> None:
    confusion = {"classes": ["a", "b"], "counts": [[3, 1], [0, 2]]}
    record = replace(RECORD, details={"confusion": confusion})
    record.write(tmp_path / RECORD_NAME)
    RECORD.write(tmp_path / "without")

    assert read_record(tmp_path / RECORD_NAME) == record
    *lines, _ = (tmp_path / "without").read_text().splitlines()
    line = ' "details": {"confusion":{"classes":["a","b"],"counts":[[3,1],[0,2]]}}'
    assert (tmp_path / RECORD_NAME).read_text().splitlines() == [*lines[:-1], lines[-1] + ",", line, "}"]
    assert "details" not in lines[-1]


def test_a_record_refuses_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        Record("train", "x", {}, {"loss": float("nan")}).write(tmp_path / RECORD_NAME)

    assert not (tmp_path / RECORD_NAME).exists()


def test_records_are_found_below_a_folder_in_the_order_of_their_paths(tmp_path: Path) -> None:
    for name in ("b", "a/deeper"):
        Record("train", name, {}, {}).write(tmp_path / name / RECORD_NAME)

    assert [record.name for record in read_records(tmp_path)] == ["a/deeper", "b"]


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no folder .*nowhere"):
        read_records(tmp_path / "nowhere")


def test_a_folder_without_records_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no record\.json in .* or below it"):
        read_records(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not a record"),
        ("[]", "no field 'schema'"),
        (json.dumps({"schema": SCHEMA + 1}), "upgrade modernet"),
        (json.dumps({"schema": SCHEMA, "colour": "red"}), "is not a record"),
        (json.dumps(asdict(RECORD) | {"task_metrics": [{"name": "miou"}]}), "missing 1 required .* argument: 'title'"),
        (json.dumps(asdict(RECORD) | {"task_metrics": []}), "a record needs at least one task metric"),
        (json.dumps(asdict(RECORD) | {"task_metrics": 3}), "is not a record"),
    ],
)
def test_a_damaged_record_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / RECORD_NAME).write_text(text)

    with pytest.raises(InputError, match=message) as error:
        read_record(tmp_path / RECORD_NAME)

    assert str(tmp_path / RECORD_NAME) in str(error.value)


def test_a_missing_record_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read the record .*No such file"):
        read_record(tmp_path / RECORD_NAME)


def test_the_environment_names_versions_and_device() -> None:
    found = environment("a toaster")

    assert found["device"] == "a toaster"
    assert found["versions"].keys() >= {"python", "modernet", "torch"}
    json.dumps(found)


def test_a_record_keeps_what_its_metrics_mean(tmp_path: Path) -> None:
    perplexity = Metric("perplexity", "perplexity", "", 2, higher_is_better=False, limits=(1.0, None))
    record = Record("train", "x", {}, {"test_perplexity": 8.5, "test_n": 50}, task_metrics=(perplexity,))
    record.write(tmp_path / RECORD_NAME)

    read = read_record(tmp_path / RECORD_NAME)
    assert read == record
    assert read.primary == perplexity
    assert (read.score("test"), read.score("validation")) == (8.5, None)


def test_a_record_of_an_early_version_is_of_a_classifier() -> None:
    path = Path(__file__).parents[1] / "docs/results/roadmap-nano-digit_scenes/04-depthwise_conv/seed-0/record.json"
    assert "task_metrics" not in json.loads(path.read_text(encoding="utf-8"))

    record = read_record(path)
    assert record.task_metrics == CLASSIFICATION
    assert record.score("test") == record.metrics["test_top1"] == 82.4
    assert record.primary.title == "top-1"


@pytest.mark.parametrize(("n", "digits"), [(None, 1), (1000, 1), (9_999, 1), (10_000, 2)])
def test_more_samples_give_a_percentage_more_decimals(n: int | None, digits: int) -> None:
    assert Metric("top1", "top-1").digits_for(n) == digits
    assert Metric("loss", "loss", "", digits=4).digits_for(n) == 4
