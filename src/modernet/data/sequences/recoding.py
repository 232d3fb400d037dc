"""Sequences of one encoding -> the same in another, such as that of a trained network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from modernet.data.ragged import Ragged
from modernet.data.sequences.dataset import SequenceDataset, SequenceSplit
from modernet.data.sequences.encoding import Encoding
from modernet.errors import InputError


def recoded(dataset: SequenceDataset, encoding: Encoding) -> SequenceDataset:
    """Return a data set in another encoding of the same kind.

    Texts may be longer or shorter, and have other symbols: those that only one of the encodings knows become the token
    of unknown ones.

    Raises:
        InputError: images have another size, sound has another rate, or the kinds differ.
    """
    own = dataset.encoding
    if own == encoding:
        return dataset
    same = own.kind == encoding.kind and own.inputs.towers == encoding.inputs.towers and own.rate == encoding.rate
    if same and own.kind.startswith("grey"):
        same = own.inputs == encoding.inputs
    same &= own.eos == encoding.eos
    if not same:
        raise InputError(
            f"{dataset.name} has {describe(own)}, and the network has learned from {describe(encoding)}; give data of "
            "that kind"
        )
    train, validation, test = (
        _recoded(split, own, encoding) for split in (dataset.train, dataset.validation, dataset.test)
    )
    return replace(dataset, train=train, validation=validation, test=test, encoding=encoding)


def describe(encoding: Encoding) -> str:
    """Return what sequences of an encoding are, for people.

    >>> from modernet.data.sequences.inputs import SequenceInputs
    >>> describe(Encoding("bytes", SequenceInputs(1000, vocabulary=257)))
    'bytes (257 tokens, at most 1000 steps)'
    """
    inputs = encoding.inputs
    facts = ["numbers" if inputs.vocabulary is None else f"{inputs.vocabulary} tokens"]
    facts += [f"{encoding.rate} samples a second"] if encoding.rate is not None else []
    facts += ["in pairs"] if inputs.towers == 2 else []
    return f"{encoding.kind} ({', '.join(facts)}, at most {inputs.max_length} steps)"


def _recoded(split: SequenceSplit, own: Encoding, encoding: Encoding) -> SequenceSplit:
    return replace(split, towers=tuple(_tower(tower, own, encoding) for tower in split.towers))


def _tower(tower: Ragged, own: Encoding, encoding: Encoding) -> Ragged:
    if encoding.inputs.vocabulary is None:
        return replace(tower, scale=encoding.scale, shift=encoding.shift)
    if own.symbols == encoding.symbols:
        return tower
    return replace(tower, values=_tokens(own, encoding)[tower.values])


def _tokens(own: Encoding, encoding: Encoding) -> NDArray[np.int16]:
    """Return the new token of each old one: padding, symbols, what is no symbol, and the end."""
    tokens = {symbol: token for token, symbol in enumerate(encoding.symbols, 1)}
    other = len(encoding.symbols) + 1
    table = [0, *(tokens.get(symbol, other) for symbol in own.symbols), other]
    return np.array(table + [other + 1] * own.eos, dtype=np.int16)
