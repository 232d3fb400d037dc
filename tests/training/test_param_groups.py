import pytest
from torch import nn

from modernet.errors import InputError
from modernet.models import create_model, list_models
from modernet.training.param_groups import parameter_groups


def test_norms_biases_and_layer_scales_do_not_decay() -> None:
    network = create_model("convnext_test", num_classes=2)
    decayed, free = parameter_groups(network, 0.05)
    names = {id(parameter): name for name, parameter in network.named_parameters()}

    assert (decayed["weight_decay"], free["weight_decay"]) == (0.05, 0.0)
    in_decayed = {names[id(parameter)] for parameter in decayed["params"]}
    in_free = {names[id(parameter)] for parameter in free["params"]}
    assert in_decayed | in_free == set(names.values())
    assert not in_decayed & in_free
    assert {"stages.0.0.dwconv.weight", "stages.0.0.pwconv1.weight", "head.weight"} <= in_decayed
    assert {"stages.0.0.gamma", "stages.0.0.norm.weight", "stages.0.0.dwconv.bias", "head.bias", "norm.bias"} <= in_free


@pytest.mark.parametrize("name", list_models("*_test"))
def test_each_layer_learns_a_factor_slower_than_the_one_above(name: str) -> None:
    network = create_model(name)
    scales = {id(p): group["lr_scale"] for group in parameter_groups(network, 0.05, 0.5) for p in group["params"]}
    by_name = {name: scales[id(parameter)] for name, parameter in network.named_parameters()}
    groups = network.layer_groups()  # type: ignore[operator]
    for distance, group in enumerate(reversed(groups)):
        assert {by_name[each] for each in group} == {0.5**distance}
    assert len(by_name) == len(scales)


def test_a_network_without_an_order_of_layers_is_refused() -> None:
    with pytest.raises(InputError, match="a Linear has no order of layers, so give --layer-decay 1"):
        parameter_groups(nn.Linear(2, 2), 0.05, 0.8)
