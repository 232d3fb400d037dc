"""The cost of networks on paper: parameters, multiply-accumulates, memory traffic, stage by stage."""

from modernet.counting.macs import Counts, count
from modernet.counting.stages import StageRow, describe_stages
from modernet.counting.traffic import Work, count_work

__all__ = ["Counts", "StageRow", "Work", "count", "count_work", "describe_stages"]
