"""The names of weights in memory in transformers 5 and later; its files keep the older names."""

from __future__ import annotations

from dataclasses import replace

from modernet.weights.schemes.scheme import Scheme

_NAMES = [
    (r"\.encoder\.layer\.", ".layers."),
    (r"\.attention\.(?:attention|self)\.qkv\.", ".attention.qkv."),
    (r"\.self\.relative_position_bias_table$", ".relative_position_bias.relative_position_bias_table"),
    (r"\.attention\.output\.dense\.", ".attention.o_proj."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"\.output\.dense\.", ".mlp.fc2."),
]


def in_memory(on_disk: Scheme) -> Scheme:
    """Return the scheme of a state dict saved with torch.save, from that of the library's own files."""
    split = {".attention.qkv.": [f".attention.{part}_proj." for part in "qkv"]}
    return replace(on_disk, names=[*on_disk.names, *_NAMES], split=split, writable=False)
