import json
from pathlib import Path

import pytest

from modernet.errors import InputError
from modernet.records import RECORD_NAME, SCHEMA, Record, environment, read_record, read_records

RECORD = Record("train", "resnet18", {"seed": 3}, {"test_top1": 93.25}, [{"epoch": 1.0, "train_loss": 0.5}])


def test_a_record_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    RECORD.write(tmp_path / RECORD_NAME)

    assert read_record(tmp_path / RECORD_NAME) == RECORD


def test_a_record_holds_no_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        Record("train", "x", {}, {"loss": float("nan")}).write(tmp_path / RECORD_NAME)

    assert not (tmp_path / RECORD_NAME).exists()


def test_records_are_found_below_a_folder_in_the_order_of_their_paths(tmp_path: Path) -> None:
    for name in ("b", "a/deeper"):
        Record("train", name, {}, {}).write(tmp_path / name / RECORD_NAME)

    assert [record.name for record in read_records(tmp_path)] == ["a/deeper", "b"]


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no folder .*nowhere"):
        read_records(tmp_path / "nowhere")


def test_a_folder_without_records_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no record\.json in .* or below it"):
        read_records(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not a record"),
        ("[]", "no field 'schema'"),
        (json.dumps({"schema": SCHEMA + 1}), "upgrade modernet"),
        (json.dumps({"schema": SCHEMA, "colour": "red"}), "is not a record"),
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
