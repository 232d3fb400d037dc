"""What networks cost: counted without a device."""

from modernet.benchmark.macs import Counts, count
from modernet.benchmark.stages import StageRow, describe_stages

__all__ = ["Counts", "StageRow", "count", "describe_stages"]
