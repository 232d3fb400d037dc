"""Several decisions of the road at once: the effect of each, and which of them help or harm each other.

A walk changes one decision at a time, so it cannot see that a decision is good only in combination with another. Here
every network is a ConvNeXt with some of the chosen decisions undone, as a fractional factorial prescribes
(`fraction.py`). `report/factorial` analyses the results.
"""

from __future__ import annotations

import os

from modernet import progress
from modernet.preparation import as_size
from modernet.recipes import Recipe
from modernet.records import Record
from modernet.report import FactorialPlace
from modernet.roadmap import DEFAULT_DECISIONS, default_stem_stride, road, select_decisions, switched
from modernet.studies.fraction import new_fraction
from modernet.studies.running.machines import LOCAL, Machines
from modernet.studies.runs import Run, Study, finish_runs, plan_runs
from modernet.weights import NetworkSpec


def run_factorial(
    data: str = "digit_scenes",
    *,
    size: str = "nano",
    decisions: str = DEFAULT_DECISIONS,
    seeds: int = 2,
    recipe: Recipe | None = None,
    stem_stride: int | None = None,
    skip_unreadable: bool = False,
    machines: Machines = LOCAL,
    folder: str | os.PathLike[str],
) -> list[Record]:
    """Train ConvNeXts with some of their decisions undone, and report each decision's effect and their interactions.

    Runs that are finished in `folder` are skipped, and unfinished ones resume from their checkpoints. A failed run is
    reported, and the others continue. The folder gets a record per run, `factorial.png` and `report.html`.

    Args:
        data: the images, as `open_dataset` takes them.
        size: `nano`, `tiny` (ConvNeXt-T) or `base` (ConvNeXt-B); decisions that are not chosen are as in that ConvNeXt.
        decisions: names of steps of the road, 2 to 12, such as `"gelu,layer_norm"`. A decision that is undone is as in
            the road before its step. There are 4, 8 or 16 networks for 2, 3 or 4 decisions, 16 for 5, and 32 for more.
        seeds: runs of each network, with seeds 0, 1, ... The spread between seeds gives the error of the effects, so
            one seed gives no intervals.
        recipe: recipe of every run. Default: the `default_recipe` of the data.
        stem_stride: stride of every stem. Default: `default_stem_stride` of the image size.
        skip_unreadable, machines: as in `walk_road`.

    Returns:
        The records, including failed runs, in the order of networks and seeds.

    Raises:
        InputError: an argument is out of range, the decisions cannot be switched independently, the images or the
            cluster cannot be used, or `folder` contains another study.
        Interrupted: Ctrl-C; the same call resumes.
    """
    chosen = select_decisions(size, decisions)
    fraction = new_fraction(len(chosen))
    study = Study.begin(
        data,
        seeds=seeds,
        recipe=recipe,
        skip_unreadable=skip_unreadable,
        machines=machines,
        one_core=size == "nano",
        folder=folder,
    )
    stride = default_stem_stride(min(as_size(study.images().image_size))) if stem_stride is None else stem_stride
    end = road(size, stem_stride=stride)[-1].design

    runs: list[Run] = []
    for network, levels in enumerate(progress.track(fraction, "counting operations", len(fraction))):
        place = FactorialPlace(
            size=size,
            network=network,
            networks=len(fraction),
            decisions={decision.name: decision.title for decision in chosen},
            levels={decision.name: level for decision, level in zip(chosen, levels, strict=True)},
        )
        signs = "".join("+" if level > 0 else "−" for level in levels)
        spec = NetworkSpec.of_design(f"network {signs}", switched(end, chosen, levels))
        runs += plan_runs(study, f"network-{network:02d}", spec, study.recipe, place.to_settings())
    return finish_runs(study, runs, "trying combinations")
