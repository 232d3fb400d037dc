"""The cost of networks on paper: parameters, multiply-accumulates, memory traffic, stage by stage."""

from modernet.counting.macs import Counts, check_image_size, count
from modernet.counting.stages import StageRow, describe_stages
from modernet.counting.traffic import Work, count_work

__all__ = ["Counts", "StageRow", "Work", "check_image_size", "count", "count_work", "describe_stages"]
