from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from modernet.cli import main
from modernet.errors import InputError
from modernet.recipes import get_recipe
from modernet.records import Record
from modernet.studies import Machines, run_factorial

RECIPE = get_recipe("quick").replace(epochs=1, batch_size=32)


def small_study(data: Path, folder: Path, **changes: Any) -> list[Record]:
    arguments: dict[str, Any] = {
        "decisions": "gelu,layer_norm",
        "seeds": 1,
        "recipe": RECIPE,
        "machines": Machines(workers=1),
    }
    return run_factorial(str(data), **(arguments | changes), folder=folder)


@pytest.mark.medium
def test_the_command_line_runs_a_study_and_prints_its_effects(
    image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [
        "roadmap", "--study", "factorial", "--data", str(image_folder), "--decisions", "gelu,layer_norm",
        "--epochs", "1", "--batch-size", "32", "--workers", "1", "--out", str(tmp_path / "study"),
    ]  # fmt: skip
    assert main(command) == 0
    text = capsys.readouterr().out
    assert "4 networks, 2 seeds each" in text
    assert "ReLU to GELU × BatchNorm to LayerNorm" in text
    assert (tmp_path / "study" / "factorial.png").exists()
    assert (tmp_path / "study" / "report.html").exists()

    assert main([*command, "--json"]) == 0  # every run is finished
    answer = json.loads(capsys.readouterr().out)
    assert [effect["terms"] for effect in answer["effects"]["effects"]][:2] == [[["gelu"]], [["layer_norm"]]]
    assert answer["effects"]["freedom"] == 4
    assert [(run["network"], run["seed"]) for run in answer["runs"]] == [(n, s) for n in range(4) for s in range(2)]


@pytest.mark.medium
def test_networks_are_convnexts_with_decisions_undone(image_folder: Path, tmp_path: Path) -> None:
    records = small_study(image_folder, tmp_path / "study")

    fields = [record.settings["model_fields"] for record in records]
    assert [(field["activation"], field["norm"]) for field in fields] == [
        ("relu", "batch"), ("gelu", "batch"), ("relu", "layer"), ("gelu", "layer"),
    ]  # fmt: skip
    assert {(field["kernel_size"], field["stem"], field["downsampling"]) for field in fields} == {
        (7, "patchify", "separate")
    }
    assert records[1].settings["levels"] == {"gelu": 1, "layer_norm": -1}
    assert records[1].settings["study"] == "factorial"
    assert {record.settings["recipe"]["name"] for record in records} == {"quick"}
    assert [record.error for record in records] == [None] * 4


@pytest.mark.medium
def test_a_folder_with_other_decisions_is_rejected(image_folder: Path, tmp_path: Path) -> None:
    small_study(image_folder, tmp_path / "study", seeds=1, decisions="gelu,fewer_norms")
    with pytest.raises(InputError, match=r"belongs to a study with other settings \(.*\); give another --out"):
        small_study(image_folder, tmp_path / "study", decisions="layer_norm,fewer_norms")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": 0}, "seeds is 0; give 1 or more"),
        ({"size": "huge"}, "no size of the road is called 'huge'"),
        ({"decisions": "gelu"}, "give two or more"),
    ],
)
def test_wrong_arguments_are_rejected_before_images_are_read(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        small_study(tmp_path / "nowhere", tmp_path / "study", **change)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--study", "factorial", "--steps", "0-3"], "--steps is for a walk; with --study factorial, give --decisions"),
        (["--decisions", "gelu,layer_norm"], "--decisions is for --study factorial; for a walk, give --steps"),
        (["--run-gpus", "1"], "--run-cpus and --run-gpus need a cluster; add --cluster auto"),
        (["--cluster", "nowhere"], "'nowhere' is not an address of a Ray cluster; give auto, or HOST:PORT"),
    ],
)
def test_options_that_do_not_apply_are_rejected(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["roadmap", *options, "--out", str(tmp_path / "run")]) == 2
    assert message in capsys.readouterr().err
