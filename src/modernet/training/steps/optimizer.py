"""The optimiser of a recipe, and the clipping of its gradients."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from modernet.recipes import Recipe
from modernet.training.steps.param_groups import parameter_groups


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The optimiser that a recipe asks for, over all parameters of a network.

    The groups of parameters keep `lr_scale`: whoever sets the learning rate multiplies it with that. LAMB is timm's,
    with its defaults: bias correction, trust ratio for what decays, and the gradient clipped to a norm of 1.

    Raises:
        InputError: the recipe decays the learning rate over layers whose order the network does not know.
    """
    settings = recipe.optimizer
    groups = parameter_groups(
        network, settings.weight_decay, settings.layer_decay, settings.layer_decay_groups, settings.decay_norms
    )
    betas = (settings.beta1, settings.beta2)
    if settings.optimizer == "sgd":
        momentum = settings.beta1
        nesterov = settings.nesterov and momentum > 0
        return torch.optim.SGD(groups, lr=settings.lr, momentum=momentum, nesterov=nesterov, fused=True)
    if settings.optimizer == "lamb":
        from timm.optim.lamb import Lamb  # here, since timm takes seconds to import

        return Lamb(groups, lr=settings.lr, betas=betas, eps=settings.eps)
    return torch.optim.AdamW(groups, lr=settings.lr, betas=betas, eps=settings.eps, fused=True)


def clip_gradients(parameters: Iterable[nn.Parameter], recipe: Recipe) -> None:
    """Clip gradients in place as a recipe says, after they were accumulated and unscaled; AGC is timm's."""
    settings = recipe.optimizer
    if settings.clip_grad is None:
        return
    if settings.clip_mode == "norm":
        nn.utils.clip_grad_norm_(parameters, settings.clip_grad)
        return
    from timm.utils.agc import adaptive_clip_grad  # as above

    adaptive_clip_grad(parameters, settings.clip_grad)  # type: ignore[no-untyped-call]
