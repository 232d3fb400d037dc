"""`modernet card`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from modernet.cli.options import parse
from modernet.errors import InputError

CARD_NAME = "README.md"
_STDOUT = "-"


@dataclass(frozen=True)
class Options:
    """Write the model card of a run for the Hugging Face Hub: its metadata (model-index) and a text, from records.

    Examples:
      modernet card runs/train-resnet18-my_photos --licence apache-2.0      writes README.md beside the weights
      modernet card runs/train-resnet18-my_photos --records runs            with its evaluations, robustness and speed
      modernet card runs/train-resnet18-my_photos --out -                   prints it

    What the records do not say is left out, and the card lists it: no licence is guessed.
    """

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Folder of a finished run."""
    records: tuple[Path, ...] = ()
    """Folders with records of modernet evaluate, robustness and benchmark; those of this run are used."""
    licence: str | None = None
    """Licence of the trained weights, by the Hub's name: apache-2.0, cc-by-4.0, other."""
    out: str | None = None
    """File to write, by default README.md in the run's folder; - prints. A file that modernet card did not write, or
    that was edited since, is left alone."""


def main(arguments: Sequence[str]) -> None:
    options = parse(Options, "card", arguments)

    from modernet.files.atomic import whole_file
    from modernet.files.names import valid_text
    from modernet.records import RECORD_NAME, read_network, read_record, read_records
    from modernet.report.card import Card, model_card, records_of

    _check_licence(options.licence)
    network = read_network(options.run)
    run = read_record(options.run / RECORD_NAME)
    if run.kind != "train":
        raise InputError(f"{options.run} has the record of {run.kind}, not of a training; give the folder of a run")
    target = options.run / CARD_NAME if options.out is None else Path(options.out)
    if options.out != _STDOUT:
        _check_own(target)
    folder = valid_text(options.run.resolve().name)
    tests = [record for place in options.records for record in records_of(run, folder, read_records(place))]
    if options.records and not tests:
        raise InputError(
            f"no record in {', '.join(map(str, options.records))} is a test of {folder}; give the --out folders of "
            f"modernet evaluate, robustness or benchmark {options.run}"
        )
    content = model_card(Card(folder, run, network, tests, options.licence))
    if options.out == _STDOUT:
        print(content, end="")
        return
    with whole_file(target) as unfinished:
        unfinished.write_text(content, encoding="utf-8")
    print(target)


def _check_licence(licence: str | None) -> None:
    """Check that a licence has the form of the Hub's names.

    Raises:
        InputError: it has not.
    """
    if licence is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", licence):
        raise InputError(
            f"--licence is {licence!r}; give the Hub's name of one, such as apache-2.0, cc-by-4.0 or other"
        )


def _check_own(target: Path) -> None:
    """Check that a file is not there, or a card that nobody edited.

    Raises:
        InputError: it is another file.
    """
    from modernet.report.card import is_own_card

    if target.is_dir():
        raise InputError(f"{target} is a folder; give a file, such as {target / CARD_NAME}")
    if target.exists() and not is_own_card(target.read_text(encoding="utf-8", errors="replace")):
        raise InputError(
            f"{target} was not written by modernet card, or edited since; give another --out, or remove it"
        )
