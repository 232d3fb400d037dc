"""The Arena's Image: CIFAR-10 in grey, pixel by pixel."""

from __future__ import annotations

import numpy as np

from modernet.data import reading
from modernet.data.ragged import Ragged
from modernet.data.sequences.dataset import SequenceDataset, SequenceSplit, most_frequent_floor
from modernet.data.sequences.encoding import Encoding
from modernet.data.sequences.named_encodings import NamedEncoding
from modernet.data.sequences.sources.shortening import NANO_SIZES, some_of
from modernet.data.skipping import Skipped
from modernet.data.sources.examples import Examples
from modernet.data.sources.read import read_source
from modernet.errors import InputError

_LAST = 0.1  # of the training images, in their order: validation


def read_grey_images(
    name: str,
    spec: str,
    named: NamedEncoding,
    skipped: Skipped,
    *,
    few: bool = False,
    download: bool = True,
) -> SequenceDataset:
    """Read images of any source that `open_dataset` knows, with a class each, scaled to the encoding's side.

    The validation images are the last tenth of the training ones, as in the Arena: of CIFAR-10, 45,000, 5,000 and
    10,000.

    Args:
        spec: `"cifar10"`, or a folder.
        named: of grey pixels.
        few: take no more than `NANO_SIZES` of them.
        download: whether a name may be fetched.

    Raises:
        InputError: as `open_dataset`, or there is no test split.
    """
    data, source = read_source(spec, download=download)
    if source.train is None or source.test is None:
        raise InputError(f"{source.path} has no test split; give the folder of CIFAR-10")
    n = len(source.train)
    given = [np.arange(n)[: n - int(_LAST * n)], np.arange(n)[n - int(_LAST * n) :], np.arange(len(source.test))]
    parts = [source.train, source.train, source.test]
    missing = set(range(len(source.classes))) - set(source.train.labels[given[1]].tolist())
    if missing:
        raise InputError(
            f"the last tenth of the training images in {source.path} has none of {source.classes[min(missing)]!r}; "
            "give CIFAR-10, whose images are in no order"
        )
    if few:
        given = [some_of(positions, count) for positions, count in zip(given, NANO_SIZES, strict=True)]
    encoding = named.fit()
    train, validation, test = (
        _read(part.take(positions), split, encoding, skipped)
        for part, positions, split in zip(parts, given, ("train", "validation", "test"), strict=True)
    )
    skipped.report(name)
    provenance = {"data": data, "splits": "the last tenth of train"}
    return SequenceDataset(
        name,
        train,
        validation,
        test,
        source.classes,
        encoding,
        provenance,
        most_frequent_floor(train, test),
        unreadable=skipped.names,
    )


def _read(examples: Examples, split: str, encoding: Encoding, skipped: Skipped) -> SequenceSplit:
    decoded, failures = reading.decode(examples, (encoding.side, encoding.side), f"reading {split} images")
    for position in sorted(failures):
        skipped.add(failures[position].name, f"cannot be read: {failures[position].reason}")
    readable = [position for position in range(len(examples)) if position not in failures]
    if not readable:
        raise InputError(f"no {split} image can be read; repair some, or choose another data set")
    images = decoded.images.numpy()
    sequences = (encoding.store(images[position]) for position in readable)
    names = tuple(examples.images.name(int(examples.indices[position])) for position in readable)
    return SequenceSplit(
        (Ragged.of(sequences, encoding.scale, encoding.shift),), decoded.labels.numpy()[readable], names
    )
