"""Where weights come from and go to."""

from modernet.weights.saved_network import NetworkSpec, SavedNetwork, load_network, save_network

__all__ = ["NetworkSpec", "SavedNetwork", "load_network", "save_network"]
