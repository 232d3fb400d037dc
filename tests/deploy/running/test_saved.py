"""Optimized networks in folders, as users save and load them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

import modernet
from deploy.networks import images, randomised, relative_error
from modernet.deploy import OptimizedNetwork
from modernet.deploy.running import manifest, saved
from modernet.deploy.running import optimized as optimizing
from modernet.deploy.running.manifest import MANIFEST_NAME, WAY_FOLDER, Machine, read_manifest
from modernet.deploy.running.optimized import optimize
from modernet.deploy.running.torch_ways import TorchRunner, TorchWay
from modernet.deploy.running.way import Precision, Runner
from modernet.errors import InputError
from modernet.preparation import Preparation
from modernet.progress import LineDisplay, shown
from modernet.weights import NetworkSpec, SavedNetwork, network_fingerprint

SPEC = NetworkSpec("model", "resnet_test", {"width": 8, "depths": [1, 1]})
COMPILED = TorchWay(channels_last=True, compiled=True, any_batch=True)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODERNET_CACHE", str(tmp_path / "cache"))


def classifier() -> SavedNetwork:
    torch.manual_seed(0)
    network = randomised(SPEC.build(3)).requires_grad_(False)
    return SavedNetwork(network, SPEC, ("blue", "green", "red"), Preparation(32, (0.5,) * 3, (0.2,) * 3))


def optimized(network: nn.Module) -> OptimizedNetwork:
    fast = optimize(network, images(32), compile=False, seconds=0.0)
    assert isinstance(fast, OptimizedNetwork)
    return fast


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of an eager way, with its network."""
    network = classifier()
    optimized(network.network).save(tmp_path / "fast", network=network)
    return tmp_path / "fast"


class Scores(Runner):
    """Returns the same scores `(b, 3)` for every image."""

    def __init__(self, last: float, precision: Precision) -> None:
        super().__init__()
        self.way = SimpleNamespace(precision=precision)
        self.last = last

    def forward(self, images: Tensor) -> Tensor:
        return torch.tensor([[0.9, 0.0, self.last]]).expand(len(images), 3)

    def save(self, folder: Path) -> None:
        raise NotImplementedError


def assert_same(found: nn.Module, network: nn.Module) -> None:
    for batch in (1, 2, 5):
        x = images(32, batch=batch)
        assert relative_error(found(x), network(x)) < 1e-5


def test_an_eager_way_is_built_again_from_the_network_beside_it(folder: Path) -> None:
    network = classifier().network
    found = modernet.load_optimized(folder)
    assert_same(found, network)
    about = json.loads((folder / MANIFEST_NAME).read_text())
    assert about["images"] == [3, 32, 32]
    assert about["precision"] == "exact"
    assert about["fingerprint"] == network_fingerprint(network) == found.fingerprint
    assert about["machine"]["versions"] == {"torch": torch.__version__.partition("+")[0]}
    assert str(found.report) == about["report"]
    assert about["report"].startswith("rewrites\n")
    assert not list(folder.rglob("*.p*")), "no pickles"


def test_a_network_of_any_number_of_channels_is_saved(tmp_path: Path) -> None:
    spec = replace(SPEC, fields={**SPEC.fields, "in_chans": 5})
    network = replace(
        classifier(), network=randomised(spec.build(3)), spec=spec, inputs=Preparation(32, (0.5,) * 5, (0.2,) * 5)
    )
    x = torch.randn(2, 5, 32, 32)
    fast = optimize(network.network, x, compile=False, seconds=0.0)
    assert isinstance(fast, OptimizedNetwork)
    fast.save(tmp_path / "fast", network=network)
    assert relative_error(modernet.load_optimized(tmp_path / "fast")(x), network.network(x)) < 1e-5


def test_an_eager_way_that_is_not_read_back_is_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = classifier()
    fast = optimized(network.network)
    other = randomised(SPEC.build(3)).requires_grad_(False)
    monkeypatch.setattr(saved, "rewritten", lambda *_: other)
    with pytest.raises(InputError, match=r"nothing was saved: the saved network's results differ by .* for 2 images"):
        fast.save(tmp_path / "fast", network=network)
    assert not (tmp_path / "fast").exists()


@pytest.mark.parametrize(
    ("dtype", "difference", "message"),
    [
        (torch.float32, 5e-5, ""),
        (torch.float32, 1e-3, "results differ by .*, more than 1.0e-04"),
        (torch.float16, 3e-3, ""),
        (torch.float16, 1e-2, "results differ by .*, more than 3.9e-03"),
        (torch.bfloat16, 0.02, ""),
        (torch.bfloat16, 0.06, "results differ by .*, more than 3.1e-02"),
    ],
    ids=str,
)
def test_a_saved_network_differs_by_no_more_than_its_rounding(
    dtype: torch.dtype, difference: float, message: str
) -> None:
    fast = OptimizedNetwork(Scores(1.0, "exact"), (3, 4, 4), "", "")
    name = str(dtype).removeprefix("torch.")
    with pytest.raises(InputError, match=message) if message else nullcontext():
        saved._check_results(fast, Scores(1.0 + difference, "exact"), 2, name)


def test_a_saved_network_in_reduced_precision_keeps_the_likeliest_class() -> None:
    fast = OptimizedNetwork(Scores(0.93, "int8"), (3, 4, 4), "", "")
    saved._check_results(fast, Scores(0.91, "int8"), 2, "float32")
    with pytest.raises(InputError, match="keeps the likeliest class of only 0% of 33 random images; use another"):
        saved._check_results(fast, Scores(0.89, "int8"), 3, "float32")
    tied = OptimizedNetwork(Scores(0.903, "int8"), (3, 4, 4), "", "")
    saved._check_results(tied, Scores(0.89, "int8"), 3, "float32")


def test_the_folder_is_that_of_a_trained_network_too(folder: Path) -> None:
    again = modernet.load_network(folder)
    assert again.classes == ("blue", "green", "red")
    assert_same(again.network, classifier().network)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a compiled way, saved with a cache folder that the tests do not use."""
    network, root = classifier(), tmp_path_factory.mktemp("compiled")
    fast = optimized(network.network)
    fast.runner = TorchRunner(fast.runner.network, COMPILED, torch.float32, (3, 32, 32))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODERNET_CACHE", str(root / "cache"))
        fast.save(root / "fast", network=network)
    return root / "fast"


LOAD = """
import sys, torch, modernet
fast = modernet.load_optimized(sys.argv[1])
x = torch.load(sys.argv[2])
torch.save([fast(x[:batch]) for batch in (1, 2, 5)], sys.argv[3])
print(fast.runner.way)
"""


@pytest.mark.slow
def test_another_process_loads_a_compiled_way_without_the_compiler(
    compiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODERNET_CACHE", str(compiled.parent / "cache"))
    x = images(32, batch=5)
    torch.save(x, tmp_path / "x.pt")
    files = [str(compiled), str(tmp_path / "x.pt"), str(tmp_path / "y.pt")]
    compiling = tmp_path / "compiling"
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(compiling), "CXX": "/bin/false"}
    done = subprocess.run(
        [sys.executable, "-c", LOAD, *files], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout == f"{COMPILED}\n"
    assert not list(compiling.rglob("*.cpp")), "nothing is compiled"
    assert done.stderr == ""
    for batch, found in zip((1, 2, 5), torch.load(tmp_path / "y.pt"), strict=True):
        assert relative_error(found, classifier().network(x[:batch])) < 1e-5


@pytest.mark.slow
def test_a_program_of_a_stranger_runs_only_with_trust(compiled: Path) -> None:
    with pytest.raises(InputError, match="fast was saved by someone else, and its program can do anything: give trust"):
        modernet.load_optimized(compiled)
    fast = modernet.load_optimized(compiled, trust=True)
    assert_same(fast, classifier().network)
    assert "as saved: " in str(fast.report)


@pytest.mark.slow
@pytest.mark.parametrize("change", ["was changed", "is missing", "was added"])
def test_a_file_that_is_not_as_it_was_saved_is_named(compiled: Path, tmp_path: Path, change: str) -> None:
    shutil.copytree(compiled, tmp_path / "fast")
    program = tmp_path / "fast" / WAY_FOLDER / "program.pt2"
    if change == "was changed":
        content = bytearray(program.read_bytes())
        content[len(content) // 2] ^= 1
        program.write_bytes(content)
    elif change == "is missing":
        program.unlink()
    else:
        program = program.with_name("beside.so")
        program.touch()
    with pytest.raises(InputError, match=f"{program} {change} since it was saved; optimize the network again"):
        modernet.load_optimized(tmp_path / "fast", trust=True)


def other_machine(monkeypatch: pytest.MonkeyPatch, *, without: str = "avx2") -> None:
    features = tuple(name for name in ("x86_64", "avx", "avx2", "fma") if name != without)
    monkeypatch.setattr(manifest, "processor_features", lambda: features)


class Lines(LineDisplay):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


def test_on_another_processor_the_way_is_chosen_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    about = json.loads((folder / MANIFEST_NAME).read_text())
    about["machine"]["features"] = ["x86_64", "avx", "avx2", "fma"]
    (folder / MANIFEST_NAME).write_text(json.dumps(about))
    other_machine(monkeypatch)
    asked: list[tuple[Tensor, dict[str, object]]] = []

    def choose(network: nn.Module, x: Tensor, **options: object) -> OptimizedNetwork:
        asked.append((x, options))
        return optimized(network)

    monkeypatch.setattr(optimizing, "optimize", choose)
    display = Lines()
    with shown(display):
        fast = modernet.load_optimized(folder)
    line = f"{folder} is for another machine: this processor has no avx2; the way to run it was chosen again"
    assert display.said == [line]
    assert str(fast.report).startswith(f"{line}\nrewrites\n")
    assert_same(fast, classifier().network)
    modernet.load_optimized(folder, images=images(32, batch=3))
    assert [(x.shape[0], options["precision"]) for x, options in asked] == [(2, "exact"), (3, "exact")]


def test_without_images_reduced_precision_is_not_chosen_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    about = json.loads((folder / MANIFEST_NAME).read_text())
    asked_for = {"precision": "auto", "agreement": 0.9, "seconds": 7.0, "compile": False}
    about |= {"precision": "int8", "asked": asked_for, "machine": {"features": [], "versions": {"torch": "2.14.0"}}}
    (folder / MANIFEST_NAME).write_text(json.dumps(about))
    asked: list[dict[str, object]] = []
    monkeypatch.setattr(manifest, "processor_features", tuple)
    monkeypatch.setattr(
        optimizing, "optimize", lambda network, x, **options: asked.append(options) or optimized(network)
    )
    fast = modernet.load_optimized(folder)
    assert "chosen again, in exact precision, as there are no images to judge another by\n" in str(fast.report)
    modernet.load_optimized(folder, images=images(32))
    common = {"dtype": torch.float32, "batch": 2}
    assert asked == [{**asked_for, **common, "precision": "exact"}, {**asked_for, **common}]


def test_without_its_network_it_cannot_be_chosen_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    about = json.loads((folder / MANIFEST_NAME).read_text())
    about["files"] = {}
    about["machine"]["versions"]["torch"] = "2.14.0"
    (folder / MANIFEST_NAME).write_text(json.dumps(about))
    with pytest.raises(
        InputError, match=r"is for another machine: torch is 2\..*, not 2.14.0; optimize the network again"
    ):
        modernet.load_optimized(folder)


@pytest.mark.parametrize(
    ("here", "there", "words"),
    [
        (Machine(("a", "b"), {}), Machine(("a", "b"), {}), ""),
        (Machine(("a",), {}), Machine(("a", "b", "c"), {}), "this processor has no b, c"),
        (Machine(("a", "b"), {}), Machine(("a",), {}), "this processor also has b"),
        (Machine(tuple("abcdef"), {}), Machine((), {}), "this processor also has a, b, c, d and 2 more"),
        (Machine((), {"openvino": ""}), Machine((), {"openvino": "2026.4"}), "openvino 2026.4 is not installed"),
    ],
)
def test_differences_of_machines_are_one_line(here: Machine, there: Machine, words: str) -> None:
    assert here.differences(there) == words


def manifest_text(**changed: object) -> str:
    fields: dict[str, object] = {
        "format": 1,
        "kind": "torch",
        "fields": {"channels_last": True},
        "precision": "exact",
        "images": [3, 8, 8],
        "batch": 1,
        "dtype": "float32",
        "report": "",
        "asked": {},
        "judgement": "",
        "fingerprint": "",
        "machine": {"features": [], "versions": {}},
        "files": {},
    }
    return json.dumps({**fields, **changed})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "optimized.json cannot be read .JSONDecodeError: .*; optimize the network again"),
        ("[]", "optimized.json is not of an optimized network: it has no field 'format'"),
        ('{"format": 1}', "optimized.json cannot be read .KeyError: 'machine'.; optimize the network again"),
        (manifest_text(dtype="load"), "optimized.json cannot be read .TypeError: load is no dtype."),
        (manifest_text(precision="fp8"), "fp8 is no precision"),
        (manifest_text(asked={"seconds": "2"}), "are no arguments of optimize"),
        (manifest_text(batch="2"), "batch and images are '2' and"),
        (manifest_text(images=[3, 8]), "not four numbers"),
        (manifest_text(files=["way"]), "files is .'way'., not an object with names"),
        (manifest_text(files={"way": 1}), "a field that is text has something else"),
        (manifest_text(machine={"features": [], "versions": {"": "1.0"}}), "versions is .*, not an object with names"),
        (manifest_text(machine=[]), "optimized.json cannot be read .TypeError"),
        ('{"format": 2, "modernet": "9.0"}', "was saved by modernet 9.0 in format 2, .* format 1: upgrade modernet"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_one_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / MANIFEST_NAME).write_text(text)
    with pytest.raises(InputError, match=message):
        read_manifest(tmp_path)


def test_a_folder_without_a_manifest_is_named(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(InputError, match=f"no optimized network in {folder}: it has no optimized.json; give a"):
            modernet.load_optimized(folder)


def test_what_cannot_be_saved_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    network = classifier()
    fast = optimized(network.network)
    with pytest.raises(InputError, match=r"runs as eager, .*, so the folder must say how to build it: give network="):
        fast.save(tmp_path / "fast")
    other = replace(network, network=randomised(SPEC.build(3)))
    with pytest.raises(InputError, match="the network given is not the one that was optimized"):
        fast.save(tmp_path / "fast", network=other)
    with pytest.raises(InputError, match="is of the task segmentation; only a classifier can be saved beside"):
        fast.save(tmp_path / "fast", network=replace(network, task="segmentation"))
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file exists already"):
        fast.save(tmp_path / "file", network=network)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
