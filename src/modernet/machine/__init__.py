"""The machine: its devices, cores and memory, and how time is measured on it."""
