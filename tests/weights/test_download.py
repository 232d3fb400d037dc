"""Published weights onto this machine, from a server in this process."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from torch import nn

from modernet.errors import InputError
from modernet.models import create_model as new_model
from modernet.weights import create_model, fetch_weights, load_model
from modernet.weights import pretrained as pretrained_module
from modernet.weights.catalogue import HubFile, PretrainedWeights, WebFile
from modernet.weights.download import local_path


@dataclass
class Server:
    """What a server offers, how it behaves, and what was asked of it."""

    content: bytes
    address: str = ""
    breaks_after: int | None = None
    knows_ranges: bool = True
    status: int = 200
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    torch.manual_seed(0)
    network = new_model("convnext_test", num_classes=5)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    state = Server(save(network.state_dict()))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            state.asked.append(wanted)
            if state.status != 200:
                self.send_error(state.status)
                return
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and state.knows_ranges else 0
            if start >= len(state.content):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(state.content) - start))
            self.end_headers()
            end = len(state.content) if state.breaks_after is None else start + state.breaks_after
            self.wfile.write(state.content[start:end])

        def log_message(self, *_: object) -> None:
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    state.address = f"http://127.0.0.1:{running.server_port}/weights.safetensors"
    monkeypatch.setenv("MODERNET_CACHE", str(tmp_path / "cache"))
    yield state
    running.shutdown()
    thread.join()
    running.server_close()


def published(server: Server, sha256: str | None = None) -> PretrainedWeights:
    digest = hashlib.sha256(server.content).hexdigest() if sha256 is None else sha256
    return PretrainedWeights(
        model="convnext_test", tag="local", file=WebFile(server.address, digest), num_classes=5, image_size=64,
        crop=0.9, interpolation="bicubic", mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2), licence="mit",
    )  # fmt: skip


def test_a_file_is_fetched_once(server: Server) -> None:
    path = fetch_weights(published(server))
    assert path.read_bytes() == server.content
    assert fetch_weights(published(server)) == path
    assert server.asked == [""]


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_broken_transfer_goes_on_where_it_ended(server: Server, knows_ranges: bool) -> None:
    server.breaks_after, server.knows_ranges = 1000, knows_ranges
    with pytest.raises(InputError, match="cannot be fetched"):
        fetch_weights(published(server))
    assert not local_path(published(server)).exists()
    server.breaks_after = None
    assert fetch_weights(published(server)).read_bytes() == server.content
    assert server.asked == ["", "bytes=1000-"]


def test_a_whole_file_that_was_not_moved_yet_is_used(server: Server) -> None:
    target = local_path(published(server))
    target.parent.mkdir(parents=True)
    target.with_name(f"{target.name}.part").write_bytes(server.content)
    assert fetch_weights(published(server)).read_bytes() == server.content


def test_a_file_with_another_hash_is_refused_and_not_kept(server: Server) -> None:
    with pytest.raises(InputError, match="is damaged: its sha256 begins with"):
        fetch_weights(published(server, sha256="0" * 64))
    assert list(local_path(published(server)).parent.iterdir()) == []


def test_the_beginning_of_a_hash_is_enough(server: Server) -> None:
    digest = hashlib.sha256(server.content).hexdigest()
    assert fetch_weights(published(server, sha256=digest[:8])).is_file()


def test_without_a_connection_one_line_says_which_file_to_put_where(server: Server) -> None:
    entry = replace(published(server), file=WebFile("http://127.0.0.1:9/weights.safetensors"))
    with pytest.raises(InputError) as error:
        fetch_weights(entry)
    message = str(error.value)
    assert "\n" not in message
    assert "convnext_test.local is not on this machine and cannot be fetched (" in message
    assert message.endswith(f"put http://127.0.0.1:9/weights.safetensors at {local_path(entry)}")
    local_path(entry).parent.mkdir(parents=True, exist_ok=True)
    local_path(entry).write_bytes(server.content)
    assert fetch_weights(entry) == local_path(entry)


def test_what_the_server_does_not_have_is_said(server: Server) -> None:
    server.status = 404
    with pytest.raises(InputError, match=r"cannot be fetched \(Not Found\)"):
        fetch_weights(published(server))


def test_the_hub_out_of_reach_is_one_line_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub

    def unreachable(*_: object, **__: object) -> str:
        raise ConnectionError("no route to host\nand much more")

    monkeypatch.setenv("MODERNET_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", unreachable)
    entry = PretrainedWeights(
        "convnext_test", "hub", HubFile("someone/something"), 5, 64, 0.9, "bicubic", (0.5,) * 3, (0.2,) * 3, "mit"
    )
    with pytest.raises(InputError, match=r"\(no route to host\); put https://huggingface.co/someone/something/resolve"):
        fetch_weights(entry)


@pytest.fixture
def catalogue(server: Server, monkeypatch: pytest.MonkeyPatch) -> PretrainedWeights:
    entry = published(server)
    monkeypatch.setattr(pretrained_module, "find_weights", lambda name: entry)
    monkeypatch.setattr(pretrained_module, "weights_of", lambda model: (entry,))
    return entry


def test_a_network_is_made_with_published_weights(catalogue: PretrainedWeights, server: Server) -> None:
    network = create_model("convnext_test", pretrained=True)
    other = create_model("convnext_test.local", pretrained=True, num_classes=3)
    assert torch.equal(network.state_dict()["norm.weight"], other.state_dict()["norm.weight"])
    assert network.state_dict()["head.weight"].shape[0] == 5
    assert other.state_dict()["head.weight"].shape[0] == 3
    assert len(server.asked) == 1


def test_feature_maps_have_published_weights_too(catalogue: PretrainedWeights) -> None:
    whole = create_model("convnext_test", pretrained=True).eval()
    extractor = create_model("convnext_test", pretrained=True, features_only=True, out_indices=(1,)).eval()
    x = torch.randn(1, 3, 64, 64)
    _, (expected,) = whole.forward_intermediates(x, (1,))  # type: ignore[operator]
    torch.testing.assert_close(extractor(x)[0], expected, rtol=0, atol=0)


def test_a_model_comes_with_its_classes_and_what_images_must_look_like(catalogue: PretrainedWeights) -> None:
    saved = load_model("convnext_test.local")
    assert saved.classes == ("class 0", "class 1", "class 2", "class 3", "class 4")
    assert (saved.image_size, saved.crop, saved.interpolation) == (64, 0.9, "bicubic")
    assert saved.mean == (0.5, 0.5, 0.5)
