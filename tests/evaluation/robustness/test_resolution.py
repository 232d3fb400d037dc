from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from modernet.data import ImageDataset, Loader, make_loader
from modernet.errors import InputError
from modernet.evaluation import evaluate_saved
from modernet.evaluation.robustness import network_at, sweep_resolutions
from modernet.preparation import Preparation
from modernet.weights import NetworkSpec, SavedNetwork

CPU = torch.device("cpu")


def saved(name: str, size: int, crop: float = 1.0, **fields: Any) -> SavedNetwork:
    spec = NetworkSpec("model", name, fields)
    torch.manual_seed(0)
    preparation = Preparation(size, (0.47,) * 3, (0.3,) * 3, crop)
    return SavedNetwork(spec.build(2).eval(), spec, ("horizontal", "vertical"), preparation)


def test_a_network_for_any_size_is_tested_at_each_with_its_own_crop(stripes: ImageDataset) -> None:
    network = saved("convnext_test", 16, crop=0.75, stem_stride=1)
    seen: list[Preparation] = []

    def loader_at(preparation: Preparation) -> Loader:
        seen.append(preparation)
        options: dict[str, Any] = {"augmentation": None, "preparation": preparation}
        return make_loader(stripes, stripes.test, batch_size=16, device=CPU, **options)

    sweep = sweep_resolutions(network, loader_at, device=CPU, sizes=(16, 32))

    assert seen == [network.preparation, replace(network.preparation, image_size=32)]
    for each in sweep.sizes:
        at_size = replace(network, inputs=network.preparation.with_size(each.image_size))
        assert each.top1 is not None
        assert each.top1.value == pytest.approx(evaluate_saved(at_size, stripes).top1)
        assert each.top1.interval is not None
        assert each.top1.interval.low < each.top1.value < each.top1.interval.high
    assert [row["own"] for row in sweep.detail()] == [True, False]
    assert sweep.metrics().keys() == {f"resolution_{s}_top1{end}" for s in (16, 32) for end in ("", "_low", "_high")}


def test_a_network_of_one_size_is_built_again_for_others_and_says_which_it_cannot_take(stripes: ImageDataset) -> None:
    network = saved("levit_test", 96)

    def loader_at(preparation: Preparation) -> Loader:
        return make_loader(stripes, stripes.test, batch_size=30, device=CPU, augmentation=None, preparation=preparation)

    sweep = sweep_resolutions(network, loader_at, device=CPU, sizes=(64, 96, 100))

    assert [each.rebuilt for each in sweep.sizes] == [True, False, False]
    assert [each.top1 is None for each in sweep.sizes] == [False, False, True]
    assert sweep.sizes[2].reason == "image_size is 100; give a multiple of 16, such as 224"
    assert sweep.detail()[2] == {
        "image_size": 100, "own": False, "n": 30, "rebuilt": False, "reason": sweep.sizes[2].reason,
    }  # fmt: skip


def test_what_a_rebuilt_network_has_beside_positions_is_unchanged() -> None:
    network = saved("levit_test", 96)
    ours, before = network_at(network, 64).state_dict(), network.network.state_dict()
    assert ours.keys() == before.keys()
    changed = {name.rpartition(".")[2] for name in ours if not torch.equal(ours[name], before[name])}
    assert changed <= {"attention_biases", "attention_bias_idxs"}
    assert network_at(network, 96) is network.network


def test_sizes_that_are_too_small_are_an_error_in_one_line() -> None:
    with pytest.raises(InputError, match=r"^not at 20 x 20: images are 20x20; this network needs at least"):
        network_at(saved("alexnet_test", 64), 20)
    with pytest.raises(InputError, match=r"^the network takes none of the sizes: not at 20 x 20: images are"):
        sweep_resolutions(saved("alexnet_test", 64), pytest.fail, device=CPU, sizes=(20,))


class Raises(nn.Module):
    """Raises an error for any image."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error, self.weight = error, nn.Parameter(torch.zeros(1))

    def forward(self, images: Tensor) -> Tensor:
        raise self.error


@pytest.mark.parametrize(
    ("error", "size"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"), 32),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), 32),
        (RuntimeError("mat1 and mat2 must have the same dtype"), 16),  # at its own size
    ],
)
def test_a_lack_of_memory_and_a_network_that_fails_at_its_own_size_are_not_about_a_size(
    error: Exception, size: int
) -> None:
    with pytest.raises(type(error)) as raised:
        network_at(replace(saved("convnext_test", 16), network=Raises(error)), size)
    assert raised.value is error


def test_weights_that_cannot_be_resampled_are_an_error_in_one_line() -> None:
    """LeNet's classifier has a weight for each position."""
    with pytest.raises(InputError, match=r"^not at 20 x 20: its weights cannot be resampled$"):
        network_at(saved("lenet_test", 16), 20)
