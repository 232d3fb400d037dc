"""Several decisions of the road at once: what each does among the others, and which of them help or harm each other.

A walk changes one thing at a time, so it cannot see that a decision is good only beside another one. Here every network
is a ConvNeXt with some of the chosen decisions undone, as a fractional factorial says which (`fraction.py`); what comes
out is analysed in `report/factorial/effects.py`.
"""

from __future__ import annotations

import os

import torch

from modernet import progress
from modernet.recipes import Recipe
from modernet.records import Record
from modernet.report import FactorialPlace
from modernet.roadmap import DEFAULT_DECISIONS, default_stem_stride, road, select_decisions, switched
from modernet.studies.fraction import new_fraction
from modernet.studies.runs import Run, Study, finish_runs


def run_factorial(
    data: str = "digit_scenes",
    *,
    size: str = "nano",
    decisions: str = DEFAULT_DECISIONS,
    seeds: int = 2,
    recipe: Recipe | None = None,
    stem_stride: int | None = None,
    skip_unreadable: bool = False,
    workers: int | None = None,
    device: torch.device | None = None,
    cluster: str | None = None,
    run_cpus: int | None = None,
    run_gpus: float | None = None,
    folder: str | os.PathLike[str],
) -> list[Record]:
    """Train ConvNeXts with some of their decisions undone, and report each decision's effect and their interactions.

    A run that is finished in `folder` is not trained again, an unfinished one goes on from its checkpoint, and one that
    fails is reported while the rest goes on. The folder gets a record for each run, `factorial.png` and `report.html`.

    Args:
        data: what `open_dataset` opens.
        size: `nano`, `tiny` (ConvNeXt-T) or `base` (ConvNeXt-B); decisions that are not chosen are as in that ConvNeXt.
        decisions: names of steps of the road, 2 to 12, such as `"gelu,layer_norm"`. A decision that is undone has what
            the road had before its step. There are 4, 8 or 16 networks for 2, 3 or 4 decisions, 16 for 5, and 32 for
            more.
        seeds: trainings of each network, with seeds 0, 1, ...; what they differ by is the error of the effects, so one
            seed gives no intervals.
        recipe: of every run; None is the `default_recipe` of the data.
        stem_stride: of every network; None goes by the size of the images.
        skip_unreadable, workers, device, cluster, run_cpus, run_gpus: as in `walk_road`.

    Returns:
        The records, those of failed runs included, in the order of networks and seeds.

    Raises:
        InputError: an argument is out of range, the decisions cannot be switched apart, the images or the cluster
            cannot be used, or `folder` holds another study.
        Interrupted: Ctrl-C; the same call goes on.
    """
    chosen = select_decisions(size, decisions)
    fraction = new_fraction(len(chosen))
    study = Study.begin(
        data,
        size=size,
        seeds=seeds,
        recipe=recipe,
        skip_unreadable=skip_unreadable,
        workers=workers,
        device=device,
        cluster=cluster,
        run_cpus=run_cpus,
        run_gpus=run_gpus,
        folder=folder,
    )
    stride = default_stem_stride(study.images().image_size) if stem_stride is None else stem_stride
    end = road(size, stem_stride=stride)[-1].design

    def plan(network: int, seed: int) -> Run:
        levels = fraction[network]
        place = FactorialPlace(
            size=size,
            network=network,
            networks=len(fraction),
            decisions={decision.name: decision.title for decision in chosen},
            levels={decision.name: level for decision, level in zip(chosen, levels, strict=True)},
        )
        signs = "".join("+" if level > 0 else "−" for level in levels)
        design = switched(end, chosen, levels)
        folder = f"network-{network:02d}"
        return Run.of_design(study, folder, f"network {signs}", design, study.recipe, seed, place.to_settings())

    # a study that is stopped has every network once
    places = [(network, seed) for seed in range(seeds) for network in range(len(fraction))]
    runs = [plan(*place) for place in progress.track(places, "counting operations", len(places))]
    records = finish_runs(study, runs, "trying combinations")
    return sorted(records, key=lambda record: (record.settings["network"], record.settings["seed"]))
