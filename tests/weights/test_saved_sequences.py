"""Networks of sequence models on disk."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path

import pytest
import torch

from modernet.data.sequences.encoding import Encoding
from modernet.data.sequences.inputs import SequenceInputs
from modernet.errors import InputError
from modernet.sequences.config import SEQUENCE_MODELS
from modernet.sequences.zoo import sequence_config
from modernet.weights import NetworkSpec, load_network, save_network
from modernet.weights.saved_network import read_description

INPUTS = SequenceInputs(48, vocabulary=17)
SMALL = {"depth": 1, "width": 32, "heads": 2, "mlp_width": 16}


def spec_of(name: str) -> NetworkSpec:
    known = {field.name for field in fields(sequence_config(name))}
    small = {field: value for field, value in SMALL.items() if field in known}
    return NetworkSpec("sequence", name, small, {"inputs": asdict(INPUTS)})


@pytest.mark.parametrize("name", SEQUENCE_MODELS)
def test_a_saved_model_gives_the_same_logits(name: str, tmp_path: Path) -> None:
    """Also where it has drawn random numbers that are no parameters."""
    spec = spec_of(name)
    torch.manual_seed(1)
    network = spec.build(3).eval()
    save_network(tmp_path, network, spec, ("a", "b", "c"), Encoding("bytes", INPUTS), "sequences")
    torch.manual_seed(2)
    saved = load_network(tmp_path)

    values, lengths = torch.randint(1, 17, (3, 48)), torch.tensor([48, 20, 3])
    with torch.no_grad():
        assert torch.equal(saved.network(values, lengths), network(values, lengths))


def test_the_encoding_is_stored_and_what_needs_images_says_so(tmp_path: Path) -> None:
    spec = spec_of("transformer")
    encoding = Encoding("characters", INPUTS, ("x", "é"), eos=True)
    save_network(tmp_path, spec.build(2), spec, ("a", "b"), encoding, "sequences")

    for read in (load_network(tmp_path), read_description(tmp_path)):
        assert read.inputs == encoding
        with pytest.raises(InputError, match="the network takes sequences, and this needs one that takes images"):
            _ = read.preparation
