"""Frozen features of any network for images, and what simple classifiers make of them."""

from modernet.evaluation.probing.features import Features, frozen_features
from modernet.evaluation.probing.frozen import FrozenBackbone, backbone_of
from modernet.evaluation.probing.linear import STRENGTHS, LinearClassifier, fit_linear
from modernet.evaluation.probing.neighbours import NUMBERS, neighbour_scores
from modernet.evaluation.probing.probe import Probe, Probes, probe, probe_features

__all__ = [
    "NUMBERS",
    "STRENGTHS",
    "Features",
    "FrozenBackbone",
    "LinearClassifier",
    "Probe",
    "Probes",
    "backbone_of",
    "fit_linear",
    "frozen_features",
    "neighbour_scores",
    "probe",
    "probe_features",
]
