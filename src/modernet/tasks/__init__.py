"""Tasks, a file each: the only place where a network, its data, its loss and its metrics meet."""

from modernet.tasks.classification import train_classifier

__all__ = ["train_classifier"]
