"""Networks made fast for inference: exact rewrites, then what a short measurement on this device says is fastest."""
