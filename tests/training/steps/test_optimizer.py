import copy

import pytest
import timm.optim
import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict
from torch.nn import functional as F

from modernet.errors import InputError
from modernet.models import Backbone, create_model, get_entry
from modernet.recipes import RECIPES, ClassificationRecipe, for_classification, get_recipe
from modernet.tasks.criterion import criterion
from modernet.tasks.head import drop_features, scale_head
from modernet.training.steps.optimizer import clip_gradients, make_optimizer
from modernet.training.steps.schedule import learning_rate

QUICK = get_recipe("quick")
FAMILIES = {"convnext_v2_finetune": "convnextv2_test", "deit": "deit_test", "swin": "swin_test", "levit": "levit_test"}


def gradients(network: nn.Module) -> list[Tensor]:
    torch.manual_seed(0)
    for parameter in network.parameters():
        parameter.grad = torch.randn_like(parameter)
    return [parameter.grad.clone() for parameter in network.parameters() if parameter.grad is not None]


def layer() -> nn.Linear:
    torch.manual_seed(1)
    return nn.Linear(5, 3)


def test_adamw_and_sgd_have_the_values_of_the_recipe() -> None:
    adamw = make_optimizer(layer(), QUICK.replace(beta1=0.8, beta2=0.95, eps=1e-5))
    assert type(adamw) is torch.optim.AdamW
    assert (adamw.param_groups[0]["betas"], adamw.param_groups[0]["eps"]) == ((0.8, 0.95), 1e-5)

    for nesterov, momentum, expected in ((True, 0.9, True), (False, 0.9, False), (True, 0.0, False)):
        sgd = make_optimizer(layer(), QUICK.replace(optimizer="sgd", beta1=momentum, nesterov=nesterov))
        assert type(sgd) is torch.optim.SGD
        assert (sgd.param_groups[0]["momentum"], sgd.param_groups[0]["nesterov"]) == (momentum, expected)


def test_lamb_steps_as_in_timm() -> None:
    ours, theirs = layer(), layer()
    recipe = QUICK.replace(optimizer="lamb", lr=0.01, weight_decay=0.02, eps=1e-6)
    optimizer = make_optimizer(ours, recipe)
    reference = timm.optim.create_optimizer_v2(theirs, opt="lamb", lr=0.01, weight_decay=0.02)
    for _ in range(3):
        gradients(ours), gradients(theirs)
        optimizer.step()
        reference.step()

    torch.testing.assert_close(ours.weight, theirs.weight, rtol=0, atol=0)
    torch.testing.assert_close(ours.bias, theirs.bias, rtol=0, atol=0)
    assert not torch.equal(ours.weight, layer().weight)


def test_lars_scales_the_step_of_weights_by_their_norm() -> None:
    """As the release of MAE defines it, without weight decay; biases step as in SGD with momentum."""
    network = layer()
    optimizer = make_optimizer(network, QUICK.replace(optimizer="lars", lr=0.5, weight_decay=0.0, beta1=0.9))
    weight, bias = (parameter.detach().clone() for parameter in network.parameters())
    momenta = [torch.zeros_like(weight), torch.zeros_like(bias)]
    for _ in range(3):
        of_weight, of_bias = gradients(network)
        of_weight = 0.001 * weight.norm() / of_weight.norm() * of_weight
        momenta = [0.9 * before + now for before, now in zip(momenta, (of_weight, of_bias), strict=True)]
        weight, bias = weight - 0.5 * momenta[0], bias - 0.5 * momenta[1]
        optimizer.step()

    torch.testing.assert_close(network.weight.detach(), weight)
    torch.testing.assert_close(network.bias.detach(), bias)


def test_a_run_with_lamb_resumes_from_its_state() -> None:
    """timm keeps the number of steps in the groups, not next to the moments."""
    recipe = QUICK.replace(optimizer="lamb")
    straight, stopped = layer(), layer()
    optimizer, first = make_optimizer(straight, recipe), make_optimizer(stopped, recipe)
    for _ in range(2):
        gradients(straight), gradients(stopped)
        optimizer.step(), first.step()
    again = make_optimizer(stopped, recipe)
    set_optimizer_state_dict(stopped, again, copy.deepcopy(get_optimizer_state_dict(stopped, first)))
    gradients(straight), gradients(stopped)
    optimizer.step(), again.step()

    torch.testing.assert_close(stopped.weight, straight.weight, rtol=0, atol=0)


def test_the_share_of_the_learning_rate_is_in_the_parameter_groups() -> None:
    """No optimizer may apply `lr_scale` a second time."""
    network = create_model("convnext_test", num_classes=2)
    for name in ("adamw", "sgd", "lamb"):
        optimizer = make_optimizer(network, QUICK.replace(optimizer=name, layer_decay=0.5, layer_decay_groups="paper"))
        before = network.get_parameter("downsample_layers.0.0.bias").detach().clone()
        gradients(network)
        for group in optimizer.param_groups:
            group["lr"] = 0.0 if group["lr_scale"] < 1 else 0.1
        optimizer.step()
        assert torch.equal(network.get_parameter("downsample_layers.0.0.bias"), before)
        assert {group["lr_scale"] for group in optimizer.param_groups} == {1.0, 0.5, 0.25, 0.125, 0.0625, 0.03125}


def test_the_global_gradient_norm_is_clipped() -> None:
    network = layer()
    before = gradients(network)
    clip_gradients(network.parameters(), QUICK.replace(clip_grad=0.1))

    after = [parameter.grad for parameter in network.parameters()]
    assert float(nn.utils.get_total_norm([grad for grad in after if grad is not None])) == pytest.approx(0.1, rel=1e-4)
    assert F.cosine_similarity(before[0].flatten(), after[0].flatten(), dim=0) == pytest.approx(1)  # type: ignore[union-attr]


def test_adaptive_clipping_bounds_each_unit_by_its_weights() -> None:
    network = layer()
    gradients(network)
    clip_gradients(network.parameters(), QUICK.replace(clip_grad=0.01, clip_mode="agc"))

    assert network.weight.grad is not None
    assert (network.weight.grad.norm(dim=1) / network.weight.detach().norm(dim=1)).tolist() == pytest.approx([0.01] * 3)


def test_without_a_limit_gradients_are_not_clipped() -> None:
    network = layer()
    before = gradients(network)
    clip_gradients(network.parameters(), QUICK)

    assert all(torch.equal(a, b.grad) for a, b in zip(before, network.parameters(), strict=True) if b.grad is not None)


@pytest.mark.parametrize(
    "name", [name for name, named in RECIPES.items() if isinstance(named.recipe, ClassificationRecipe)]
)
def test_every_recipe_of_a_classifier_trains_a_tiny_network(name: str) -> None:
    torch.manual_seed(0)
    recipe = for_classification(RECIPES[name].recipe).replace(batch_size=4)
    model = FAMILIES.get(name, "convnext_test" if recipe.optimizer.layer_decay < 1 else "resnet_test")
    network = create_model(model, num_classes=3)
    assert isinstance(network, Backbone)
    drop_features(network, recipe.regularization.dropout)
    scale_head(network, recipe.regularization.head_init_scale)
    optimizer, loss_of = make_optimizer(network, recipe), criterion(recipe)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    size = get_entry(model).published.image_size
    images = torch.randn(4, 3, size, size)
    for step, targets in enumerate((torch.tensor([0, 1, 2, 0]), torch.rand(4, 3).softmax(1))):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, step, 5) * group["lr_scale"]
        loss = loss_of(network(images), targets)
        loss.backward()
        clip_gradients(network.parameters(), recipe)
        optimizer.step()
        optimizer.zero_grad()
        assert torch.isfinite(loss)

    assert any(not torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))
    assert all(torch.isfinite(parameter).all() for parameter in network.parameters())


def test_groups_of_another_architecture_are_refused() -> None:
    with pytest.raises(InputError, match="a ResNet has no published groups 'paper'"):
        make_optimizer(create_model("resnet_test"), get_recipe("convnext_22k_to_1k"))
