"""What identifies a run, and the checkpoints that resume it."""
