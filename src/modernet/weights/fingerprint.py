"""Short digests of networks."""

from __future__ import annotations

import hashlib

import torch
from torch import nn

from modernet.files.fingerprint import json_sha256

_DIGITS = 12


def weights_fingerprint(network: nn.Module) -> str:
    """Return a short digest of a network's parameters and buffers, by their names, whatever their memory format."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()[:_DIGITS]


def network_fingerprint(network: nn.Module) -> str:
    """Return a short digest of a network: its weights, and its layers as it prints them."""
    return json_sha256([str(network), weights_fingerprint(network)])[:_DIGITS]
