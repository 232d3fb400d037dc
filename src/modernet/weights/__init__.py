"""Where weights come from and go to, and the names that other projects give them."""

from modernet.weights.checkpoint_file import CheckpointFile, read_checkpoint
from modernet.weights.convert import convert
from modernet.weights.loading import LoadReport, load_weights
from modernet.weights.saved_network import NetworkSpec, SavedNetwork, load_network, save_network

__all__ = [
    "CheckpointFile",
    "LoadReport",
    "NetworkSpec",
    "SavedNetwork",
    "convert",
    "load_network",
    "load_weights",
    "read_checkpoint",
    "save_network",
]
