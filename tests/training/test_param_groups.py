from modernet.models import create_model
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
