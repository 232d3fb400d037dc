"""Classification of sequences: it trains, resumes, evaluates, predicts and reports through the same verbs as images."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from modernet.cli import main
from modernet.data.sequences.loading import sequence_loader
from modernet.errors import InputError
from modernet.recipes import Execution, SequenceRecipe, get_recipe
from modernet.records import Record, read_record
from modernet.tasks import load_network
from modernet.tasks.sequences import SequenceClassification, build_network, in_training, train_sequences
from modernet.training import Interrupted, RunContext
from modernet.weights import NetworkSpec, weights_of_run
from small_sequences import SPEC, dataset, write_table

CPU = torch.device("cpu")
RECIPE = get_recipe("sequences_nano").replace(epochs=2, batch_size=16, warmup_epochs=0.5, lr=5e-3)
assert isinstance(RECIPE, SequenceRecipe)
S4 = NetworkSpec("sequence", "s4", {"depth": 1, "width": 16, "state": 4})


def losses(record: Record) -> list[float]:
    return [row[key] for row in record.history for key in ("train_loss", "validation_loss", "validation_accuracy")]


def test_a_tiny_network_learns_a_tiny_task(tmp_path: Path) -> None:
    record = train_sequences(SPEC, dataset(), RECIPE.replace(epochs=12), folder=tmp_path, device=CPU)

    assert record.metrics["test_accuracy"] > 90
    assert record.metrics["test_n"] == 38
    assert record.metrics["train_sequences_per_second"] > 0
    counts = torch.tensor(record.details["confusion"]["counts"])
    assert record.details["confusion"]["classes"] == ["absent", "there"]
    assert counts.sum(1).tolist() == [19, 19]
    assert 100 * int(counts.trace()) / 38 == pytest.approx(record.metrics["test_accuracy"])
    assert record.settings["params"] == sum(each.numel() for each in load_network(tmp_path).network.parameters())


@pytest.mark.parametrize("spec", [SPEC, S4], ids=lambda spec: spec.name)
def test_a_stopped_run_resumes_to_the_same_losses(spec: NetworkSpec, tmp_path: Path) -> None:
    recipe = RECIPE.replace(dropout=0.3)
    whole = train_sequences(spec, dataset(), recipe, folder=tmp_path / "whole", device=CPU)
    asked = itertools.count(1)
    with pytest.raises(Interrupted):
        train_sequences(
            spec, dataset(), recipe, folder=tmp_path / "run", device=CPU, should_stop=lambda: next(asked) >= 4
        )
    resumed = train_sequences(spec, dataset(), recipe, folder=tmp_path / "run", device=CPU)

    assert losses(resumed) == losses(whole)
    trained, expected = (load_network(tmp_path / name).network.state_dict() for name in ("run", "whole"))
    assert all(torch.equal(trained[name], value) for name, value in expected.items())


@pytest.mark.parametrize("device_batch", [8, 4])
def test_accumulation_gives_the_losses_of_whole_batches(device_batch: int, tmp_path: Path) -> None:
    recipe = RECIPE.replace(optimizer="sgd", lr=0.05)
    whole = train_sequences(SPEC, dataset(), recipe, folder=tmp_path / "whole", device=CPU)
    execution = Execution(device_batch=device_batch)
    accumulated = train_sequences(SPEC, dataset(), recipe, folder=tmp_path / "parts", device=CPU, execution=execution)

    assert losses(accumulated) == pytest.approx(losses(whole), rel=1e-4)


def test_a_saved_network_gives_the_same_logits_and_leaves_the_generator_alone(tmp_path: Path) -> None:
    known = dataset()
    train_sequences(SPEC, known, RECIPE.replace(epochs=1), folder=tmp_path, device=CPU)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    saved = load_network(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)

    assert saved.inputs == known.encoding
    assert saved.spec.kind == "sequence"
    again = build_network(saved.spec, 2).eval()
    again.load_state_dict(saved.network.state_dict())
    batch = next(sequence_loader(known.test, known.encoding.inputs, batch_size=8, device=CPU, train=False).batches())
    with torch.no_grad():
        assert torch.equal(saved.network(*batch.inputs), again(*batch.inputs))


def test_names_are_those_of_the_split(tmp_path: Path) -> None:
    named = dataset()
    named = replace(named, train=replace(named.train, names=tuple(f"row {i}" for i in range(96))))
    for data, form in ((named, "row {}"), (dataset(), "sequence {} of the training split")):
        task = SequenceClassification(build_network(with_inputs(data), 2), SPEC, data, RECIPE, RunContext(CPU))
        batch = next(task.batches.batches())
        assert task.names(batch)() == [form.format(position) for position in batch.positions.tolist()]


def with_inputs(data: object) -> NetworkSpec:
    from modernet.tasks.sequence_runs import with_inputs as of_data

    return of_data(SPEC, data)  # type: ignore[arg-type]


def test_the_dropout_of_the_recipe_is_that_of_the_network_in_training_unless_it_has_its_own() -> None:
    recipe = RECIPE.replace(dropout=0.25, attention_dropout=0.125)
    assert in_training(SPEC, recipe).fields == {"dropout": 0.25, "attention_dropout": 0.125, **SPEC.fields}
    own = replace(SPEC, fields={"dropout": 0.5})
    assert in_training(own, recipe).fields["dropout"] == 0.5
    assert in_training(SPEC, RECIPE).fields == SPEC.fields


def test_a_finished_run_goes_on_and_keeps_its_classifier_where_the_classes_are_the_same(tmp_path: Path) -> None:
    first = train_sequences(SPEC, dataset(), RECIPE, folder=tmp_path / "first", device=CPU)
    standing = RECIPE.replace(epochs=1, lr=0.0, dynamics_lr=0.0, min_lr=0.0, warmup_epochs=0.0)
    start = weights_of_run(tmp_path / "first")
    kept = train_sequences(SPEC, dataset(), standing, start=start, folder=tmp_path / "kept", device=CPU)
    other = replace(dataset(), classes=("no", "yes"))
    new = train_sequences(SPEC, other, standing, start=start, folder=tmp_path / "new", device=CPU)

    assert kept.metrics["test_loss"] == pytest.approx(first.metrics["test_loss"])
    assert new.metrics["test_loss"] != pytest.approx(first.metrics["test_loss"])
    assert [each.settings["weights"]["classifier"] for each in (kept, new)] == ["kept", "new"]

    wider = replace(dataset(), encoding=replace(dataset().encoding, symbols=("x", "b", "c", "d")))
    with pytest.raises(InputError, match=r"has learned from words \(6 tokens, at most 12 steps\)"):
        train_sequences(SPEC, wider, standing, start=start, folder=tmp_path / "wider", device=CPU)
    deeper = replace(SPEC, fields={**SPEC.fields, "depth": 2})
    with pytest.raises(InputError, match=r"do not fit: encoder\.blocks\.1\..* is missing or has another shape"):
        train_sequences(deeper, dataset(), standing, start=start, folder=tmp_path / "deeper", device=CPU)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="gloo")
@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("transformer", ["depth=1", "width=16", "heads=2", "mlp_width=16"]),
        ("s4", ["depth=1", "width=16", "state=4", "norm=layer"]),  # BatchNorm would see the halves of a batch
    ],
)
def test_two_processes_give_the_losses_of_one_that_takes_their_micro_batches_in_turn(
    model: str, fields: list[str], tmp_path: Path
) -> None:
    table = write_table(tmp_path / "words.tsv")
    options = ["--recipe", "sequences_nano", "--data", str(table), "--epochs", "2", "--batch-size", "12"]
    options += ["--model", model, "--model-fields", *fields]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    two = [*launcher, "-m", "modernet", "train", *options, "--out", str(tmp_path / "two")]
    subprocess.run(two, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert main(["train", *options, "--device-batch", "6", "--out", str(tmp_path / "one")]) == 0

    of_two, of_one = (read_record(tmp_path / name / "record.json") for name in ("two", "one"))
    assert of_two.environment["processes"] == 2
    assert losses(of_two) == pytest.approx(losses(of_one), rel=1e-6)
    assert of_two.metrics["test_accuracy"] == of_one.metrics["test_accuracy"]
    assert of_two.details == of_one.details
    trained, expected = (load_network(tmp_path / name).network.state_dict() for name in ("two", "one"))
    for name, value in expected.items():
        torch.testing.assert_close(trained[name], value, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.medium
def test_the_verbs_serve_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, run = write_table(tmp_path / "words.tsv"), tmp_path / "run"
    options = ["train", "--recipe", "sequences_nano", "--data", str(table), "--epochs", "2", "--out", str(run)]
    options += ["--model-fields", "depth=1", "width=16", "heads=2", "mlp_width=16"]
    assert main(options) == 0
    printed = capsys.readouterr().out
    assert "transformer on words: test accuracy" in printed
    assert main([*options, "--resume"]) == 0
    assert main([*options, "--explain"]) == 0
    capsys.readouterr()

    assert main(["evaluate", str(run), "--data", str(table), "--json"]) == 0
    measured, record = json.loads(capsys.readouterr().out), read_record(run / "record.json")
    assert measured["accuracy"] == record.metrics["test_accuracy"]
    assert measured["accuracy_low"] < measured["accuracy"] + 1e-9
    assert {"accuracy/sea", "accuracy/land"} <= set(measured)
    assert main(["evaluate", str(run), "--data", str(table), "--out", str(tmp_path / "measured")]) == 0

    (tmp_path / "one.txt").write_text("abcs\n")
    (tmp_path / "more.tsv").write_text("text\tlabel\nabs\tsea\nbroken line\nabab\tland\n")
    capsys.readouterr()
    assert main(["predict", str(run), str(tmp_path / "one.txt"), str(tmp_path / "more.tsv"), "--json"]) == 1
    printed = capsys.readouterr()
    answers = json.loads(printed.out)
    names = [Path(answer["name"].partition(",")[0]).name + answer["name"].partition(",")[2] for answer in answers]
    assert names == ["more.tsv line 2", "more.tsv line 4", "one.txt"]
    assert all(sum(guess["probability"] for guess in each["predictions"]) == pytest.approx(1) for each in answers)
    assert "more.tsv, line 3: it has 1 column, not 2 as the header" in printed.err
    assert main(["predict", str(run), str(tmp_path / "more.tsv"), "--skip-unreadable", "--top", "1"]) == 0

    assert main(["report", str(run)]) == 0
    assert "accuracy" in next(run.glob("*.html")).read_text()
    capsys.readouterr()
    refused = "the network takes sequences, and this needs one that takes images"
    assert main(["export", str(run), "--to", "torch"]) == 2
    assert refused in capsys.readouterr().err
    assert main(["optimize", str(run), "--data", "digit_scenes", "--out", str(tmp_path / "fast")]) == 2
    assert "the task sequences; modernet optimize takes classifiers" in capsys.readouterr().err
    assert main(["robustness", str(run), "--data", "digit_scenes", "--out", str(tmp_path / "tested")]) == 2
    assert "was trained for sequences" in capsys.readouterr().err


def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = write_table(tmp_path / "words.tsv")
    options = ["train", "--recipe", "sequences_nano", "--data", str(table), "--out", str(tmp_path / "run")]
    for more, message in (
        (["--model", "transfomer"], "no sequence model is called 'transfomer'; did you mean transformer"),
        (["--model-fields", "dept=3"], "no field of transformer is called 'dept'; did you mean depth"),
        (["--model", "resnet18"], "resnet18 takes images, and the recipe sequences_nano is for sequences"),
        (["--weights", str(table)], "give the folder of a finished run of a sequence model"),
    ):
        assert main([*options, *more]) == 2
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("modernet:")]
        assert message in line
    images = ["train", "--data", "digit_scenes", "--model", "s4", "--out", str(tmp_path / "run")]
    assert main([*images, "--recipe", "small_images"]) == 2
    assert "s4 takes sequences, and the recipe small_images is for images" in capsys.readouterr().err
    table.write_text(table.read_text() + "one\ttwo\tthree\n")
    assert main(options) == 2
    assert "line 202 has 3 columns, not 2 as the header" in capsys.readouterr().err
    assert main(["train", "--data", "digit_scenes", "--recipe", "sequences", "--out", str(tmp_path / "images")]) == 2
    assert "digit_scenes" in capsys.readouterr().err
