"""The fastest way to run a network on this device, found by measurement."""
