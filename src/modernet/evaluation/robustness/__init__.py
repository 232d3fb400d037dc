"""How a classifier answers when images are corrupted, shifted, resized or lack a cue, and how well it knows."""

from modernet.evaluation.robustness.bias import Bias, Probe, probe_bias
from modernet.evaluation.robustness.calibration import (
    Calibration,
    ReliabilityBin,
    fit_temperature,
    measure_calibration,
    with_temperature,
)
from modernet.evaluation.robustness.corruption_error import (
    ALEXNET,
    ALEXNET_CLEAN,
    MCE_CORRUPTIONS,
    CorruptionMean,
    CorruptionSummary,
    corruption_summary,
)
from modernet.evaluation.robustness.resampling import Estimate
from modernet.evaluation.robustness.resolution import (
    RESOLUTIONS,
    Resolution,
    ResolutionSweep,
    network_at,
    sweep_resolutions,
)
from modernet.evaluation.robustness.translation import SHIFTS, Shifted, Translation, measure_translation

__all__ = [
    "ALEXNET",
    "ALEXNET_CLEAN",
    "MCE_CORRUPTIONS",
    "RESOLUTIONS",
    "SHIFTS",
    "Bias",
    "Calibration",
    "CorruptionMean",
    "CorruptionSummary",
    "Estimate",
    "Probe",
    "ReliabilityBin",
    "Resolution",
    "ResolutionSweep",
    "Shifted",
    "Translation",
    "corruption_summary",
    "fit_temperature",
    "measure_calibration",
    "measure_translation",
    "network_at",
    "probe_bias",
    "sweep_resolutions",
    "with_temperature",
]
