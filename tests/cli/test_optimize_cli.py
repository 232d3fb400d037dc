"""`modernet optimize`, and the verbs that take the folder that it writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import modernet.tasks.optimizing as optimizing
from modernet.cli import main
from modernet.deploy import optimize
from small_classifiers import COLOURS, save_classifier, save_images


@pytest.fixture(autouse=True)
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile nothing, and keep notes of what is own in a cache folder of the test."""
    monkeypatch.setenv("MODERNET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(
        optimizing, "optimize", lambda *inputs, **options: optimize(*inputs, **options | {"compile": False})
    )


@pytest.mark.medium
def test_a_run_is_optimized_and_used_as_a_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, data = save_classifier(tmp_path / "run"), save_images(tmp_path / "data", each=30)
    fast = tmp_path / "fast"
    options = ["--data", str(data), "--precision", "exact", "--seconds", "0.5", "--batch-size", "4"]
    assert main(["optimize", run, *options, "--out", str(fast)]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("rewrites\n")
    assert "images/s, batch 4, float32, cpu" in out
    assert f"{fast}: resnet_test, eager" in out.splitlines()[-1]
    assert "data: chosen by all 90 images" in err

    photo = str(data / "blue" / "0.png")
    answers = []
    for network in (run, str(fast)):
        assert main(["predict", network, photo, "--json"]) == 0
        answers.append(json.loads(capsys.readouterr().out)[0]["predictions"])
    assert [guess["label"] for guess in answers[1]] == [guess["label"] for guess in answers[0]]
    for before, after in zip(*answers, strict=True):
        assert after["probability"] == pytest.approx(before["probability"], abs=1e-5)
        assert after["label"] in COLOURS

    measured = []
    for network, record in ((run, "a"), (str(fast), "b")):
        command = ["evaluate", network, "--data", str(data), "--json", "--out", str(tmp_path / record)]
        assert main(command) == 0
        measured.append(json.loads(capsys.readouterr().out))
    assert measured[1] == pytest.approx(measured[0], abs=1e-4)
    weights = [json.loads((tmp_path / name / "record.json").read_text())["settings"]["weights"] for name in "ab"]
    assert weights[0]["fingerprint"] != weights[1]["fingerprint"]

    short = ["--rounds", "1", "--turn-s", "0", "--batch", "2", "--json", "--out", str(tmp_path / "speed")]
    assert main(["benchmark", str(fast), f"optimized:{fast}", *short]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["model"] for row in rows] == [str(fast), f"optimized:{fast}"]
    assert all(row["images_per_second"] for row in rows)
    other = ["--rounds", "1", "--turn-s", "0", "--batch", "2", "--dtype", "bfloat16", "--out", str(tmp_path / "other")]
    assert main(["benchmark", f"optimized:{fast}", *other]) == 2
    assert "was saved for the CPU in float32; give --device cpu --dtype float32" in capsys.readouterr().err

    assert main(["optimize", str(fast), *options, "--out", str(tmp_path / "again"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["network"], report["out"]) == ("resnet_test", str(tmp_path / "again"))
    speeds = {row["way"]: row["images_per_second"] for row in report["measured"]}
    assert speeds[report["chosen"]] == max(speeds.values()) > 0


@pytest.mark.medium
def test_a_network_is_optimized_for_generated_scenes(tmp_path: Path) -> None:
    run = save_classifier(tmp_path / "run", tuple("0123456789"), size=32)
    options = ["--data", "digit_scenes", "--precision", "exact", "--seconds", "0", "--images", "8"]
    assert main(["optimize", run, *options, "--out", str(tmp_path / "fast")]) == 0
    assert (tmp_path / "fast" / "optimized.json").is_file()


@pytest.mark.medium
def test_broken_images_are_named_or_skipped_and_classes_need_not_be_the_networks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, data, fast = save_classifier(tmp_path / "run"), save_images(tmp_path / "data", each=2), tmp_path / "fast"
    (data / "red").rename(data / "purple")
    (data / "purple" / "0.png").write_bytes(b"no image")
    command = ["optimize", run, "--data", str(data), "--seconds", "0", "--out", str(fast)]
    assert main(command) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"modernet: cannot read the image {data}/purple/0.png: it is not an image")
    assert line.endswith("(--skip-unreadable)")
    assert not fast.exists()

    assert main([*command, "--skip-unreadable"]) == 0
    err = capsys.readouterr().err
    assert f"skipped: cannot read the image {data}/purple/0.png" in err
    assert "data has images of the class 'purple', and the network does not know it" in err
    assert ": reduced precision is judged by equal answers, not by accuracy" in err
    assert (fast / "optimized.json").is_file()


@pytest.mark.medium
def test_a_folder_of_a_stranger_needs_trust(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, data = save_classifier(tmp_path / "run"), save_images(tmp_path / "data")
    fast, photo = str(tmp_path / "fast"), str(data / "red" / "0.png")
    command = ["optimize", run, "--data", str(data), "--precision", "exact", "--seconds", "0", "--out", fast]
    assert main([*command, "--image-size", "32", "--images", "5"]) == 0
    assert json.loads(Path(fast, "optimized.json").read_text())["images"] == [3, 32, 32]
    monkeypatch.setenv("MODERNET_CACHE", str(tmp_path / "cache of another"))
    capsys.readouterr()
    assert main(["predict", fast, photo]) == 2
    assert "was saved by someone else, and its program can do anything: give trust=True (--trust)" in (
        capsys.readouterr().err
    )
    assert main(["predict", fast, photo, "--trust"]) == 0
    assert main(["evaluate", fast, "--data", str(data), "--trust"]) == 0


@pytest.mark.parametrize("verb", ["predict", "evaluate", "benchmark"])
def test_a_folder_with_only_the_optimized_network_is_one_line(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("fast").mkdir()
    Path("fast", "optimized.json").write_text("{}")
    data = str(save_images(Path("photos"), each=1))
    arguments = {
        "predict": ["./fast", f"{data}/red/0.png"],
        "evaluate": ["./fast", "--data", data],
        "benchmark": ["optimized:./fast"],
    }[verb]
    assert main([verb, *arguments]) == 2
    err = capsys.readouterr().err
    assert "fast has only the optimized network; save it with network=, or use modernet.load_optimized" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "optimize needs --data and --out"),
        (["runs/a", "--data", "d", "--out", "here"], "here exists already; give another --out, or remove it"),
        (["resnet18", "--data", "./d", "--out", "fast"], "no data set is called './d'"),
        (["runs/a", "--data", "photos", "--out", "fast"], "no trained network in runs/a"),
        (["nonet", "--data", "photos", "--out", "fast"], "no model is called 'nonet'"),
        (["runs/a", "--data", "photos", "--out", "fast", "--precision", "fp8"], "--precision is 'fp8'; give one of"),
        (["runs/a", "--data", "photos", "--out", "fast", "--image-size", "x"], "--image-size is 'x'; give pixels"),
        (["resnet18", "--data", "photos", "--out", "fast", "--batch-size", "0"], "batch_size is 0; give 1 or more"),
        (["runs/a", "--data", "photos", "--out", "photos/blue/0.png/fast"], "cannot write to photos/blue/0.png"),
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
    save_images(Path("photos"), each=1)
    Path("here").mkdir()
    Path("here", "file").touch()
    assert main(["optimize", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
