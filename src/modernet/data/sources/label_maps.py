"""Read folders of label maps, after every map has been looked at once."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from modernet.data.images.decoding import UnreadableImage, upright_size
from modernet.data.images.files import ImageFiles
from modernet.data.images.label_files import LabelCode, LabelFiles, read_values
from modernet.data.images.views import IGNORE
from modernet.data.sources.examples import Examples, Source, all_of
from modernet.data.sources.label_layouts import LABEL_LAYOUTS, LabelFolder, Pair, find_label_folder
from modernet.data.sources.listing import COARSEST_CLOCK_NS
from modernet.data.targets import SemanticTargets
from modernet.errors import InputError
from modernet.files.atomic import whole_file
from modernet.files.cache import cache_folder, only_one
from modernet.files.names import valid_text
from modernet.machine.cores import decoding_workers
from modernet.progress import say, track

_CHUNK = 32
_MOST_THREADS = 16
_LISTED = 8
_WORTH_KEEPING = 100  # maps; fewer are read quickly


class Problem(NamedTuple):
    """What is wrong with an image or its map."""

    path: str
    reason: str


class Survey(NamedTuple):
    """What the label maps of a folder hold.

    Attributes:
        counts: stored value, or colour as 0xRRGGBB -> number of pixels.
        problems: of single files, in order.
        classes: names of the classes.
        code: what the stored values mean; None where they mean nothing.
    """

    counts: Counter[int]
    problems: tuple[Problem, ...]
    classes: tuple[str, ...]
    code: LabelCode | None


def read_label_folder(path: Path, *, to_learn: bool = True) -> Source:
    """Read a folder of images with label maps, in one of `LABEL_LAYOUTS`.

    Classes come from a class file (`class_files.CLASS_FILES`) or the layout (ADE20K, Cityscapes, SegNet's CamVid);
    otherwise they are the values from 0 to the largest. 255 is ignored, as are classes called void or unlabelled, 0 in
    ADE20K, and what Cityscapes does not evaluate. Every map is read once, so that nothing stops an epoch.

    Args:
        to_learn: whether a network is to learn from it. If not, it needs no training split.

    Raises:
        InputError: it is no such folder, or a map is missing, of another size than its image, or holds a value that is
            no class.
    """
    folder = find_label_folder(path, to_learn=to_learn)
    if folder is None:
        raise InputError(f"{path} has no semantic targets; known are {LABEL_LAYOUTS}")
    survey = survey_labels(folder)
    if survey.problems:
        first, *others = survey.problems
        more = f" (and {len(others)} more: modernet data check lists all)" if others else ""
        raise InputError(f"{first.path}: {first.reason}{more}")
    assert survey.code is not None
    say(f"{valid_text(path.name)}: {_shares(survey)}")
    splits = {split: _examples(folder.path, pairs, survey.code) for split, pairs in folder.pairs.items()}
    return Source(path, survey.classes, splits.get("train"), splits.get("validation"), splits.get("test"))


def survey_labels(folder: LabelFolder) -> Survey:
    """Read every label map, count its values, and compare it with its image.

    Of many maps, what they hold is kept in the cache folder, and only those that have changed are read again.
    """
    pairs = [pair for of_split in folder.pairs.values() for pair in of_split]
    coloured = folder.code is not None and folder.code.coloured
    found = _looks(folder.path, pairs, coloured)
    counts: Counter[int] = Counter()
    for look in found:
        counts.update(look.counts)
    names, code = folder.classes, folder.code
    if code is None or names is None:
        values = sorted(value for value in counts if value != IGNORE)
        if len(values) < 2 or values[-1] >= IGNORE:
            problems = [problem for look in found for problem in look.problems]
            worst = [
                pair.label_map for pair, look in zip(pairs, found, strict=True) if max(look.counts, default=0) > IGNORE
            ]
            where = worst[0] if worst else folder.path
            return Survey(counts, tuple(problems or [Problem(str(where), _not_classes(counts))]), (), None)
        names = tuple(map(str, range(values[-1] + 1)))
        code = LabelCode({**{value: value for value in range(len(names))}, IGNORE: IGNORE}, coloured=False)
    problems = []
    for pair, look in zip(pairs, found, strict=True):
        unknown = Counter({v: n for v, n in look.counts.items() if code.decode(np.array([v]))[0] < 0})
        problems += look.problems
        if unknown:
            problems.append(Problem(valid_text(str(pair.label_map)), _unknown(unknown, code, len(names))))
    return Survey(counts, tuple(problems), names, code)


class _Look(NamedTuple):
    counts: Counter[int]
    problems: list[Problem]


def _looks(folder: Path, pairs: Sequence[Pair], coloured: bool) -> list[_Look]:
    """Look at pairs, or take what is kept of them from the cache."""
    name = f"{folder.name}-{sha256(os.fsencode(folder.resolve())).hexdigest()[:16]}.json"
    file, began_ns = cache_folder() / "label-maps" / name, time.time_ns()
    kept = _kept(file)
    states = [_state(pair, coloured, before_ns=began_ns - COARSEST_CLOCK_NS) for pair in pairs]
    unknown = [pair for pair, state in zip(pairs, states, strict=True) if state not in kept]
    new = iter(list(_looked_at(unknown, coloured, f"reading the label maps of {folder}")) if unknown else [])
    looks = [_Look(Counter(dict(kept[state])), []) if state in kept else next(new) for state in states]
    if unknown and len(pairs) >= _WORTH_KEEPING:
        good = {
            state: list(look.counts.items())
            for state, look in zip(states, looks, strict=True)
            if state and not look.problems
        }
        _keep(file, good)
    return looks


def _state(pair: Pair, coloured: bool, before_ns: int) -> str:
    """Return what changes with an image or its map; empty if either is missing, or so new that it may still change."""
    if pair.label_map is None:
        return ""
    parts = [str(coloured)]
    for path in (pair.label_map, pair.image):
        try:
            found = path.stat()
        except OSError:
            return ""  # reported when it is read
        if found.st_mtime_ns >= before_ns:
            return ""
        parts += [str(path), str(found.st_size), str(found.st_mtime_ns)]
    return "\0".join(parts)


def _kept(file: Path) -> dict[str, list[tuple[int, int]]]:
    """Return the values and their counts of every state of a map that was kept."""
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # missing or damaged
        return {}
    return kept if isinstance(kept, dict) else {}


def _keep(file: Path, good: Mapping[str, Sequence[tuple[int, int]]]) -> None:
    try:
        with only_one(file), whole_file(file) as unfinished:
            unfinished.write_text(json.dumps(good), encoding="utf-8")
    except OSError as error:  # only time is lost
        say(f"cannot cache what label maps hold in {file.parent} ({error.strerror or error}); they are read each time")


def _looked_at(pairs: Sequence[Pair], coloured: bool, task: str) -> Iterator[_Look]:
    with ThreadPoolExecutor(decoding_workers(_MOST_THREADS)) as threads:
        chunks = [pairs[start : start + _CHUNK] for start in range(0, len(pairs), _CHUNK)]
        looks = threads.map(lambda chunk: [_look(pair, coloured) for pair in chunk], chunks)
        try:
            for chunk in track(looks, task, len(chunks)):
                yield from chunk
        finally:
            threads.shutdown(cancel_futures=True)  # or Ctrl-C would wait for every chunk


def _look(pair: Pair, coloured: bool) -> _Look:
    if pair.label_map is None:
        missing = Problem(valid_text(str(pair.image)), "it has no label map of its name; add one, or remove the image")
        return _Look(Counter(), [missing])
    try:
        values = read_values(pair.label_map, coloured=coloured)
    except UnreadableImage as error:
        return _Look(Counter(), [Problem(error.name, error.reason)])
    stored, counts = np.unique(values, return_counts=True)
    found = Counter(dict(zip(stored.tolist(), counts.tolist(), strict=True)))
    problems = []
    try:
        size, turned = upright_size(pair.image)
    except UnreadableImage:
        return _Look(found, [])  # reported when it is decoded
    if values.shape != size:
        h, w = values.shape
        why = "; that is its size before its EXIF rotation: turn the map as well" if turned and size == (w, h) else ""
        image = valid_text(pair.image.name)
        reason = f"it has {h}x{w} pixels, its image {image} {size[0]}x{size[1]}{why}"
        problems.append(Problem(valid_text(str(pair.label_map)), reason))
    return _Look(found, problems)


def _shares(survey: Survey) -> str:
    """Describe the classes by their share of the pixels, the largest first."""
    assert survey.code is not None
    pixels: Counter[int] = Counter()
    for value, count in survey.counts.items():
        pixels[int(survey.code.decode(np.array([value]))[0])] += count
    total = max(pixels.total(), 1)
    ignored = pixels.pop(IGNORE, 0)
    shares = [f"{survey.classes[label]} {100 * n / total:.1f} %" for label, n in pixels.most_common(_LISTED)]
    more = [f"{len(pixels) - _LISTED} more"] if len(pixels) > _LISTED else []
    absent = len(survey.classes) - len(pixels)
    notes = [f"ignored {100 * ignored / total:.1f} %"] if ignored else []
    notes += [f"{absent} classes without a pixel"] if absent else []
    return f"{len(survey.classes)} classes: {', '.join([*shares, *more])}" + "".join(f"; {note}" for note in notes)


def _unknown(values: Counter[int], code: LabelCode, classes: int) -> str:
    """Say which values of a map are no class."""
    if code.coloured:
        return (
            f"{values.total()} pixels have colours that are no class: {_listed(values, coloured=True)}; add them to "
            "the list of classes, or resize maps with nearest neighbours and save them as PNG"
        )
    hint = "; 16-bit maps hold instances as a rule: give maps of classes" if max(values) > IGNORE else ""
    return f"it holds values that are none of the {classes} classes: {_listed(values)}{hint}"


def _not_classes(counts: Counter[int]) -> str:
    """Say why the values of all maps are no classes 0, 1, ..."""
    what = "label maps hold"
    if set(counts) == {0, IGNORE}:
        return (
            f"{what} 0 and 255 alone, which is ignored; list both in class_dict.csv: background,0,0,0 and "
            "object,255,255,255"
        )
    if max(counts) > IGNORE:
        return f"{what} values up to {max(counts)}, as instances do ({_listed(counts)}); give maps of classes 0 ... 254"
    return f"{what} one class only ({_listed(counts)}); segmentation needs at least two"


def _listed(values: Counter[int], coloured: bool = False) -> str:
    shown = [
        f"{f'({v >> 16}, {v >> 8 & 255}, {v & 255})' if coloured else v} ({n} pixels)"
        for v, n in values.most_common(_LISTED)
    ]
    return ", ".join([*shown, *([f"{len(values) - _LISTED} more"] if len(values) > _LISTED else [])])


def _examples(folder: Path, pairs: Sequence[Pair], code: LabelCode) -> Examples:
    maps = [os.path.relpath(pair.label_map or "", folder) for pair in pairs]
    images = image_files(folder, [pair.image for pair in pairs])
    return all_of(images, SemanticTargets(LabelFiles(folder, maps, code), np.arange(len(maps))))


def image_files(folder: Path, paths: Sequence[Path]) -> ImageFiles:
    """Return image files below a folder, in the given order."""
    relative = [path.relative_to(folder) for path in paths]
    parents = sorted({"" if path.parent == Path() else path.parent.as_posix() for path in relative})
    number = {parent: index for index, parent in enumerate(parents)}
    parent_of = [number["" if path.parent == Path() else path.parent.as_posix()] for path in relative]
    names = pa.array([os.fsencode(path.name) for path in relative], pa.large_binary())
    return ImageFiles(folder, parents, np.array(parent_of, dtype=np.int32), names)
