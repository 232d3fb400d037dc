"""The network that a command is given: a published one, one with weights of a file, or that of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from modernet.catalogue import find_weights
from modernet.data.images.marks import NO_MARKS, Marks, read_marks
from modernet.deploy import OptimizedNetwork, is_optimized, load_saved_optimized
from modernet.errors import InputError
from modernet.files.fingerprint import json_sha256
from modernet.records import is_run_path
from modernet.tasks.registry import load_network
from modernet.weights import SavedNetwork, load_model, untrained, untrained_model, weights_fingerprint
from modernet.weights.saved_network import read_description


@dataclass(frozen=True)
class NamedNetwork:
    """A network and where it comes from.

    Attributes:
        saved: the network.
        weights: for the record: the name of published ones, a file or a folder, or a run.
        run: the folder of the run that trained it, which knows what it learned from; None for others.
    """

    saved: SavedNetwork
    weights: str
    run: Path | None = None

    @staticmethod
    def load(
        name: str, weights: Path | None = None, *, original: bool = False, classifier: bool = True
    ) -> NamedNetwork:
        """Load what `name` means.

        Args:
            name: a model, `model.tag` for published weights, or the folder of a finished run or of `modernet optimize`,
                with a slash.
            weights: a file of weights for the model.
            original: of a folder of `modernet optimize`, load the network that was optimized.
            classifier: as `load_model` takes it.

        Raises:
            InputError: there is no such network, or its weights cannot be had.
        """
        if not is_run_path(name):
            return NamedNetwork.of_model(name, weights, classifier=classifier)
        if weights is not None:
            raise InputError(f"--weights belong to a model, and {name} is the path of a run; leave one out")
        return NamedNetwork.of_run(Path(name)) if original else NamedNetwork.of_folder(Path(name))

    @staticmethod
    def of_model(name: str, weights: Path | None = None, *, classifier: bool = True) -> NamedNetwork:
        """Load published weights, or those of a file, as `load_model` does."""
        known = find_weights(name).name if weights is None else weights.resolve().name
        return NamedNetwork(load_model(name, weights, classifier=classifier), known)

    @staticmethod
    def untrained(name: str, seed: int) -> NamedNetwork:
        """Make the network that `name` means, a model or the folder of a finished run, with random weights."""
        if not is_run_path(name):
            return NamedNetwork(untrained_model(name, seed), f"random, seed {seed}")
        about = read_description(Path(name))
        return NamedNetwork(untrained(about.spec, about.inputs, seed), f"random, seed {seed}")

    @staticmethod
    def of_run(folder: Path) -> NamedNetwork:
        """Load the network of a finished run, as `load_network` does."""
        return NamedNetwork(load_network(folder), folder.resolve().name, folder)

    @staticmethod
    def of_folder(folder: Path, *, trust: bool = False) -> NamedNetwork:
        """Load the network of a finished run; of a folder that `modernet optimize` wrote, as `load_optimized` does."""
        if not is_optimized(folder):
            return NamedNetwork.of_run(folder)
        return NamedNetwork(load_saved_optimized(folder, trust=trust), folder.resolve().name, folder)

    def marks(self) -> Marks | None:
        """Return the marks of the images that it learned from; None where they are unknown."""
        return NO_MARKS if self.run is None else read_marks(self.run)

    def fingerprint(self) -> str:
        """Return a short digest of its weights; of an optimized network, also of the way that it runs."""
        network = self.saved.network
        if isinstance(network, OptimizedNetwork):
            return json_sha256([network.fingerprint, str(network.runner.way)])[:12]
        return weights_fingerprint(network)
