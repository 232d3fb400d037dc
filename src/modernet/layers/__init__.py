"""Layers shared by two or more architectures."""

from modernet.layers.checkpointing import checkpoint_block
from modernet.layers.drop_path import DropPath, drop_path_rates
from modernet.layers.mlp import Mlp
from modernet.layers.norm import LayerNorm2d
from modernet.layers.padding import pad_to_multiple
from modernet.layers.position_embedding import resample_position_embedding

__all__ = [
    "DropPath",
    "LayerNorm2d",
    "Mlp",
    "checkpoint_block",
    "drop_path_rates",
    "pad_to_multiple",
    "resample_position_embedding",
]
