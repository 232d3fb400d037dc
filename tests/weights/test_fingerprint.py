from __future__ import annotations

import torch
from torch import nn

from modernet.weights import network_fingerprint


def test_a_network_is_recognised_by_its_weights_and_its_layers() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    first = network_fingerprint(network)
    assert network_fingerprint(network.to(memory_format=torch.channels_last)) == first  # type: ignore[call-overload]
    other = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU())
    other.load_state_dict(network.state_dict())
    assert network_fingerprint(other) != first
    with torch.no_grad():
        network[0].bias[0] += 1e-3
    assert network_fingerprint(network) != first
