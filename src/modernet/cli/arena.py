"""`modernet arena`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from modernet.cli.options import MachineOptions, parse
from modernet.cli.output import print_json, print_report, print_table

if TYPE_CHECKING:
    from modernet.studies.arena import ArenaRequest


@dataclass(frozen=True)
class Options:
    """Run the Long Range Arena on this machine: sequence models by tasks, next to the published table.

    Examples:
      modernet arena                                                       short tasks, minutes on a laptop
      modernet arena --models transformer s4 --tasks listops --seeds 5
      modernet arena --self-pretrain masked                                each cell also pre-trained on its own inputs
      modernet arena --size published --tasks listops image --explain      what it would take
      modernet arena --size published --tasks retrieval:lra_release/tsv_data --recipe s4

    After Ctrl-C, the same command continues: finished runs are skipped, and another --models or --tasks adds to the
    table.
    """

    models: tuple[str, ...] = ("transformer", "linear", "s4", "s4d_lin")
    """Sequence models."""
    tasks: tuple[str, ...] = ("listops", "image", "pathfinder")
    """Of listops, text, retrieval, image, pathfinder and pathx; NAME:FOLDER reads the published files."""
    size: Literal["nano", "published"] = "nano"
    """nano has short versions of the tasks and small networks; published the full ones, for hours to weeks."""
    seeds: int = 3
    """Runs of each cell."""
    self_pretrain: Literal["masked", "next"] | None = None
    """Also train each cell after a pre-training on the task's own training sequences, which predicts masked steps or
    each next one."""
    recipe: str | None = None
    """Recipe of every run, or a family with one for each task, such as lra or s4; by default sequences_nano or
    sequences."""
    epochs: int | None = None
    """Epochs of every run; by default those of the recipe."""
    out: Path | None = None
    """Folder for records, chart and page; by default runs/arena-SIZE."""
    machines: MachineOptions = field(default_factory=MachineOptions)
    explain: bool = False
    """Print what would be trained and for how long, from the first steps of each network, and train nothing."""
    json: bool = False
    """Print JSON: a list of cells instead of a table; with --explain, an object with them and their sum."""


def main(arguments: Sequence[str]) -> int:
    options = parse(Options, "arena", arguments)
    from modernet import progress

    with progress.shown(), progress.bar("starting", 1):
        from modernet.studies import Machines
        from modernet.studies.arena import ArenaRequest, estimate_arena, run_arena
        from modernet.training import Interrupted

    request = ArenaRequest(
        options.models,
        options.tasks,
        options.size,
        options.seeds,
        options.self_pretrain,
        options.recipe,
        options.epochs,
    )
    machines = Machines(**vars(options.machines))
    folder = options.out or Path("runs") / f"arena-{options.size}"
    if options.explain:
        with progress.shown():
            estimate = estimate_arena(request, machines=machines)
        if options.json:
            print_json(estimate.as_json())
        else:
            print("\n".join([request.summary(), *estimate.lines()]))
        return 0
    try:
        with progress.shown():
            records = run_arena(request, machines=machines, folder=folder)
    except Interrupted as stopped:
        raise Interrupted(f"{stopped}; the same command continues in {folder}") from stopped
    _print(options, request, folder)
    return int(any(record.error is not None for record in records))


def _print(options: Options, request: ArenaRequest, folder: Path) -> None:
    """Print the table of everything in the folder that was trained by the same rules."""
    from modernet.records import read_records
    from modernet.report import arena_cells, arena_table, summarise_arenas

    (arena,) = (found for found in summarise_arenas(read_records(folder)) if found.rules == request.rules())
    if options.json:
        print_json(arena_cells(arena))
        return
    print_table(arena_table(arena))
    print_report(folder, "arena.png")
