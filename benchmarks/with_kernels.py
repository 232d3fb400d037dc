"""Networks of the zoo with fused kernels: `modernet benchmark benchmarks.with_kernels:convnext_tiny`.

A kernel is used where it was measured to be faster on this device; see `modernet.use_kernels`.
"""

from __future__ import annotations

from torch import nn

from modernet.models import create_model
from modernet.models.fused import use_kernels


def convnext_test() -> nn.Module:
    return use_kernels(create_model("convnext_test"))


def convnext_tiny() -> nn.Module:
    return use_kernels(create_model("convnext_tiny"))


def convnext_base() -> nn.Module:
    return use_kernels(create_model("convnext_base"))


def convnextv2_test() -> nn.Module:
    return use_kernels(create_model("convnextv2_test"))


def convnextv2_tiny() -> nn.Module:
    return use_kernels(create_model("convnextv2_tiny"))
