"""Short digests of networks."""

from __future__ import annotations

import hashlib
import itertools
import re

import torch
from torch import nn

from modernet.files.fingerprint import json_sha256

_DIGITS = 12
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def weights_fingerprint(network: nn.Module) -> str:
    """Return a short digest of a network's parameters and buffers, by their names, whatever their memory format.

    Buffers that are not saved count too; extra state does not.
    """
    digest = hashlib.sha256()
    for name, value in itertools.chain(network.named_parameters(), network.named_buffers()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()[:_DIGITS]


def network_fingerprint(network: nn.Module) -> str:
    """Return a short digest of a network: its weights, and its layers as it prints them, without addresses."""
    layers = _ADDRESS.sub("", str(network))
    return json_sha256([layers, weights_fingerprint(network)])[:_DIGITS]
