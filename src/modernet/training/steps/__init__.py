"""How the optimizer steps: parameter groups, learning rates, clipping."""
