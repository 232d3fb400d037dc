"""Data sets of the Hub, from a server in this process that imitates it."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants

from data.shards import png
from http_server import Server, serving
from modernet.data import OnDisk, open_dataset
from modernet.data.images.decoding import UnreadableImage
from modernet.data.sources.hub import read_hub
from modernet.data.sources.read import read_source
from modernet.errors import InputError
from modernet.files import fetch as fetching
from modernet.progress import shown

Hub = Callable[..., AbstractContextManager[Server]]

REPO = "org/pets"
API = f"/api/datasets/{REPO}"


def table(labels: Sequence[int | None], first: int = 0, classes: Sequence[str] = ("cat", "dog")) -> bytes:
    """A parquet file in the Hub's layout; image i is `png(first + i)`."""
    images = [{"bytes": png(first + row), "path": f"{row}.png"} for row in range(len(labels))]
    features = {"image": {"_type": "Image"}, "label": {"names": classes, "_type": "ClassLabel"}}
    content = pa.table({"image": images, "label": pa.array(labels, pa.int64())})
    content = content.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    sink = pa.BufferOutputStream()
    pq.write_table(content, sink, row_group_size=4)
    return sink.getvalue().to_pybytes()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """Serve the files of revisions: `hub({"main": {"data/train-0.parquet": ...}})`."""
    monkeypatch.setenv("MODERNET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fetching, "_PAUSES_S", (0.0,))
    monkeypatch.setattr("modernet.data.sources.hub._THREADS", 2)

    @contextmanager
    def serve(
        revisions: Mapping[str, Mapping[str, bytes]], refused: Mapping[str, tuple[int, str]] | None = None
    ) -> Iterator[Server]:
        pages: dict[str, bytes] = {}
        for number, (revision, files) in enumerate(revisions.items()):
            commit = f"{number:040x}"
            info = json.dumps({"id": REPO, "sha": commit, "siblings": []}).encode()
            for name in (revision, commit):
                pages[f"{API}/revision/{name}"] = info
            if revision == "main":
                pages[API] = info
            entries = [
                {"type": "file", "path": path, "size": len(content), "oid": "0" * 40} for path, content in files.items()
            ]
            for folder in {"", *(str(Path(path).parent) for path in files)}:
                pages[f"{API}/tree/{commit}{f'/{folder}' if folder else ''}"] = json.dumps(
                    [entry for entry in entries if not folder or str(Path(str(entry["path"])).parent) == folder]
                ).encode()
            for path, content in files.items():
                pages[f"/datasets/{REPO}/resolve/{commit}/{path}"] = content
        converted = f"{API}/revision/refs/convert/parquet"
        missing = {} if converted in pages else {converted: (404, "RevisionNotFound")}
        with serving(tmp_path, pages, {**missing, **(refused or {})}) as server:
            monkeypatch.setattr(constants, "ENDPOINT", server.url)
            template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
            monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
            yield server

    return serve


TWO_SPLITS = {
    "data/train-00000-of-00002.parquet": table([0, 1] * 5),
    "data/train-00001-of-00002.parquet": table([1, 0] * 3, first=10),
    "data/test-00000-of-00001.parquet": table([0, 1], first=100),
    "README.md": b"...",
}


def fetched(server: Server) -> list[str]:
    """Return the files that were fetched completely."""
    return [path.rpartition("/")[2] for path, part in server.requests if "/resolve/" in path and part is None]


def test_files_are_fetched_on_first_use(hub: Hub) -> None:
    with hub({"main": TWO_SPLITS}) as server:
        name, source = read_source(f"hf:{REPO}")
        assert (name, source.classes, source.validation) == ("pets", ("cat", "dog"), None)
        assert source.train.labels.tolist() == [0, 1] * 5 + [1, 0] * 3
        assert source.train.shards is not None
        assert source.train.shards.tolist() == [0] * 10 + [1] * 6
        assert fetched(server) == [], "labels are read by ranges"
        assert source.train.images.content(12) == png(12)
        assert source.train.images.content(15) == png(15)
        assert fetched(server) == ["train-00001-of-00002.parquet"]
        assert source.train.images.name(12) == "hf:org/pets/data/train-00001-of-00002.parquet, row 2"
        assert source.train.images.identity(12) == "train-00001-of-00002.parquet, row 2"
        copy = pickle.loads(pickle.dumps(source.train.images))
    assert copy.content(11) == png(11), "no network is needed any more"


def test_labels_are_read_once(hub: Hub) -> None:
    with hub({"main": TWO_SPLITS}) as server:
        first = read_hub(f"hf:{REPO}")
        asked = len([path for path in server.paths if "/resolve/" in path])
        second = read_hub(f"hf:{REPO}")
        assert len([path for path in server.paths if "/resolve/" in path]) == asked > 0
    assert second.train.labels.tolist() == first.train.labels.tolist()


def test_training_starts_before_all_files_are_fetched(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modernet.data.measuring._NEAR", 5)
    with hub({"main": TWO_SPLITS}) as server:
        dataset = open_dataset(f"hf:{REPO}", memory_limit_mb=0)
        assert fetched(server) == ["train-00000-of-00002.parquet"]
    assert isinstance(dataset.train, OnDisk)
    assert dataset.name == "pets"


def test_the_hubs_conversion_replaces_missing_parquet(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    converted = {
        "default/partial-train/0000.parquet": table([0, 1, 0, 1]),
        "default/validation/0000.parquet": table([1, 0], first=50),
    }
    with hub({"main": {"images.zip": b"..."}, "refs/convert/parquet": converted}), shown():
        source = read_hub(f"hf:{REPO}")
        assert source.validation is not None
        assert source.validation.images.content(1) == png(51)
        assert len(source.train) == 4
    assert f"the Hub has converted only a part of {REPO}; that part is used" in capsys.readouterr().err


def test_a_configuration_and_a_revision_are_chosen(hub: Hub) -> None:
    configs = {f"{name}/train-0.parquet": table([0, 1], first=n) for n, name in ((10, "small"), (20, "full/res"))}
    with hub({"main": configs, "old": {"small/train-0.parquet": table([0, 1], first=30)}}):
        for spec, first in (("/small", 10), ("/full/res", 20), ("@old", 30), ("/small@old", 30)):
            assert read_hub(f"hf:{REPO}{spec}").train.images.content(0) == png(first)
        with pytest.raises(
            InputError, match=r"has several configurations: small, full/res; give one, as hf:org/pets/full"
        ):
            read_hub(f"hf:{REPO}")
        with pytest.raises(InputError, match=r"no configuration of org/pets is called 'smal'; did you mean small?"):
            read_hub(f"hf:{REPO}/smal")


def test_a_test_split_alone_is_there_to_test_on_only(hub: Hub) -> None:
    with hub({"main": {"test.parquet": table([0, 1, 1])}}):
        with pytest.raises(InputError, match="hf:org/pets has a test split, but no train split; name its"):
            read_source(f"hf:{REPO}")
        source = read_source(f"hf:{REPO}", to_learn=False).source
    assert list(source.splits()) == ["test"]
    assert source.test.labels.tolist() == [0, 1, 1]


def test_a_test_split_with_hidden_labels_is_dropped(hub: Hub) -> None:
    with hub({"main": {"train.parquet": table([0, 1]), "test.parquet": table([-1, -1])}}):
        assert read_hub(f"hf:{REPO}").test is None


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"a.csv": b""},
            r"the data set org/pets has no parquet files train-\*.parquet; download it and give its",
        ),
        (
            {"train.parquet": b"no parquet at all"},
            r"cannot read hf:org/pets/train.parquet as parquet: .*; fetch it again",
        ),
        ({"train.parquet": table([0, None])}, r"hf:org/pets/train.parquet, row 1 has no label; add one, or remove"),
        ({"train.parquet": table([0, 5])}, r"hf:org/pets/train.parquet, row 1 has the label 5; there are 2 classes"),
    ],
)
def test_data_sets_that_cannot_be_used_are_explained(hub: Hub, files: dict[str, bytes], message: str) -> None:
    with hub({"main": files}), pytest.raises(InputError, match=message) as caught:
        read_hub(f"hf:{REPO}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "answer", "message"),
    [
        (API, (404, "RepoNotFound"), r"the Hub has no data set org/pets, or it is private; check the name, or log in"),
        (API, (403, "GatedRepo"), r"the data set org/pets is gated: accept its terms on its page on the Hub, then log"),
        (API, (418, ""), r"cannot read the data set org/pets of the Hub \(.*418.*\); check the network"),
    ],
)
def test_refusals_of_the_hub_are_one_line(hub: Hub, path: str, answer: tuple[int, str], message: str) -> None:
    with hub({}, {path: answer}), pytest.raises(InputError, match=message) as caught:
        read_hub(f"hf:{REPO}")
    assert "\n" not in str(caught.value)


def test_a_gated_data_set_that_lists_its_files_is_an_error_when_labels_are_read(hub: Hub) -> None:
    gated = {f"/datasets/{REPO}/resolve/{0:040x}/{path}": (403, "GatedRepo") for path in TWO_SPLITS}
    message = r"^the data set org/pets is gated: accept its terms on its page on the Hub, then log in"
    with hub({"main": TWO_SPLITS}, gated), pytest.raises(InputError, match=message) as caught:
        read_hub(f"hf:{REPO}")
    assert "\n" not in str(caught.value)


def test_an_unknown_revision_is_an_error(hub: Hub) -> None:
    with (
        hub({"main": TWO_SPLITS}, {f"{API}/revision/v9": (404, "RevisionNotFound")}),
        pytest.raises(InputError, match=r"the data set org/pets has no revision 'v9'; give a branch, tag or commit"),
    ):
        read_hub(f"hf:{REPO}@v9")


def test_images_that_are_refused_are_an_error(hub: Hub) -> None:
    with hub({"main": TWO_SPLITS}) as server:
        images = read_hub(f"hf:{REPO}").train.images
        server.failures = [403]
        with pytest.raises(InputError, match=r"the data set org/pets is gated: accept its terms") as caught:
            images.content(0)
        assert not isinstance(caught.value, UnreadableImage)
        server.failures = [404]
        with pytest.raises(
            InputError, match=r"cannot fetch http.*train-00000-of-00002.parquet \(HTTP Error 404: Not Found\)"
        ):
            images.content(0)
        assert images.content(0) == png(0)


def test_a_full_disk_leaves_nothing_behind(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(target: Path, chunks: Iterator[pa.Array]) -> None:
        target.write_bytes(b"begun")
        raise OSError(28, "No space left on device")

    with hub({"main": TWO_SPLITS}):
        images = read_hub(f"hf:{REPO}").train.images
        monkeypatch.setattr("modernet.data.sources.hub.write_arrow", full_disk)
        with pytest.raises(InputError, match=r"cannot write .*arrow to .*: No space left on device; set MODERNET"):
            images.content(0)
    assert {path.suffix for path in (tmp_path / "cache" / "shards").iterdir()} == {".lock"}


def test_no_network_is_one_line(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with hub({}):
        monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
        with pytest.raises(
            InputError, match=r"cannot read the data set org/pets of the Hub \(.*refused\); check the net"
        ):
            read_hub(f"hf:{REPO}")


@pytest.mark.parametrize("spec", ["hf:", "hf:pets", "hf:org/pets@", "hf:a b/c"])
def test_malformed_names_are_explained(spec: str) -> None:
    with pytest.raises(InputError, match=r"is not a data set of the Hub; give hf:org/name, hf:org/name/config or"):
        read_source(spec)


def test_an_image_without_bytes_is_named(hub: Hub) -> None:
    content = pa.table({"image": pa.array([None, b"x"], pa.binary()), "label": ["a", "b"]})
    sink = pa.BufferOutputStream()
    pq.write_table(content, sink)
    with hub({"main": {"train.parquet": sink.getvalue().to_pybytes()}}):
        source = read_hub(f"hf:{REPO}")
        assert source.classes == ("a", "b")
        with pytest.raises(UnreadableImage, match=r"hf:org/pets/train.parquet, row 0: the row has no bytes"):
            source.train.images.read(0)
