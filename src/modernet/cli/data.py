"""`modernet data check`, `modernet data pack` and `modernet data corrupt`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from modernet.cli.options import parse
from modernet.cli.output import print_json, print_table, simple_table
from modernet.errors import InputError, unknown_name

_HELP = """\
usage: modernet data check FOLDER
       modernet data pack FOLDER OUT
       modernet data corrupt FOLDER OUT --corruption NAME | --suite c

Examples:
  modernet data check my_photos                    unreadable images, copies in train and test, doubtful classes
  modernet data pack imagenet shards               tar shards with an index, for fast disks and for HTTP
  modernet data corrupt imagenet out --suite c     the images of ImageNet-C, in its layout

For more, see modernet data VERB --help.
"""
_MOST_SHOWN = 10  # findings of a kind in the table


@dataclass(frozen=True)
class CheckOptions:
    """Check every image of a data set, and list what would spoil a training or its result.

    Examples:
      modernet data check my_photos
      modernet data check my_photos --json > findings.json

    It finds images that cannot be read, the same image in two splits or two classes, images of two splits that look
    alike, odd sizes, and classes with similar names, with few images, or without any in a split; of label maps and
    boxes also what is wrong in their files, with file and line. The exit code is 1 if it finds anything.
    """

    data: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
    """Images: a folder (class/image, or train and test above it; with label maps or boxes), shards, parquet, a name, or
    a json file of COCO's form or a data.yaml, as for --data."""
    json: bool = False
    """Print JSON: an object with images, splits, counts and found, a list of objects with kind, subject, detail. For
    boxes also objects (the number of each class) and images_without_objects."""


@dataclass(frozen=True)
class PackOptions:
    """Write a data set as tar shards in WebDataset's layout, with an index so that they open instantly.

    Examples:
      modernet data pack imagenet /fast/imagenet
      modernet train --data /fast/imagenet
      modernet train --data https://host/imagenet       the same folder behind a web server

    Image files are copied unchanged. Each split is shuffled once, so that every shard is a fair mix. After Ctrl-C, the
    same command keeps the finished shards.
    """

    data: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
    """Images: a folder (class/image, or train and test above it), shards, parquet, or a name, as for --data."""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
    """Folder for the shards."""
    shard_size_mb: int = 500
    """Approximate size of a shard."""


@dataclass(frozen=True)
class CorruptOptions:
    """Write the images of a data set corrupted: as JPEG files, in the layout of ImageNet-C.

    Examples:
      modernet data corrupt my_photos corrupted --corruption gaussian_noise fog --severity 3
      modernet data corrupt imagenet imagenet-c --suite c --frost photographs_of_frost

    They are those of the test split, or all of a set without splits: scaled to a shorter side of 256 pixels, cut to the
    central 224, corrupted, and written to FOLDER/CORRUPTION/SEVERITY/CLASS/NAME.JPEG. Sets of images of at most 64
    pixels keep their size. After Ctrl-C, the same command keeps the finished images.
    """

    data: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
    """Images: a folder (class/image, or train and test above it), shards, parquet, or a name, as for --data."""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
    """Folder for the images."""
    corruption: tuple[str, ...] = ()
    """Corruptions, by their published names."""
    suite: tuple[Literal["c", "extra", "cbar"], ...] = ()
    """All corruptions of a suite: the 15 of ImageNet-C, its 4 others, the 10 of ImageNet-C-bar."""
    severity: tuple[int, ...] = (1, 2, 3, 4, 5)
    """Severities, 1 to 5."""
    seed: int = 0
    """Of everything random."""
    frost: Path | None = None
    """Folder with the six photographs of frost of ImageNet-C; without it, frost is synthesised."""
    skip_unreadable: bool = False
    """Skip images that cannot be read, and list them."""


def main(arguments: Sequence[str]) -> int:
    verb, *rest = [*arguments] or ["--help"]
    match verb:
        case "check":
            return _check(rest)
        case "pack":
            return _pack(rest)
        case "corrupt":
            return _corrupt(rest)
        case "-h" | "--help":
            print(_HELP, end="")
            return 0
    raise unknown_name("verb of modernet data", verb, ("check", "pack", "corrupt"))


def _check(arguments: Sequence[str]) -> int:
    options = parse(CheckOptions, "data check", arguments)

    from modernet import progress
    from modernet.data.checking.check import check_images
    from modernet.data.checking.findings import KINDS

    with progress.shown():
        findings = check_images(options.data)
    counts = findings.counts()
    if options.json:
        found = [asdict(finding) for finding in findings.found]
        content = {"images": findings.images, "splits": findings.splits, "counts": counts, "found": found}
        if findings.objects is not None:
            content |= {"objects": findings.objects, "images_without_objects": findings.without_objects}
        print_json(content)
        return 1 if found else 0
    for kind, count in counts.items():
        of_kind = [finding for finding in findings.found if finding.kind == kind]
        rows = [[finding.subject, finding.detail] for finding in of_kind[:_MOST_SHOWN]]
        if count > _MOST_SHOWN:
            rows.append([f"... and {count - _MOST_SHOWN} more (--json has all)", ""])
        print_table(simple_table(f"{kind} ({count}): {KINDS[kind]}", {"subject": False, "problem": False}, rows))
    without = ""
    if findings.objects is not None:
        by_number = sorted(findings.objects.items(), key=lambda item: -item[1])
        rows = [[name, str(count)] for name, count in by_number[:_MOST_SHOWN]]
        if len(by_number) > _MOST_SHOWN:
            rows.append([f"... and {len(by_number) - _MOST_SHOWN} more classes (--json has all)", ""])
        title = f"objects ({sum(findings.objects.values())})"
        print_table(simple_table(title, {"class": False, "objects": True}, rows))
        without = f", {findings.without_objects} of them without objects"
    total = len(findings.found)
    verdict = f"{total} problem{'' if total == 1 else 's'}" if total else "no problems"
    print(f"{options.data}: {verdict} in {findings.images} images{without} ({findings.splits})")
    return 1 if total else 0


def _pack(arguments: Sequence[str]) -> int:
    options = parse(PackOptions, "data pack", arguments)

    from modernet import progress
    from modernet.data import pack_dataset

    with progress.shown():
        packed = pack_dataset(options.data, options.out, shard_size_mb=options.shard_size_mb)
    kept = f", {packed.kept} of them already finished" if packed.kept else ""
    print(
        f"{packed.images} images in {packed.shards} shards{kept}, {packed.size / 2**20:.0f} MB; "
        f"open them with --data {packed.folder}"
    )
    return 0


def _corrupt(arguments: Sequence[str]) -> int:
    options = parse(CorruptOptions, "data corrupt", arguments)
    if not options.corruption and not options.suite:
        raise InputError("data corrupt needs corruptions; give --corruption, such as gaussian_noise, or --suite c")

    from modernet import progress
    from modernet.data.corrupting.write import write_corrupted
    from modernet.data.transforms.corruptions import suite_names

    corruptions = [*suite_names(*options.suite), *options.corruption]
    with progress.shown():
        written = write_corrupted(
            options.data,
            options.out,
            corruptions,
            options.severity,
            seed=options.seed,
            frost=options.frost,
            skip_unreadable=options.skip_unreadable,
        )
    kept = f", kept {written.kept} that existed" if written.kept else ""
    skipped = f"; skipped {len(written.unreadable)} that cannot be read" if written.unreadable else ""
    print(f"{written.images} corrupted images written to {written.folder}{kept}{skipped}")
    return 0
