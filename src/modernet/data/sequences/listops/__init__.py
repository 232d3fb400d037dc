"""ListOps: nested lists of digits, whose value is the class. Generated, or read."""

from modernet.data.sequences.listops.dataset import listops_dataset

__all__ = ["listops_dataset"]
