"""The cost of networks, measured on a device.

The stages of one measurement, in order: `case` (what to measure) -> `targets` (find the network) and `inputs` (what it
is given) -> `workload` and `batch` (prepare it) -> `measure` (time in turns) -> `outcomes` (ratios and records) ->
`run` (all of it, written to a folder). `questions/` uses them: how fast networks are, Table 12 of the ConvNeXt paper,
which settings are traps.
"""

from modernet.benchmark.case import Case
from modernet.benchmark.questions.speed import benchmark_models
from modernet.benchmark.questions.table12 import MeasuredPair, measure_table12
from modernet.benchmark.questions.trap import Trap
from modernet.benchmark.questions.traps import find_traps
from modernet.benchmark.run import Stopped, default_folder

__all__ = [
    "Case",
    "MeasuredPair",
    "Stopped",
    "Trap",
    "benchmark_models",
    "default_folder",
    "find_traps",
    "measure_table12",
]
