"""Look at every image of a data set, and report what would spoil a training or its result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modernet.data.checking.box_problems import (
    box_problems,
    images_of_classes,
    images_without_objects,
    objects_of_classes,
    survey_objects,
    with_objects,
)
from modernet.data.checking.class_problems import class_problems, folder_problems, small_classes
from modernet.data.checking.duplicates import difference_hash, look_alikes, repeated
from modernet.data.checking.findings import KINDS, Finding, Findings
from modernet.data.checking.label_problems import find_labels, label_problems, unlabelled
from modernet.data.images.collection import EncodedImages
from modernet.data.images.decoding import decode_image, grey_bits
from modernet.data.reading import Failures, read_all
from modernet.data.sources.examples import Examples, Source, labelled
from modernet.data.sources.image_folder import split_folders
from modernet.data.sources.listing import list_classes
from modernet.data.sources.objects import BoxSurvey
from modernet.data.sources.read import find_image_folder, read_source
from modernet.data.splits import three_splits
from modernet.data.targets import BoxTargets, ClassTargets
from modernet.errors import InputError
from modernet.files.names import valid_text

_ORDER = ("train", "validation", "test")
_TINY = 4  # times smaller than the median image
_DARK = 16  # of 255, where 12 bits in 16 of a color image end
_LONG = 5.0  # times longer than wide


def check_images(spec: str) -> Findings:
    """Decode every image and compare all of them.

    Reports images that cannot be read; the same bytes in two splits or two classes; images of two splits that look the
    same (a hash of 8 x 8 differences, so most copies that were resized or compressed again); odd sizes; dark images;
    grey images whose values take another number of bits than most; and problems of classes: similar names, missing in a
    split, rare, empty folders, other files, folders in folders. Of label maps: missing ones, ones of another size than
    their image, values or colours that are no class, maps without an image. Of boxes: objects, masks and images that
    are dropped, boxes that are cut off, images of another size than their annotations say, classes without objects,
    each with its file and line. Where a data set has no splits, those that
    `open_dataset` would make are compared.

    Args:
        spec: what `open_dataset` takes, except `"digit_scenes"`. Class folders may also have what `open_dataset`
            refuses: empty folders, and classes that are not in train.

    Raises:
        InputError: nothing is there, or it cannot be opened.
    """
    if spec == "digit_scenes":
        raise InputError("digit_scenes is generated and has nothing to check; give a data set that is stored somewhere")
    survey = survey_objects(spec)
    classes, given, found = _opened(spec) if survey is None else _with_boxes(spec, survey)
    splits, words = _splits(spec, classes, given)
    surveys = {split: _survey(examples, f"checking {split} images") for split, examples in splits.items()}
    labelled = {split: examples for split, examples in given.items() if isinstance(examples.targets, ClassTargets)}
    counts = {split: np.bincount(examples.labels, minlength=len(classes)) for split, examples in labelled.items()}
    if survey is not None and survey.classes:
        counts = images_of_classes(survey)
    found += [
        *(finding for split, examples in splits.items() for finding in _unreadable(examples, surveys[split])),
        *_copies(splits, surveys, classes),
        *_alike(splits, surveys),
        *_odd_sizes(splits, surveys),
        *_dark(splits, surveys),
        *_odd_depths(splits, surveys),
        *(class_problems(classes, counts) if counts else ()),
        *(small_classes(classes, counts) if survey is None else ()),
    ]
    order = list(KINDS)
    total = sum(len(examples) for examples in splits.values())
    ordered = tuple(sorted(found, key=lambda finding: order.index(finding.kind)))
    if survey is None:
        return Findings(total, words, ordered)
    return Findings(total, words, ordered, objects_of_classes(survey), images_without_objects(survey))


class _Survey(NamedTuple):
    """Facts about each image of a split; empty for one that cannot be read."""

    digests: list[bytes | None]
    """Of its bytes."""
    hashes: NDArray[np.uint64]
    """`difference_hash`."""
    sizes: NDArray[np.int64]
    """(n, 2), height and width."""
    brightest: NDArray[np.int64]
    """The largest value of any channel, 0 to 255; -1 for an image that cannot be read."""
    grey_bits: NDArray[np.int64]
    """`grey_bits`; 0 for None."""
    failures: Failures


def _opened(spec: str) -> tuple[tuple[str, ...], dict[str, Examples], list[Finding]]:
    """Return classes, the given splits, and what is wrong with folders."""
    label_folder = find_labels(spec)
    if label_folder is not None:
        return (), unlabelled(label_folder), list(label_problems(label_folder))
    path = find_image_folder(spec)
    if path is None:
        source = read_source(spec).source
        return source.classes, source.splits(), []
    folders = dict(sorted(split_folders(path).items(), key=lambda item: _ORDER.index(item[0])))
    listings = {split: list_classes(folder) for split, folder in folders.items()}
    found = [finding for split, folder in folders.items() for finding in folder_problems(folder, listings[split])]
    # a class that has no image anywhere is an empty folder and nothing else
    names = {
        listing.class_folders[number]
        for listing in listings.values()
        for number in np.unique(listing.class_of).tolist()
    }
    classes = tuple(sorted(names))
    if not classes:
        raise InputError(f"there is no image in the class folders of {path}; put some in a folder for each class")
    number = {name: label for label, name in enumerate(classes)}
    given: dict[str, Examples] = {}
    for split, listing in listings.items():
        labels = np.array([number.get(name, -1) for name in listing.class_folders], dtype=np.int64)
        given[split] = labelled(listing.images, labels[listing.class_of])
    return tuple(map(valid_text, classes)), given, found


def _with_boxes(spec: str, survey: BoxSurvey) -> tuple[tuple[str, ...], dict[str, Examples], list[Finding]]:
    """As `_opened`; a folder of Pascal VOC may have label maps, too."""
    label_folder = find_labels(spec)
    of_labels = [] if label_folder is None else label_problems(label_folder)
    return survey.classes, with_objects(survey), [*box_problems(survey), *of_labels]


def _splits(spec: str, classes: tuple[str, ...], given: Mapping[str, Examples]) -> tuple[dict[str, Examples], str]:
    """Return the splits that training would use, and a phrase that says where they come from."""
    if len(given) > 1 or "train" not in given:
        return dict(given), f"{', '.join(given)} as given"
    try:
        train, validation, test, words = three_splits(Source(spec, classes, given["train"]))
    except InputError:  # classes too small to split can still be checked
        return dict(given), "one set"
    return {"train": train, "validation": validation, "test": test}, words


def _survey(examples: Examples, task: str) -> _Survey:
    n, images = len(examples), examples.images
    digests: list[bytes | None] = [None] * n
    hashes, sizes = np.zeros(n, dtype=np.uint64), np.zeros((n, 2), dtype=np.int64)
    brightest, depths = np.full(n, -1, dtype=np.int64), np.zeros(n, dtype=np.int64)

    def look(position: int, index: int) -> None:
        if isinstance(images, EncodedImages):
            content = images.content(index)
            image = decode_image(content, images.name(index))
            depths[position] = grey_bits(content, images.name(index)) or 0
        else:
            image = images.read(index)
            content = image.contiguous().numpy().tobytes()
        digests[position] = blake2b(content, digest_size=16).digest()
        hashes[position] = difference_hash(image)
        sizes[position] = image.shape[1:]
        brightest[position] = int(image.max())

    failures = read_all(examples, look, task)
    return _Survey(digests, hashes, sizes, brightest, depths, failures)


def _unreadable(examples: Examples, survey: _Survey) -> Iterator[Finding]:
    for _, error in sorted(survey.failures.items()):
        yield Finding("unreadable", error.name, error.reason)


def _copies(
    splits: Mapping[str, Examples], surveys: Mapping[str, _Survey], classes: tuple[str, ...]
) -> Iterator[Finding]:
    """Find the same bytes in two splits, or in two classes."""
    where = [(split, position) for split, examples in splits.items() for position in range(len(examples))]
    for group in repeated([digest for split in splits for digest in surveys[split].digests]):
        (first_split, first), *others = [where[number] for number in group]
        first_class = _class(splits[first_split], first, classes)
        for split, position in others:
            its_class = _class(splits[split], position, classes)
            where_first = f"{first_split}, {first_class}" if first_class else first_split
            there = f"{_name(splits[first_split], first)} ({where_first})"
            if split != first_split:
                yield Finding("in two splits", _name(splits[split], position), f"{split}; the same as {there}")
            if its_class != first_class:
                subject = _name(splits[split], position)
                yield Finding("in two classes", subject, f"{its_class}; the same as {there}")


def _alike(splits: Mapping[str, Examples], surveys: Mapping[str, _Survey]) -> Iterator[Finding]:
    """Find images that look like one of another split, without being the same."""
    for first, later in combinations(splits, 2):
        ours, theirs = surveys[later], surveys[first]
        known = set(theirs.digests) - {None}
        for position, other in look_alikes(ours.hashes, theirs.hashes).items():
            if ours.digests[position] not in known:
                detail = f"{later}; looks like {_name(splits[first], other)} ({first})"
                yield Finding("look alike", _name(splits[later], position), detail)


def _odd_sizes(splits: Mapping[str, Examples], surveys: Mapping[str, _Survey]) -> Iterator[Finding]:
    seen = np.concatenate([survey.sizes[survey.sizes.min(1) > 0] for survey in surveys.values()])
    if not len(seen):
        return
    median = float(np.median(seen.min(1)))
    for split, examples in splits.items():
        boxes = isinstance(examples.targets, BoxTargets)
        seen_as = "its objects would be small" if boxes else "only its centre would be seen"
        for position, (h, w) in enumerate(surveys[split].sizes.tolist()):
            if 0 < min(h, w) * _TINY < median:
                yield Finding(
                    "odd size", _name(examples, position), f"{h} x {w}; half of all have {median:.0f} or more"
                )
            elif max(h, w) > _LONG * min(h, w) > 0:
                yield Finding("odd size", _name(examples, position), f"{h} x {w}; {seen_as}")


def _dark(splits: Mapping[str, Examples], surveys: Mapping[str, _Survey]) -> Iterator[Finding]:
    for split, examples in splits.items():
        brightest = surveys[split].brightest
        for position in np.flatnonzero((brightest >= 0) & (brightest < _DARK)).tolist():
            yield Finding("dark", _name(examples, position), f"its brightest value is {brightest[position]} of 255")


def _odd_depths(splits: Mapping[str, Examples], surveys: Mapping[str, _Survey]) -> Iterator[Finding]:
    """Find images whose grey values are taken for another number of bits than those of most deep grey images."""
    counts = np.bincount(np.concatenate([survey.grey_bits for survey in surveys.values()]))
    counts[0] = 0
    usual = int(counts.argmax())
    for split, examples in splits.items():
        bits = surveys[split].grey_bits
        for position in np.flatnonzero((bits > 0) & (bits != usual)).tolist():
            detail = f"its values take {bits[position]} bits, those of most {usual}: each is scaled by its own"
            yield Finding("odd depth", _name(examples, position), detail)


def _class(examples: Examples, position: int, classes: tuple[str, ...]) -> str | None:
    """Return the class of an image; None where images have none."""
    return classes[int(examples.labels[position])] if isinstance(examples.targets, ClassTargets) else None


def _name(examples: Examples, position: int) -> str:
    return examples.images.name(int(examples.indices[position]))
