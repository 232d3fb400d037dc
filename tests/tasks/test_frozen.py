from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from modernet.data import ImageDataset
from modernet.errors import InputError
from modernet.evaluation import evaluate_saved
from modernet.models import Backbone, create_model
from modernet.progress import shown
from modernet.recipes import for_classification, get_recipe
from modernet.tasks import load_network, train_classifier
from modernet.tasks.frozen import FrozenClassifier
from modernet.training.steps.param_groups import parameter_groups
from modernet.weights import NetworkSpec, save_network, weights_of_run

CPU = torch.device("cpu")
PROBE = for_classification(get_recipe("linear_probe")).replace(
    epochs=4,
    warmup_epochs=1.0,
    batch_size=16,
    crop_scale=1.0,
    flip=0.0,
    optimizer="adamw",
    lr=0.05,
    lr_batch=16,
    image_size=16,
)


def backbone(name: str) -> Backbone:
    torch.manual_seed(0)
    network = create_model(name, num_classes=2)
    assert isinstance(network, Backbone)
    return network


@pytest.mark.medium
@pytest.mark.parametrize(("name", "least"), [("resnet_test", 80.0), ("vit_test", 0.0)])
def test_only_the_classifier_is_trained_and_the_run_is_a_plain_network(
    name: str, least: float, stripes: ImageDataset, tmp_path: Path
) -> None:
    """Random patches do not tell stripes apart."""
    spec = NetworkSpec("model", name, {})
    before = backbone(name)
    save_network(tmp_path / "start", before, spec, ("cat", "dog"), stripes.preparation)
    start = weights_of_run(tmp_path / "start")
    record = train_classifier(spec, stripes, PROBE, start=start, folder=tmp_path / "run", device=CPU)
    after = load_file(tmp_path / "run" / "model.safetensors")
    changed = {key for key, value in before.state_dict().items() if not torch.equal(after[key], value)}

    classifier = before.classifier_name
    assert changed == {f"{classifier}.weight", f"{classifier}.bias"}
    assert record.metrics["test_top1"] >= least
    again = evaluate_saved(load_network(tmp_path / "run"), stripes)
    assert again.top1 == record.metrics["test_top1"]
    assert again.loss == pytest.approx(record.metrics["test_loss"], abs=1e-5)


@pytest.mark.medium
def test_any_recipe_trains_a_new_classifier_on_frozen_features(
    stripes: ImageDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also one with another rate for each layer, and also where the run knows the same classes."""
    spec = NetworkSpec("model", "resnet_test", {})
    before = backbone("resnet_test")
    save_network(tmp_path / "start", before, spec, stripes.classes, stripes.preparation)
    recipe = PROBE.replace(layer_decay=0.5, lr=0.0, epochs=1)
    with shown():
        start = weights_of_run(tmp_path / "start")
        record = train_classifier(spec, stripes, recipe, start=start, folder=tmp_path / "run", device=CPU)
    assert "the classifier is new" in capsys.readouterr().err
    assert record.settings["weights"]["classifier"] == "new"
    classifier = f"{before.classifier_name}.weight"
    after = load_file(tmp_path / "run" / "model.safetensors")
    assert not torch.equal(after[classifier], before.state_dict()[classifier])


def test_what_is_trained_has_the_whole_rate_whatever_the_decay() -> None:
    groups = parameter_groups(FrozenClassifier(backbone("resnet_test")), 0.1, layer_decay=0.5)
    assert [(group["lr_scale"], group["weight_decay"], len(group["params"])) for group in groups] == [
        (1.0, 0.1, 1),
        (1.0, 0.0, 1),
    ]


def test_the_batch_norm_becomes_a_part_of_the_classifier() -> None:
    network = FrozenClassifier(backbone("resnet_test"))
    images = 3 + torch.randn(8, 3, 32, 32)
    network.train()(images)  # which changes the statistics of the norm, and of no other
    assert not network.backbone.training
    network.eval()
    scores = network(images)

    torch.testing.assert_close(network.merged()(images), scores, rtol=1e-4, atol=1e-5)
    assert scores.std() > 1e-3


def test_a_classifier_that_is_not_one_linear_layer_is_refused() -> None:
    with pytest.raises(InputError, match=r"of a \w+ is not one linear layer, which frozen needs; use modernet probe"):
        FrozenClassifier(backbone("deit_test"))
