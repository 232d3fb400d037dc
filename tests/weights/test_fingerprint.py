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


class Scaled(nn.Module):
    """Has extra state, a buffer that is not saved, and a function that is printed with its address."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.function = lambda x: x
        self.register_buffer("scale", torch.tensor(scale), persistent=False)

    def extra_repr(self) -> str:
        return f"{self.function}"

    def get_extra_state(self) -> dict[str, int]:
        return {"version": 1}


def test_extra_state_and_addresses_do_not_count_and_buffers_do() -> None:
    first, same, other = Scaled(1.0), Scaled(1.0), Scaled(2.0)
    assert str(first) != str(same)
    assert network_fingerprint(first) == network_fingerprint(same) != network_fingerprint(other)
