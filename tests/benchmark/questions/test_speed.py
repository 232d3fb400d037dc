"""Tests with networks of known speed, operations, bytes and memory."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

import modernet.deploy
from benchmark import contenders
from modernet.benchmark import Case, Stopped, benchmark_models, measure, run
from modernet.benchmark.run import run_cases
from modernet.benchmark.targets import find_network
from modernet.benchmark.workload import Workload, prepare
from modernet.errors import InputError
from modernet.machine.peaks import Peaks
from modernet.models import get_entry
from modernet.records import Record, read_records

HERE = "benchmark.contenders:"
pytestmark = pytest.mark.usefixtures("peaks")


def measured(*names: str, **options: Any) -> list[Record]:
    """Measure contenders as briefly as possible, and return the records."""
    short: dict[str, Any] = {"image_size": 8, "batch": 4, "rounds": 3, "turn_s": 0.0, "threads": 1, "device": "cpu"}
    known = vars(contenders)
    return benchmark_models([HERE + name if name in known else name for name in names], **short | options)


def test_a_sleep_is_the_latency_and_twice_the_sleep_is_half_the_speed() -> None:
    fast, slow = measured("sleeps_20_ms", "sleeps_40_ms", rounds=5)
    assert 20 <= fast.metrics["latency_ms"] < 35
    assert fast.metrics["images_per_second"] == pytest.approx(4 / fast.metrics["latency_ms"] * 1e3)
    assert slow.metrics["ratio"] == pytest.approx(0.5, rel=0.3)
    assert slow.metrics["ratio_low"] <= slow.metrics["ratio"] <= slow.metrics["ratio_high"]
    assert slow.settings["ratio_to"] == f"{HERE}sleeps_20_ms infer float32 channels_last"
    assert [fast.metrics[name] for name in ("ratio", "ratio_low", "ratio_high")] == [1, 1, 1]


def test_medians_and_quartiles_are_of_the_rounds_in_the_history() -> None:
    (record,) = measured("sleeps_20_ms", rounds=5)
    low, median, high = statistics.quantiles([row["seconds"] for row in record.history], n=4, method="inclusive")
    found = [record.metrics[f"latency_ms{end}"] for end in ("_low", "", "_high")]
    assert found == pytest.approx([1e3 * low, 1e3 * median, 1e3 * high])
    found = [record.metrics[f"images_per_second{end}"] for end in ("_high", "", "_low")]
    assert found == pytest.approx([4 / low, 4 / median, 4 / high])


def test_the_share_of_the_peak_follows_from_operations_and_time(peaks: Peaks) -> None:
    (record,) = measured("convolves", image_size=16)
    metrics = record.metrics
    macs = 3 * 8 * 9 * 16 * 16 + 8 * 5
    assert (metrics["macs"], metrics["flops_per_image"], metrics["params"]) == (macs, 2 * macs, 3 * 8 * 9 + 8 * 5 + 5)
    assert metrics["tflops"] == pytest.approx(2 * macs * metrics["images_per_second"] / 1e12)
    assert metrics["peak_share"] == pytest.approx(metrics["tflops"] / peaks.tflops["float32"])
    assert metrics["arithmetic_ms"] == pytest.approx(4 * 2 * macs / 0.1e12 * 1e3)
    assert metrics["bytes_ms"] == pytest.approx(4 * metrics["bytes_per_image"] / 10e9 * 1e3)
    assert record.settings["bound"] == ("arithmetic" if metrics["arithmetic_ms"] > metrics["bytes_ms"] else "bytes")


def test_a_network_that_cannot_be_counted_is_still_timed() -> None:
    (record,) = measured("needs_values")
    assert record.error is None
    assert record.metrics["params"] == 20
    assert not {"macs", "tflops", "peak_share"} & record.metrics.keys()
    assert record.settings["bound"] is None


def test_a_network_in_another_runtime_is_timed_only() -> None:
    (record,) = measured("foreign")
    assert record.error is None
    assert "images_per_second" in record.metrics
    assert not {"params", "macs", "peak_memory_mb"} & record.metrics.keys()


def test_images_are_random_and_rotate() -> None:
    contenders.seen.clear()
    measured("looks", rounds=5)
    addresses = [images.data_ptr() for images in contenders.seen]
    assert len(set(addresses[:8])) == 8
    assert all(0.5 < images.std() < 1.5 for images in contenders.seen)
    contenders.seen.clear()


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs the memory counters of Linux")
def test_a_known_allocation_is_the_peak_memory() -> None:
    (record,) = measured("allocates")
    assert record.metrics["peak_memory_mb"] == pytest.approx(contenders.ALLOCATED_BYTES / 1e6, abs=4)


def test_a_case_that_runs_out_of_memory_does_not_stop_the_others() -> None:
    first, second = measured("runs_out_of_memory", "sleeps_20_ms")
    assert first.error is not None
    assert first.error.startswith("out of memory: a batch of 4 did not fit into the ")
    assert first.error.endswith("that were free; give a smaller --batch, or --batch auto")
    assert "images_per_second" not in first.metrics
    assert second.error is None
    assert "ratio" not in second.metrics  # its reference was not measured


def test_a_case_that_fails_in_its_turn_does_not_stop_the_others() -> None:
    first, second = measured("gives_up_after_six_steps", "sleeps_20_ms")
    assert first.error is not None
    assert first.error.startswith("StopIteration")
    assert first.history == []
    assert len(second.history) == 3


@pytest.mark.medium
def test_every_combination_is_a_case_and_models_are_adjacent() -> None:
    models = ["convnext_test", "swin_test"]
    records = measured(
        *models, image_size=32, batch=2, rounds=1, modes=["infer", "train"], dtypes=["float32", "bfloat16"]
    )
    assert [record.error for record in records] == [None] * 8
    cases = [(record.settings["mode"], record.settings["dtype"], record.name) for record in records]
    assert cases[:4] == [("infer", dtype, model) for dtype in ("float32", "bfloat16") for model in models]
    assert [record.settings["index"] for record in records] == list(range(8))
    assert len({record.settings["benchmark"] for record in records}) == 1
    assert len({record.metrics["macs"] for record in records[::2]}) == 1
    assert records[7].settings["ratio_to"] == "convnext_test train bfloat16 channels_last"


def test_networks_get_images_with_their_number_of_channels() -> None:
    (record,) = measured("lenet_test", image_size=get_entry("lenet_test").published.image_size)
    assert record.error is None
    assert "macs" in record.metrics


def test_training_changes_the_weights_and_inference_does_not() -> None:
    """A step of training changes the weights and releases the gradients."""
    infer, train = (prepared(mode) for mode in ("infer", "train"))
    for workload, moves in ((infer, False), (train, True)):
        weight = next(workload.network.parameters())
        before = weight.detach().clone()
        workload.step()
        assert weight.grad is None
        assert torch.equal(weight, before) is not moves


def prepared(mode: str, name: str = "convnext_test", dtype: str = "float32", side: int = 32) -> Workload:
    case = Case(name, mode, dtype, "channels_last", "off", 2, side, threads=1)
    return prepare(case, find_network(name), torch.device("cpu"))


def test_complex_weights_stay_complex_in_bfloat16() -> None:
    workload = prepared("infer", HERE + "filters", "bfloat16", 8)
    workload.step()
    assert {name: value.dtype for name, value in workload.network.named_parameters()} == {
        "weight": torch.complex64, "classifier.weight": torch.bfloat16, "classifier.bias": torch.bfloat16,
    }  # fmt: skip


@pytest.mark.parametrize(("mode", "contiguous"), [("train", True), ("infer", False)])
def test_narrow_strided_convolutions_are_trained_as_modernet_trains_them(mode: str, contiguous: bool) -> None:
    workload = prepared(mode, HERE + "skips_pixels", side=8)
    workload.step()
    seen: list[bool] = []
    workload.network.get_submodule("skip").register_forward_hook(
        lambda layer, inputs, output: seen.append(inputs[0].is_contiguous())
    )
    workload.step()
    assert seen == [contiguous]


def test_an_optimized_network_is_optimized_for_the_measured_images(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Fast(torch.nn.Identity):
        report = "folded"

    def optimize(network: torch.nn.Module, example: torch.Tensor, *, dtype: torch.dtype) -> torch.nn.Module:
        assert not network.training
        assert (example.shape, example.dtype, dtype) == ((2, 3, 32, 32), torch.bfloat16, torch.bfloat16)
        return Fast()

    monkeypatch.setattr(modernet.deploy, "optimize", optimize)
    plain, fast = measured("convnext_test", "optimized:convnext_test", image_size=32, batch=2, dtypes=["bfloat16"])
    assert fast.error is None
    assert (fast.settings["optimized"], plain.settings["optimized"]) == ("folded", None)
    assert (fast.settings["layout"], fast.settings["compile"]) == ("chosen", "chosen")
    assert fast.metrics["macs"] == plain.metrics["macs"]


@pytest.mark.medium
def test_the_fastest_batch_is_in_the_record() -> None:
    found, failed = measured("fits_four_images", "runs_out_of_memory", batch="auto")
    assert found.settings["batch"] == 4
    assert failed.settings["batch"] is None
    assert failed.error is not None
    assert failed.error.startswith("out of memory: one image did not fit into the ")


def test_records_tables_and_a_chart_are_written_to_a_folder(tmp_path: Path) -> None:
    records = measured("sleeps_20_ms", "convolves", folder=tmp_path / "out")
    assert read_records(tmp_path / "out") == records
    assert (tmp_path / "out" / "01-benchmark.contenders-convolves-infer-float32-channels_last-off").is_dir()
    assert {"results.md", "infer.csv", "speed.png"} <= {path.name for path in (tmp_path / "out").iterdir()}

    with pytest.raises(InputError, match="out already contains results; give another --out"):
        measured("convolves", folder=tmp_path / "out")


def test_finished_rounds_survive_ctrl_c(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def two_rounds(calls: Mapping[str, Any], *_: Any, **__: Any) -> Iterator[dict[str, float]]:
        yield dict.fromkeys(calls, 0.5)
        yield dict.fromkeys(calls, 0.7)
        raise KeyboardInterrupt

    monkeypatch.setattr(measure, "rounds_in_turns", two_rounds)
    monkeypatch.setattr(run, "write_benchmark", lambda records, folder: [])  # tested elsewhere
    with pytest.raises(Stopped, match=f"stopped after 2 of 10 rounds; their results are in {tmp_path}") as stopped:
        measured("convolves", "convolves", rounds=10, folder=tmp_path)
    assert stopped.value.exit_code == 130
    assert stopped.value.records == read_records(tmp_path)
    assert [row["seconds"] for row in stopped.value.records[1].history] == [0.5, 0.7]


def test_ctrl_c_before_the_first_round_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> Iterator[dict[str, float]]:
        raise KeyboardInterrupt
        yield {}

    monkeypatch.setattr(measure, "rounds_in_turns", interrupted)
    with pytest.raises(KeyboardInterrupt):
        measured("convolves", folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_settings_of_the_process_are_restored() -> None:
    import resource

    before = torch.get_num_threads(), resource.getrlimit(resource.RLIMIT_DATA)
    measured("convolves")
    assert (torch.get_num_threads(), resource.getrlimit(resource.RLIMIT_DATA)) == before


@pytest.mark.medium
def test_every_case_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch compiles the `forward` of a class eight times, and runs it uncompiled afterwards."""
    compiled = []

    def backend(graph: torch.fx.GraphModule, example: list[torch.Tensor]) -> Any:
        compiled.append(graph)
        return graph.forward

    compile = torch.compile
    monkeypatch.setattr(torch, "compile", lambda network, **_: compile(network, backend=backend, dynamic=False))
    model = HERE + "averages"
    cases = [Case(model, "infer", "float32", "contiguous", "default", batch, 8, threads=1) for batch in range(1, 11)]
    records = run_cases(cases, {model: find_network(model)}, torch.device("cpu"), rounds=1, turn_s=0.0, folder=None)
    assert [record.error for record in records] == [None] * 10
    assert len(compiled) == 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"modes": ["trian"]}, "mode is 'trian'; give one or more of infer, train"),
        ({"dtypes": ["float31"]}, "dtype is 'float31'; give one or more of float32, tf32, bfloat16, float16"),
        ({"dtypes": ["tf32"]}, "dtype tf32 needs a CUDA device, but the device is cpu"),
        ({"layouts": ["nchw"]}, "layout is 'nchw'; give one or more of channels_last, contiguous"),
        ({"compile_modes": ["on"]}, "compile is 'on'; give one or more of off, default, max-autotune"),
        ({"modes": ["infer", "infer"]}, "mode is 'infer,infer'; give each of infer, train at most once"),
        ({"batch": 0}, "batch is 0; give 1 or more, or auto"),
        ({"image_size": 0}, "image_size is 0; give the side of an image in pixels"),
        ({"rounds": 0}, "rounds is 0; give 1 or more"),
        ({"turn_s": -1.0}, "turn_s is -1; give the length of a turn in seconds"),
        ({"threads": 100_000}, "threads is 100000; this process may use"),
        ({"device": "gpu"}, "device is 'gpu'; give cpu, cuda or cuda:N"),
    ],
)
def test_mistakes_are_rejected_before_anything_is_measured(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        measured("convolves", **options)


def test_an_optimized_network_cannot_be_trained() -> None:
    with pytest.raises(InputError, match="optimized:convnext_test is for inference and cannot be trained"):
        measured("optimized:convnext_test", modes=["infer", "train"])


def test_models_are_required() -> None:
    with pytest.raises(InputError, match="no model is given"):
        measured()
