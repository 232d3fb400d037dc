"""The optimizer of a recipe, and gradient clipping."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from modernet.recipes import Recipe
from modernet.training.steps.param_groups import parameter_groups


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the optimizer of a recipe, over all parameters of a network.

    Parameter groups have an `lr_scale`, to multiply the learning rate with. LAMB is timm's with its defaults: bias
    correction, trust ratio for decayed parameters, and the gradient clipped to a norm of 1. LARS is timm's with a trust
    coefficient of 0.001 for parameters of two or more dimensions; the others step as in SGD, as in MAE's linear probe.

    Raises:
        InputError: the recipe has layer-wise decay, and the network does not define the order of its layers.
    """
    settings = recipe.optimizer
    dynamics = settings.dynamics_lr
    groups = parameter_groups(
        network,
        settings.weight_decay,
        settings.layer_decay,
        settings.layer_decay_groups,
        settings.decay_norms,
        dynamics / settings.lr if dynamics is not None and settings.lr else 1.0,
    )
    betas = (settings.beta1, settings.beta2)
    if settings.optimizer == "sgd":
        momentum = settings.beta1
        nesterov = settings.nesterov and momentum > 0
        return torch.optim.SGD(groups, lr=settings.lr, momentum=momentum, nesterov=nesterov, fused=True)
    if settings.optimizer == "lamb":
        from timm.optim.lamb import Lamb  # imported here because timm takes seconds

        return Lamb(groups, lr=settings.lr, betas=betas, eps=settings.eps)
    if settings.optimizer == "lars":
        from timm.optim.lars import Lars  # as above

        groups = [
            {**group, "params": chosen, "always_adapt": adapts}
            for group in groups
            for adapts in (True, False)
            if (chosen := [each for each in group["params"] if (each.ndim > 1) == adapts])
        ]
        return Lars(groups, lr=settings.lr, momentum=settings.beta1, trust_coeff=0.001)
    return torch.optim.AdamW(groups, lr=settings.lr, betas=betas, eps=settings.eps, fused=True)


def clip_gradients(parameters: Iterable[nn.Parameter], recipe: Recipe) -> None:
    """Clip gradients in place by a recipe, after accumulation and unscaling; AGC is timm's."""
    settings = recipe.optimizer
    if settings.clip_grad is None:
        return
    if settings.clip_mode == "norm":
        nn.utils.clip_grad_norm_(parameters, settings.clip_grad)
        return
    from timm.utils.agc import adaptive_clip_grad  # as above

    adaptive_clip_grad(parameters, settings.clip_grad)  # type: ignore[no-untyped-call]
