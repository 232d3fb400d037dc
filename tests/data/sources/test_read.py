from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import pytest

from data.shards import write_shards
from modernet.data.sources import read as sources
from modernet.data.sources.read import find_image_folder, read_source
from modernet.errors import InputError


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("https://host/sets/pets", "pets"),
        ("https://host/sets/pets/", "pets"),
        ("https://host/sets/pets/train-{0..3}.tar", "pets"),
        ("https://host:80/train-0.tar", "host-80"),
        ("http://host/", "host"),
    ],
)
def test_an_address_is_named_by_its_folder(monkeypatch: pytest.MonkeyPatch, spec: str, name: str) -> None:
    monkeypatch.setattr(sources, "read_tar_urls", Mock())
    assert read_source(spec).name == name


@pytest.mark.parametrize("spec", ["hf:org/pets", "hf:org/pets/config", "hf:org/pets@v1", "hf:org/pets/config@refs/x/y"])
def test_a_data_set_of_the_hub_is_named_without_its_owner(monkeypatch: pytest.MonkeyPatch, spec: str) -> None:
    monkeypatch.setattr(sources, "read_hub", Mock())
    assert read_source(spec).name == "pets"


def test_two_words_without_a_folder_may_be_a_data_set_of_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    message = r"there is no folder org/pets, nor org; give .*, or hf:org/pets for a data set of the Hugging Face Hub"
    with pytest.raises(InputError, match=message):
        read_source("org/pets")


def test_folders_of_image_files_are_recognised(tmp_path: Path, write_folder) -> None:
    folder = write_folder(tmp_path / "pets", n=1)
    assert find_image_folder(str(folder)) == folder
    assert find_image_folder(str(write_shards(tmp_path / "shards"))) is None
    assert find_image_folder(str(tmp_path / "nothing")) is None
    assert find_image_folder(str(folder / "cat")) is None
    assert find_image_folder("mnist") is None
