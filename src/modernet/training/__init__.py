"""Training: one loop for every task, and what a run leaves behind."""

from modernet.training.checkpoint import DiskFull, has_checkpoint, prepare_folder, read_checkpoint
from modernet.training.classification import classifier_settings, train_classifier
from modernet.training.identity import differences, run_identity
from modernet.training.interruption import Interrupted, ignoring_ctrl_c, stop_requested_by_signal
from modernet.training.loop import Trained, train
from modernet.training.non_finite import NonFiniteLoss
from modernet.training.placement import choose_device
from modernet.training.task import Task

__all__ = [
    "DiskFull",
    "Interrupted",
    "NonFiniteLoss",
    "Task",
    "Trained",
    "choose_device",
    "classifier_settings",
    "differences",
    "has_checkpoint",
    "ignoring_ctrl_c",
    "prepare_folder",
    "read_checkpoint",
    "run_identity",
    "stop_requested_by_signal",
    "train",
    "train_classifier",
]
