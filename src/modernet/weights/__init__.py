"""Load, save, fetch and convert weights under the names of many projects."""

from modernet.catalogue import PretrainedWeights, find_weights, list_weights
from modernet.weights.checkpoint_file import CheckpointFile, read_foreign_weights
from modernet.weights.conversion import convert
from modernet.weights.download import fetch_weights
from modernet.weights.fingerprint import network_fingerprint, weights_fingerprint
from modernet.weights.loading import LoadReport, load_weights
from modernet.weights.pretrained import (
    StartingWeights,
    class_names,
    create_model,
    load_model,
    starting_weights,
    untrained,
    untrained_model,
    weights_of_run,
)
from modernet.weights.saved_network import NetworkSpec, SavedNetwork, load_network, save_network

__all__ = [
    "CheckpointFile",
    "LoadReport",
    "NetworkSpec",
    "PretrainedWeights",
    "SavedNetwork",
    "StartingWeights",
    "class_names",
    "convert",
    "create_model",
    "fetch_weights",
    "find_weights",
    "list_weights",
    "load_model",
    "load_network",
    "load_weights",
    "network_fingerprint",
    "read_foreign_weights",
    "save_network",
    "starting_weights",
    "untrained",
    "untrained_model",
    "weights_fingerprint",
    "weights_of_run",
]
