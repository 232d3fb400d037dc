"""Training: one loop for every task, and what a run leaves behind."""

from modernet.training.context import Intervals, RunContext
from modernet.training.loop import Trained, train
from modernet.training.non_finite import NonFiniteLoss
from modernet.training.run import RunOptions, RunSpec, run_task
from modernet.training.state.checkpoint import DiskFull, checkpoint_identity, has_checkpoint, read_checkpoint
from modernet.training.state.identity import differences, run_identity
from modernet.training.state.run_folder import prepare_folder
from modernet.training.stopping import Interrupted, ignoring_ctrl_c, stop_requested_by_signal
from modernet.training.task import Task

__all__ = [
    "DiskFull",
    "Interrupted",
    "Intervals",
    "NonFiniteLoss",
    "RunContext",
    "RunOptions",
    "RunSpec",
    "Task",
    "Trained",
    "checkpoint_identity",
    "differences",
    "has_checkpoint",
    "ignoring_ctrl_c",
    "prepare_folder",
    "read_checkpoint",
    "run_identity",
    "run_task",
    "stop_requested_by_signal",
    "train",
]
