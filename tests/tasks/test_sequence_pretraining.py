"""Self-pretraining of sequence models: what is predicted, what is hidden, and what it is a start for."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from modernet.cli import main
from modernet.errors import InputError
from modernet.recipes import Execution, SequencePretrainingRecipe, get_recipe
from modernet.tasks.sequence_pretraining import (
    NumberPretraining,
    SequencePretraining,
    build_network,
    pretrain_sequences,
)
from modernet.tasks.sequence_runs import with_inputs
from modernet.tasks.sequences import train_sequences
from modernet.training import Interrupted, RunContext
from modernet.weights import weights_of_run
from small_sequences import SPEC, dataset, numbers, write_table

CPU = torch.device("cpu")
RECIPE = get_recipe("self_pretraining_image").replace(epochs=2, batch_size=16, warmup_epochs=0.5)
assert isinstance(RECIPE, SequencePretrainingRecipe)
CAUSAL = replace(SPEC, fields={**SPEC.fields, "causal": True, "pool": "last"})


def task(spec=SPEC, data=None, **changes) -> SequencePretraining:  # type: ignore[no-untyped-def]
    data = data or dataset()
    kind = SequencePretraining if data.encoding.inputs.vocabulary else NumberPretraining
    torch.manual_seed(0)
    network = build_network(with_inputs(spec, data), 2)
    return kind(network, spec, data, RECIPE, RunContext(CPU, **changes))


def value(tensor: torch.Tensor) -> float:
    return float(tensor.detach())


def test_hidden_steps_are_predicted_by_cross_entropy_and_no_others() -> None:
    hiding = task()
    batch = next(hiding.batches.batches())
    (tower,), (hidden,) = batch.batch.towers, batch.hidden
    real = torch.arange(tower.values.shape[1]) < tower.lengths[:, None]
    chosen = real & hidden
    loss, _ = hiding.loss(hiding.network, batch)
    (logits,) = hiding.network(*batch.inputs)
    by_hand = -logits.log_softmax(-1)[chosen].gather(1, tower.values[chosen][:, None]).mean()

    assert 0 < chosen.sum() < real.sum()
    assert value(hiding.weight(batch)) == chosen.sum()
    assert value(loss) == pytest.approx(value(by_hand), rel=1e-5)
    other = tower.values.where(~chosen, 1)
    assert torch.equal(hiding.network(other, tower.lengths, hidden)[0], logits)

    nothing = batch._replace(hidden=(torch.zeros_like(hidden),))
    loss, _ = hiding.loss(hiding.network, nothing)
    assert value(loss) == value(hiding.weight(nothing)) == 0


def test_numbers_are_predicted_by_their_absolute_error() -> None:
    hiding = task(data=numbers())
    batch = next(hiding.batches.batches())
    (tower,), (hidden,) = batch.batch.towers, batch.hidden
    chosen = (torch.arange(tower.values.shape[1]) < tower.lengths[:, None]) & hidden
    loss, _ = hiding.loss(hiding.network, batch)
    (answers,) = hiding.network(*batch.inputs)

    assert value(loss) == pytest.approx(value((answers - tower.values)[chosen].abs().mean()), rel=1e-5)
    measured = hiding.evaluate(hiding.network, "test")
    assert set(measured) == {"r2", "loss", "n"}
    assert measured["n"] == 38


def test_a_causal_model_predicts_each_next_step() -> None:
    causal = task(CAUSAL)
    batch = next(causal.batches.batches())
    ((values, lengths),), (hidden,) = batch.batch.towers, batch.hidden
    loss, _ = causal.loss(causal.network, batch)
    (logits,) = causal.network(values, lengths, hidden)
    rows = [logits[i, : n - 1].log_softmax(-1).gather(1, values[i, 1:n, None]) for i, n in enumerate(lengths.tolist())]

    assert not hidden.any()
    assert value(causal.weight(batch)) == (lengths - 1).sum()
    assert value(loss) == pytest.approx(value(-torch.cat(rows).mean()), rel=1e-5)


def test_what_is_hidden_depends_on_seed_epoch_and_position_alone() -> None:
    whole = {}
    for batch in task().batches.batches(epoch=1):
        for position, hidden in zip(batch.batch.positions.tolist(), batch.hidden[0], strict=True):
            whole[position] = hidden
    divided = task(micro_batches=2).batches
    assert divided.micro_batches_per_step == 2
    for batch in divided.batches(epoch=1, first_step=2):
        for position, hidden in zip(batch.batch.positions.tolist(), batch.hidden[0], strict=True):
            n = min(len(hidden), len(whole[position]))
            assert torch.equal(hidden[:n], whole[position][:n])
    first = next(task().batches.batches(epoch=0))
    assert any(
        not torch.equal(hidden[:3], whole[position][:3])
        for position, hidden in zip(first.batch.positions.tolist(), first.hidden[0], strict=True)
    )


@pytest.mark.parametrize("spec", [SPEC, CAUSAL], ids=["masked", "next"])
def test_it_learns_resumes_and_is_a_start_for_classification(spec, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    whole = pretrain_sequences(spec, dataset(), RECIPE, folder=tmp_path / "whole", device=CPU)
    asked = itertools.count(1)
    with pytest.raises(Interrupted):
        pretrain_sequences(
            spec, dataset(), RECIPE, folder=tmp_path / "run", device=CPU, should_stop=lambda: next(asked) >= 4
        )
    resumed = pretrain_sequences(spec, dataset(), RECIPE, folder=tmp_path / "run", device=CPU)
    assert [row["train_loss"] for row in resumed.history] == [row["train_loss"] for row in whole.history]
    assert resumed.metrics["test_loss"] == whole.metrics["test_loss"]
    assert whole.history[1]["train_loss"] < whole.history[0]["train_loss"]
    parts = pretrain_sequences(
        spec, dataset(), RECIPE, folder=tmp_path / "parts", device=CPU, execution=Execution(device_batch=4)
    )
    assert parts.history[1]["train_loss"] == pytest.approx(whole.history[1]["train_loss"], rel=1e-3)

    standing = get_recipe("sequences_nano").replace(epochs=1, lr=0.0, dynamics_lr=0.0, warmup_epochs=0.0)
    start = weights_of_run(tmp_path / "whole")
    record = train_sequences(spec, dataset(), standing, start=start, folder=tmp_path / "classes", device=CPU)
    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "classes"))
    shared = {name for name in before if not name.startswith(("head.", "hidden"))}
    assert shared
    assert shared == {name for name in after if not name.startswith("head.")}
    assert all(torch.equal(before[name], after[name]) for name in shared)
    assert record.settings["weights"]["classifier"] == "new"


@pytest.mark.medium
def test_the_verbs_serve_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, run = write_table(tmp_path / "words.tsv"), tmp_path / "run"
    options = ["--data", str(table), "--epochs", "1", "--batch-size", "16"]
    fields = ["--model-fields", "depth=1", "width=16", "heads=2", "mlp_width=16"]
    recipe = ["--recipe", "self_pretraining_text"]
    assert main(["train", *recipe, *options, *fields, "--out", str(run)]) == 0
    assert "test accuracy of predicted steps" in capsys.readouterr().out
    assert (
        main(["train", "--recipe", "sequences_nano", *options, "--model", str(run), "--out", str(tmp_path / "a")]) == 0
    )
    assert "the classifier is new" in capsys.readouterr().err
    weights = ["--model", "transformer", *fields, "--weights", str(run)]
    assert main(["train", "--recipe", "sequences_nano", *options, *weights, "--out", str(tmp_path / "b")]) == 0
    capsys.readouterr()
    for verb in (["evaluate", str(run), "--data", str(table)], ["predict", str(run), str(table)]):
        assert main(verb) == 2
        assert "a self-pretrained network has no classes" in capsys.readouterr().err
    assert main(["report", str(run)]) == 0


def test_a_run_of_images_is_no_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--recipe", "sequences", "--model", str(tmp_path / "none"), "--data", "listops-nano"]) == 2
    assert "no trained network in" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"masked_share is 0; it must be from 0\.001 to 0\.999"):
        RECIPE.replace(masked_share=0)
