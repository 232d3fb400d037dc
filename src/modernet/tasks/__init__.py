"""Tasks, a file each: the only place where a network, its data, its loss and its metrics meet."""

from modernet.tasks.classification import train_classifier
from modernet.tasks.named_network import NamedNetwork
from modernet.tasks.optimizing import OptimizeRequest, fastest_way, optimize_named
from modernet.tasks.registry import EvaluateRequest, Measured, PredictRequest, TrainRequest, get_task, load_network

__all__ = [
    "EvaluateRequest",
    "Measured",
    "NamedNetwork",
    "OptimizeRequest",
    "PredictRequest",
    "TrainRequest",
    "fastest_way",
    "get_task",
    "load_network",
    "optimize_named",
    "train_classifier",
]
