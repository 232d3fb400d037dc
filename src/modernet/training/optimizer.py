"""The optimiser of a recipe, and the clipping of its gradients."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from timm.optim.lamb import Lamb
from timm.utils.clip_grad import dispatch_clip_grad
from torch import nn
from torch.distributed.tensor import DTensor

from modernet.errors import InputError
from modernet.recipes import Recipe
from modernet.training.param_groups import parameter_groups


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The optimiser that a recipe asks for, over all parameters of a network.

    The groups of parameters keep `lr_scale`: whoever sets the learning rate multiplies it with that. LAMB is timm's,
    with its defaults: bias correction, trust ratio for what decays, and the gradient clipped to a norm of 1.

    Raises:
        InputError: the recipe decays the learning rate over layers whose order the network does not know, or clips the
            gradient of single units, which are not whole on any device where the network is sharded.
    """
    settings = recipe.optimizer
    adaptive = settings.clip_grad is not None and settings.clip_mode == "agc"
    if adaptive and any(isinstance(parameter, DTensor) for parameter in network.parameters()):
        raise InputError(
            "clip_mode agc needs whole weights on each device; leave out --shard, or give --clip-mode norm"
        )
    groups = parameter_groups(
        network, settings.weight_decay, settings.layer_decay, settings.layer_decay_groups, settings.decay_norms
    )
    betas = (settings.beta1, settings.beta2)
    if settings.optimizer == "sgd":
        momentum = settings.beta1
        nesterov = settings.nesterov and momentum > 0
        return torch.optim.SGD(groups, lr=settings.lr, momentum=momentum, nesterov=nesterov, fused=True)
    if settings.optimizer == "lamb":
        return Lamb(groups, lr=settings.lr, betas=betas, eps=settings.eps)
    return torch.optim.AdamW(groups, lr=settings.lr, betas=betas, eps=settings.eps, fused=True)


def clip_gradients(parameters: Iterable[nn.Parameter], recipe: Recipe) -> None:
    """Clip gradients in place as a recipe says, after they were accumulated and unscaled; by timm."""
    settings = recipe.optimizer
    if settings.clip_grad is not None:
        dispatch_clip_grad(parameters, settings.clip_grad, mode=settings.clip_mode)
