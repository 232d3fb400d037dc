from __future__ import annotations

import functools
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import modernet.benchmark
import modernet.deploy
from modernet.benchmark import MeasuredPair, Stopped, Trap, run
from modernet.benchmark.questions import traps as questions
from modernet.benchmark.questions.table12 import PAIRS
from modernet.cli import main
from modernet.cli.benchmark import find_target
from modernet.data.sequences.encoding import Encoding
from modernet.data.sequences.inputs import SequenceInputs
from modernet.detection import RCNN, mask_rcnn
from modernet.machine.peaks import Peaks
from modernet.machine.timing import Ratio
from modernet.models import create_model
from modernet.preparation import Preparation
from modernet.records import Record, read_records
from modernet.segmentation import UPerNet
from modernet.sequences.pretraining import SequencePredictor
from modernet.tasks import load_network
from modernet.weights import NetworkSpec
from modernet.weights.saved_network import save_network

KEYS = {
    "model", "mode", "dtype", "layout", "compile", "batch", "image_size", "images_per_second", "latency_ms",
    "peak_memory_mb", "tflops", "peak_share", "ratio", "ratio_low", "ratio_high", "device", "threads", "params", "macs",
    "bound", "error", "versions",
}  # fmt: skip


@pytest.fixture
def short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Options of a run that takes no time, draws nothing, and is of a device whose peaks are known."""
    monkeypatch.setattr(run, "write_benchmark", lambda records, folder: [])
    monkeypatch.setattr(run, "measure_peaks", lambda device, dtypes: Peaks({"float32": 0.1}, 10.0))
    return [
        "--image-size", "32", "--batch", "2", "--rounds", "2", "--turn-s", "0", "--threads", "1", "--device", "cpu",
        "--out", str(tmp_path / "out"),
    ]  # fmt: skip


def test_rows_for_programs_have_every_key_and_null_where_nothing_was_measured(
    short: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    models = ["convnext_test", "benchmark.contenders:runs_out_of_memory"]
    assert main(["benchmark", *models, *short, "--json"]) == 1
    measured, failed = json.loads(capsys.readouterr().out)
    assert measured.keys() >= KEYS
    assert failed.keys() == measured.keys()
    assert [row["model"] for row in (measured, failed)] == models
    assert measured["error"] is None
    assert None not in [measured[key] for key in KEYS - {"error"}]
    assert failed["error"].startswith("out of memory: a batch of 2 did not fit")
    assert [failed[key] for key in ("images_per_second", "ratio", "tflops", "peak_share")] == [None] * 4


def test_a_table_for_people_and_where_the_rest_is(
    short: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["benchmark", "convnext_test", "swin_test", *short]) == 0
    out = capsys.readouterr().out
    assert "swin_test" in out
    assert f"results: {tmp_path / 'out'}" in out
    assert len(read_records(tmp_path / "out")) == 2


def test_results_have_a_place_of_their_own_by_device_and_date(
    short: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["benchmark", "convnext_test", *short[:-2]]) == 0
    (folder,) = (tmp_path / "benchmarks" / "results").iterdir()
    assert folder.name.startswith("cpu-")
    assert read_records(folder)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["convnext_tin"], "no model is called 'convnext_tin'; did you mean convnext_tiny"),
        (["s4_fou"], "no model is called 's4_fou'; did you mean s4_fout"),
        (["s4", "--image-size", "64"], "image_size is that of images; of sequences, give length"),
        (["--traps", "s4"], "traps are known of networks for images, and s4 takes sequences"),
        (["resnet18", "--batch", "many"], "--batch is 'many'; give a number of images, or auto"),
        (["resnet18", "--batch", "0"], "batch is 0; give 1 or more, or auto"),
        (["resnet18", "--dtype", "float32,"], "dtype is ''; give one or more of float32, tf32"),
        (["resnet18", "--device", "gpu"], "device is 'gpu'; give cpu, cuda or cuda:N"),
        (["--traps", "--table12"], "--traps and --table12 are two questions; ask one at a time"),
        (["--traps", "--batch", "auto"], "--traps compares cases of one batch; give a number for --batch"),
        (["--table12", "resnet18"], "table 12 has no resnet18; it has"),
        (["resnet18", "--out", "{tmp}/file/out"], "Not a directory; give another --out"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert main(["benchmark", *[argument.format(tmp=tmp_path) for argument in arguments]]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("modernet: ")
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "benchmarks").exists()


def test_ctrl_c_is_one_line_and_exit_code_130(
    short: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: Any, **__: Any) -> list[Record]:
        raise Stopped("stopped after 2 of 10 rounds; they are in out", [])

    monkeypatch.setattr(modernet.benchmark, "benchmark_models", stopped)
    assert main(["benchmark", "convnext_test", *short]) == 130
    assert capsys.readouterr().err == "modernet: stopped after 2 of 10 rounds; they are in out\n"


RECORD = Record(
    "benchmark",
    "convnext_tiny",
    settings={"benchmark": "1", "index": 0, "dtype": "float32", "batch": 8, "image_size": 224},
    metrics={"images_per_second": 9.0, "ratio": 1.8, "ratio_low": 1.7, "ratio_high": 1.9},
    environment={"device": "CPU, 2 threads"},
)


def test_traps_are_printed_with_their_fix(
    short: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    traps = [
        Trap("compile off", Ratio(1.5, 1.4, 1.6), "torch.compile(network)"),
        Trap("layout", Ratio(1.1, 0.9, 1.2), "channels last"),
        Trap("threads 1", Ratio(0.9, 0.8, 0.95), "more threads"),
        Trap("matrix products", note="this torch has no MKL"),
        Trap("OpenVINO", fix="ask for f32", note="computes in bf16"),
    ]
    failed = replace(RECORD, error="out of memory")
    monkeypatch.setattr(modernet.benchmark, "find_traps", lambda *_, **__: (traps, [RECORD, failed]))
    assert main(["benchmark", "--traps", *short[2:]]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "1.50x [1.40, 1.60] compile off torch.compile(network)" in out
    assert "2 more choices cost nothing beyond the noise; --json lists them" in out
    assert "matrix products: this torch has no MKL OpenVINO: computes in bf16; instead: ask for f32" in out
    assert "not measured: convnext_tiny float32: out of memory" in out

    assert main(["benchmark", "--traps", "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)
    assert [row["is_trap"] for row in rows] == [True, False, False, False, False]
    assert rows[3]["cost"] is None
    assert rows[0]["cost"] == {"median": 1.5, "low": 1.4, "high": 1.6}

    harmless = [trap for trap in traps if trap.cost is not None and not trap.is_trap]
    for found, line in (
        (harmless, "nothing is a trap here 2 choices cost nothing"),
        (traps[3:], "nothing was measured"),
    ):
        monkeypatch.setattr(modernet.benchmark, "find_traps", lambda *_, found=found, **__: (found, [RECORD]))
        assert main(["benchmark", "--traps", *short[2:]]) == 0
        out = " ".join(capsys.readouterr().out.split())
        assert out.startswith(f"Traps on CPU, 2 threads: float32, batch 8, 224 pixels: {line}")


def test_table12_stands_beside_the_published_one(
    short: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    swin = replace(RECORD, name="swin_tiny", metrics={"images_per_second": 5.0, "ratio": 1.0})
    pairs = [
        MeasuredPair(PAIRS[0], [swin, RECORD]),
        MeasuredPair(PAIRS[-1], [replace(RECORD, metrics={}, error="no memory")]),
    ]
    monkeypatch.setattr(modernet.benchmark, "measure_table12", lambda *_, **__: pairs)
    assert main(["benchmark", "--table12", *short]) == 1
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "swin_tiny 224 1325.6 5" in lines
    assert "convnext_tiny 224 1943.5 9 1.47 1.8 [1.7, 1.9]" in lines
    assert "not measured: convnext_tiny at 384: no memory" in lines

    assert main(["benchmark", "--table12", "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)
    assert [row["published_images_per_second"] for row in rows] == [1325.6, 1943.5, 147.4]


def saved_run(folder: Path, network: nn.Module, task: str, head: dict[str, Any], size: int = 64) -> str:
    """Write the network of a run and return its folder, as the command line takes it."""
    folder.mkdir()
    names = [f"class {index}" for index in range(3)]
    spec = NetworkSpec("model", "convnext_test", {}, head)
    save_network(folder, network, spec, names, Preparation(size, (0.5,) * 3, (0.2,) * 3), task)
    return str(folder)


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, str]:
    """Folders of runs, by task."""
    backbones = [create_model("convnext_test", num_classes=3) for _ in range(3)]
    detector = RCNN(backbones[2], mask_rcnn(3, width=8, hidden=16))
    head = {"detector": "mask_rcnn", "masks": True, "width": 8, "hidden": 16}
    return {
        "classification": saved_run(tmp_path / "classifier", backbones[0], "classification", {}),
        "segmentation": saved_run(
            tmp_path / "segmenter", UPerNet(backbones[1], 3, 8), "segmentation", {"head": "upernet", "width": 8}
        ),
        "detection": saved_run(tmp_path / "detector", detector, "detection", head),
    }


@pytest.mark.medium
def test_runs_of_every_task_are_measured_at_their_size(
    runs: dict[str, str], short: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    models = list(runs.values())
    assert main(["benchmark", *models, *short[2:], "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["model"] for row in rows] == models
    assert {row["image_size"] for row in rows} == {64}
    params = [sum(p.numel() for p in load_network(Path(folder)).network.parameters()) for folder in runs.values()]
    assert [row["params"] for row in rows] == params
    assert min(row["macs"] for row in rows) > 0


@pytest.fixture
def sequence_run(tmp_path: Path) -> str:
    """The folder of a run on sequences of 24 bytes."""
    inputs = SequenceInputs(24, vocabulary=257)
    spec = NetworkSpec("sequence", "linear", {"depth": 1, "width": 8}, {"inputs": asdict(inputs)})
    folder = tmp_path / "linear"
    save_network(folder, spec.build(3), spec, ["a", "b", "c"], Encoding("bytes", inputs), "sequences")
    return str(folder)


def test_a_run_on_sequences_is_measured_at_its_length_or_shorter(
    sequence_run: str, short: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["benchmark", sequence_run, "linear", *short[2:], "--json"]) == 0
    own, other = json.loads(capsys.readouterr().out)
    assert (own["length"], other["length"], own["image_size"]) == (24, 24, None)
    assert own["params"] == sum(p.numel() for p in load_network(Path(sequence_run)).network.parameters())
    assert min(own["sequences_per_second"], own["macs"]) > 0
    assert main(["benchmark", sequence_run, "--length", "25", *short[2:]]) == 2
    assert "length is 25, and the run has learned from at most 24 steps; give 24 or less" in capsys.readouterr().err


def test_a_run_that_predicts_hidden_steps_is_refused(
    sequence_run: str, short: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    about = Path(sequence_run) / "network.json"
    spec = load_network(Path(sequence_run)).spec
    predictor = SequencePredictor(*spec.sequence_parts())
    save_network(about.parent, predictor, spec, [], Encoding("bytes", predictor.inputs), "sequence_pretraining")
    assert main(["benchmark", sequence_run, *short[2:]]) == 2
    assert "the network was only pre-trained and has no answers" in capsys.readouterr().err


@pytest.mark.medium
def test_traps_of_a_run_are_found_at_its_size(
    runs: dict[str, str], short: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch, "compile", lambda network, **_: network)
    monkeypatch.setattr(questions, "best_dtype", lambda device: "float32")
    assert main(["benchmark", "--traps", runs["segmentation"], *short[2:], "--json"]) == 0
    out = capsys.readouterr().out
    assert f"{runs['segmentation']}: compile off instead of default" in out


@pytest.mark.medium
def test_an_optimized_detector_is_measured_in_the_dtype_of_a_gpu(
    runs: dict[str, str], short: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = functools.partial(modernet.deploy.optimize, compile=False, seconds=0.0)
    monkeypatch.setattr(modernet.deploy, "optimize", quick)
    models = [runs["detection"], f"optimized:{runs['detection']}"]
    assert main(["benchmark", *models, *short, "--dtype", "bfloat16", "--json"]) == 0
    assert [row["dtype"] for row in json.loads(capsys.readouterr().out)] == ["bfloat16"] * 2


def test_the_network_of_a_run_can_be_optimized_first(runs: dict[str, str]) -> None:
    target = find_target(f"optimized:{runs['detection']}")
    assert (target.optimized, target.task) == (True, "detection")
    assert not find_target(runs["segmentation"]).optimized


@pytest.mark.medium
def test_a_training_step_of_a_segmenter_is_measured_and_of_a_detector_refused(
    runs: dict[str, str], short: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["benchmark", runs["segmentation"], *short, "--mode", "train"]) == 0
    assert main(["benchmark", runs["detection"], *short, "--mode", "train"]) == 2
    error = capsys.readouterr().err
    assert f"{runs['detection']} is a detector, whose training step is not measured; give --mode infer" in error


def test_runs_of_several_sizes_need_one_size(
    runs: dict[str, str], tmp_path: Path, short: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    other = saved_run(tmp_path / "other", create_model("convnext_test", num_classes=3), "classification", {}, size=32)
    assert main(["benchmark", runs["classification"], other, *short[2:]]) == 2
    assert "give one for all with --image-size" in capsys.readouterr().err


def test_a_folder_without_a_run_is_refused(short: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "runs/none", *short]) == 2
    assert "no trained network in runs/none" in capsys.readouterr().err
