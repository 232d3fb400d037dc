"""Published weights, fetched from a server in this process."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors.torch import save
from torch import nn

from http_server import Server, serving
from modernet.catalogue import PretrainedWeights, WebFile
from modernet.errors import InputError
from modernet.files import fetch as fetching
from modernet.files.hub_file import HubFile
from modernet.models import create_model as new_model
from modernet.preparation import Preparation
from modernet.progress import shown
from modernet.weights import create_model, download, fetch_weights, load_model
from modernet.weights import pretrained as pretrained_module
from modernet.weights.download import local_path


@pytest.fixture(scope="module")
def content() -> bytes:
    """Return the weights of a tiny network as safetensors."""
    torch.manual_seed(0)
    network = new_model("convnext_test", num_classes=5)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    return save(network.state_dict())


@pytest.fixture
def server(content: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    monkeypatch.setenv("MODERNET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fetching, "_PAUSES_S", (0.0,))
    with serving(tmp_path, {"/weights.safetensors": content}) as server:
        yield server


@pytest.fixture
def published(server: Server, content: bytes) -> PretrainedWeights:
    file = WebFile(f"{server.url}/weights.safetensors", hashlib.sha256(content).hexdigest())
    return PretrainedWeights(
        model="convnext_test", tag="local", file=file, num_classes=5, image_size=64,
        crop=0.9, interpolation="bicubic", mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2), licence="mit",
    )  # fmt: skip


def with_checksum(entry: PretrainedWeights, sha256: str | None) -> PretrainedWeights:
    assert isinstance(entry.file, WebFile)
    return replace(entry, file=replace(entry.file, sha256=sha256))


def test_a_file_is_fetched_once(server: Server, published: PretrainedWeights, content: bytes) -> None:
    path = fetch_weights(published)
    assert path.read_bytes() == content
    assert fetch_weights(published) == path == local_path(published)
    assert server.ranges == [None]


def test_a_transfer_that_breaks_off_is_resumed_by_the_next_command(
    server: Server, published: PretrainedWeights, content: bytes
) -> None:
    server.failures = ["cut", 503]
    with pytest.raises(InputError, match=r"cannot fetch .*503.*, 2 attempts\); check the network and start again"):
        fetch_weights(published)
    assert not local_path(published).exists()
    assert fetch_weights(published).read_bytes() == content
    assert server.ranges[-1] == f"bytes={len(content) // 2}-"


def test_commands_started_together_fetch_a_file_once(
    server: Server, published: PretrainedWeights, content: bytes
) -> None:
    with ThreadPoolExecutor(4) as threads:
        paths = list(threads.map(fetch_weights, [published] * 4))
    assert {path.read_bytes() for path in paths} == {content}
    assert server.ranges == [None]


def test_a_file_with_another_checksum_is_refused_and_not_kept(server: Server, published: PretrainedWeights) -> None:
    with pytest.raises(InputError, match=r"weights.safetensors has the sha256 [0-9a-f]{8}... instead of 00000000...;"):
        fetch_weights(with_checksum(published, "0" * 64))
    assert [path.suffix for path in local_path(published).parent.iterdir()] == [".lock"]


def test_the_first_digits_of_a_checksum_are_compared(published: PretrainedWeights, content: bytes) -> None:
    digest = hashlib.sha256(content).hexdigest()
    assert fetch_weights(with_checksum(published, digest[:8])).is_file()
    local_path(published).unlink()
    with pytest.raises(InputError, match=r"instead of [0-9a-f]{8}..."):
        fetch_weights(with_checksum(published, digest[1:9]))


def test_a_file_without_a_checksum_is_announced_as_unverified(
    published: PretrainedWeights, capsys: pytest.CaptureFixture[str]
) -> None:
    with shown():
        fetch_weights(published)
        assert "checksum" not in capsys.readouterr().err
        local_path(published).unlink()
        fetch_weights(with_checksum(published, None))
    assert "is published without a checksum; only its length was verified" in capsys.readouterr().err


def test_without_a_connection_the_message_says_which_file_to_put_where(
    published: PretrainedWeights, content: bytes
) -> None:
    entry = replace(published, file=WebFile("http://127.0.0.1:9/weights.safetensors"))
    with pytest.raises(InputError) as error:
        fetch_weights(entry)
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith("convnext_test.local is not on this machine: cannot fetch http://127.0.0.1:9/weights.saf")
    assert message.endswith(f", or put the file at {local_path(entry)}")
    local_path(entry).parent.mkdir(parents=True, exist_ok=True)
    local_path(entry).write_bytes(content)
    assert fetch_weights(entry) == local_path(entry)


def test_a_file_that_the_server_does_not_have_is_an_error(server: Server, published: PretrainedWeights) -> None:
    server.failures = [404]
    with pytest.raises(InputError, match=r"cannot fetch .* \(HTTP Error 404: Not Found\); check the address, or put"):
        fetch_weights(published)


def test_a_full_disk_is_not_a_network_error(published: PretrainedWeights, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(download, "fetch", full_disk)
    with pytest.raises(
        InputError, match=r"cannot write .* \(.*No space left on device\); make room, or set MODERNET_CAC"
    ) as error:
        fetch_weights(published)
    assert "\n" not in str(error.value)


def test_an_unreachable_hub_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def unreachable(*_: object, **__: object) -> str:
        raise ConnectionError("no route to host\nand much more")

    monkeypatch.setenv("MODERNET_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", unreachable)
    entry = PretrainedWeights(
        "convnext_test", "hub", HubFile("someone/something"), 5, 64, 0.9, "bicubic", (0.5,) * 3, (0.2,) * 3, "mit"
    )
    with pytest.raises(
        InputError,
        match=r"cannot fetch https://huggingface.co/someone/something/resolve/main/model.* \(no route to host and",
    ):
        fetch_weights(entry)


def test_a_damaged_file_in_the_cache_of_the_hub_is_refused(
    published: PretrainedWeights, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ("0" * 64)).write_bytes(b"damaged")
    (tmp_path / "model.safetensors").symlink_to(tmp_path / ("0" * 64))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_, **__: str(tmp_path / "model.safetensors"))
    with pytest.raises(
        InputError, match=r"model.safetensors is damaged: its sha256 is .*, that of https.* is 00000000"
    ):
        fetch_weights(replace(published, file=HubFile("someone/something")))


@pytest.fixture
def catalogue(published: PretrainedWeights, monkeypatch: pytest.MonkeyPatch) -> PretrainedWeights:
    monkeypatch.setattr(pretrained_module, "find_weights", lambda name: published)
    monkeypatch.setattr(pretrained_module, "weights_of", lambda model: (published,))
    return published


def test_a_network_is_made_with_published_weights(catalogue: PretrainedWeights, server: Server) -> None:
    network = create_model("convnext_test", pretrained=True)
    other = create_model("convnext_test.local", pretrained=True, num_classes=3)
    assert torch.equal(network.state_dict()["norm.weight"], other.state_dict()["norm.weight"])
    assert network.state_dict()["head.weight"].shape[0] == 5
    assert other.state_dict()["head.weight"].shape[0] == 3
    assert len(server.requests) == 1


def test_feature_maps_have_published_weights_too(catalogue: PretrainedWeights) -> None:
    whole = create_model("convnext_test", pretrained=True).eval()
    extractor = create_model("convnext_test", pretrained=True, features_only=True, out_indices=(1,)).eval()
    x = torch.randn(1, 3, 64, 64)
    _, (expected,) = whole.forward_intermediates(x, (1,))  # type: ignore[operator]
    torch.testing.assert_close(extractor(x)[0], expected, rtol=0, atol=0)


def test_a_model_has_its_class_names_and_preprocessing(catalogue: PretrainedWeights) -> None:
    saved = load_model("convnext_test.local")
    assert saved.classes == ("class 0", "class 1", "class 2", "class 3", "class 4")
    assert saved.preparation == Preparation(64, (0.5,) * 3, (0.2,) * 3, 0.9, "bicubic")
