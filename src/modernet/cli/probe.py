"""`modernet probe`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from modernet.cli.networks import check_model, check_named
from modernet.cli.options import parse
from modernet.cli.output import check_free_of_records, print_json, results
from modernet.errors import InputError
from modernet.files.names import valid_text
from modernet.records import RECORD_NAME, Record, is_run_path, read_network, worst_classes

if TYPE_CHECKING:
    from modernet.data import ImageDataset
    from modernet.evaluation.probing import Probes
    from modernet.tasks import NamedNetwork

_MOST_WORST = 5


@dataclass(frozen=True, kw_only=True)
class Options:
    """Tell what the features of a network are worth for your classes, without training it.

    Examples:
      modernet probe convnext_tiny.fb_in22k --data my_photos
      modernet probe runs/pretraining-train-vit_small_patch16-my_photos --data my_photos     a pre-trained run
      modernet probe mobilenet_v2 --weights mobilenet_v2-b0353104.pth --data my_photos --layer 5
      modernet probe mobilenet_v2 --random-weights --data my_photos                        what the images alone give

    The features of every image are computed once and cached; the weights of the network stay as they are. Two
    classifiers are fitted to those of the training images: logistic regression, and nearest neighbours. Their strength
    and their number of neighbours are chosen on the validation images; then both learn from these as well, and are
    tested on the test images.
    """

    network: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL|RUN")]
    """Network with published weights (downloaded once; see modernet weights) or with those of --weights, which need no
    classifier; or the folder of a finished run of any task on images, with a slash."""
    data: str
    """Images with classes: a folder (class/image, or train and test above it), shards, parquet, URL, hf:org/name, or a
    name; divided into training, validation and test as in training."""
    weights: Path | None = None
    """Weights for MODEL: a file or folder of its authors, timm, torchvision, transformers or OpenMMLab."""
    random_weights: bool = False
    """Take random weights instead, to compare with."""
    seed: int = 0
    """Seed of random weights."""
    layer: int | None = None
    """Feature map to take the mean of, from 0: a stage of most networks (of a ResNet, 0 is the stem), a block of a ViT;
    -1 is the last. By default the features are what the network's classifier takes."""
    batch_size: int = 128
    """Images per batch."""
    out: Path | None = None
    """Folder for the record: metrics, those of each class, and the confusion of classes. modernet report shows it."""
    skip_unreadable: bool = False
    """Skip images that cannot be read, and list them."""
    json: bool = False
    """Print JSON: an object with linear_top1, knn_top1 and, of more than five classes, linear_top5 and knn_top5, with
    the ends of their 95 % intervals (linear_top1_low, linear_top1_high), linear_loss and n; strength and k, which were
    chosen; and linear_top1/CLASS and knn_top1/CLASS.
    """


def main(arguments: Sequence[str]) -> None:
    options = parse(Options, "probe", arguments)
    _check(options)

    from modernet import progress
    from modernet.data import check_source, open_prepared
    from modernet.evaluation.probing import probe
    from modernet.evaluation.probing.results import KNN, LINEAR, metrics_of, per_class_of
    from modernet.machine.device import default_device
    from modernet.tasks import NamedNetwork

    check_source(options.data)
    with progress.shown():
        if options.random_weights:
            network = NamedNetwork.untrained(options.network, options.seed)
        else:
            network = NamedNetwork.load(options.network, options.weights, original=True, classifier=False)
        dataset = open_prepared(options.data, network.saved.preparation, skip_unreadable=options.skip_unreadable)
        probes = probe(
            network.saved, dataset, layer=options.layer, batch_size=options.batch_size, device=default_device()
        )
    metrics = metrics_of(probes, len(dataset.classes))
    if options.out is not None:
        _record(options, network, dataset, probes).write(options.out / RECORD_NAME)
    per_class = per_class_of(probes, dataset.classes)
    if options.json:
        of_classes = {
            f"{metric}/{name}": value
            for name, row in per_class.items()
            for metric, value in row.items()
            if metric != "n"
        }
        print_json({**metrics, "strength": probes.linear.chosen, "k": probes.knn.chosen, **of_classes})
        return
    weights = f"random weights, seed {options.seed}" if options.random_weights else network.weights
    found = f"{_features(options)} features, {probes.channels} channels"
    print(f"{_name(options, network)} ({weights}) on {options.data}: {found}")
    print(f"{results(LINEAR, metrics)}, strength {probes.linear.chosen:g}")
    print(f"{results(KNN, metrics)}, k {probes.knn.chosen}")
    print(f"chosen on {len(dataset.validation)} validation images, from {len(dataset.train)} training images")
    worst = worst_classes(per_class, LINEAR[0].name, _MOST_WORST)
    if worst:
        print("worst classes:")
    for name, row in worst:
        print(f"  {results((LINEAR[0], KNN[0]), row)}  {name}")


def _check(options: Options) -> None:
    """Check what can be checked before torch is imported.

    Raises:
        InputError: there is no such network, or options do not go together.
    """
    if not options.random_weights:
        check_named(options.network, options.weights)
    elif options.weights is not None:
        raise InputError("--weights and --random-weights are two choices; give one of them")
    elif is_run_path(options.network):
        read_network(Path(options.network))
    else:
        check_model(options.network)
    if options.out is not None:
        check_free_of_records(options.out)


def _name(options: Options, network: NamedNetwork) -> str:
    return network.saved.spec.name if is_run_path(options.network) else options.network


def _features(options: Options) -> str:
    return "pooled" if options.layer is None else f"layer {options.layer}"


def _record(options: Options, network: NamedNetwork, dataset: ImageDataset, probes: Probes) -> Record:
    """Make the record of the probes."""
    import torch

    from modernet.evaluation.probing.features import data_fingerprint
    from modernet.evaluation.probing.results import KNN, LINEAR, details_of, metrics_of
    from modernet.machine.device import default_device, describe
    from modernet.records import environment

    saved = network.saved
    metrics = {f"test_{name}": value for name, value in metrics_of(probes, len(dataset.classes)).items()}
    for name, each in (("linear", probes.linear), ("knn", probes.knn)):
        metrics[f"validation_{name}_top1"] = each.candidates[each.chosen]
    return Record(
        kind="probe",
        name=_name(options, network),
        settings={
            "task": saved.task,
            "model": saved.spec.name,
            "model_fields": saved.spec.fields,
            "run": None if network.run is None else valid_text(network.weights),
            "weights": {"file": valid_text(network.weights), "fingerprint": network.fingerprint()},
            "data": {**dataset.summary(), "fingerprint": data_fingerprint(dataset)},
            "features": _features(options),
            "channels": probes.channels,
            "preparation": asdict(saved.preparation),
        },
        metrics=metrics | {"validation_n": len(dataset.validation)},
        environment=environment(describe(default_device(), torch.get_num_threads())),
        task_metrics=(*LINEAR, *KNN),
        details=dict(details_of(probes, dataset.classes)),
    )
