"""What networks cost: counted without a device, and measured on one."""

from modernet.benchmark.case import Case
from modernet.benchmark.device import choose_device
from modernet.benchmark.gpu_settings import gpu_settings
from modernet.benchmark.macs import Counts, count
from modernet.benchmark.peaks import Peaks, measure_peaks, product_tflops
from modernet.benchmark.run import Stopped, default_folder
from modernet.benchmark.speed import benchmark_models
from modernet.benchmark.stages import StageRow, describe_stages
from modernet.benchmark.table12 import MeasuredPair, measure_table12
from modernet.benchmark.traffic import Work, count_work
from modernet.benchmark.traps import Trap, find_traps

__all__ = [
    "Case",
    "Counts",
    "MeasuredPair",
    "Peaks",
    "StageRow",
    "Stopped",
    "Trap",
    "Work",
    "benchmark_models",
    "choose_device",
    "count",
    "count_work",
    "default_folder",
    "describe_stages",
    "find_traps",
    "gpu_settings",
    "measure_peaks",
    "measure_table12",
    "product_tflops",
]
