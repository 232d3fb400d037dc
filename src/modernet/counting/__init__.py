"""The cost of networks on paper: parameters, multiply-accumulates, memory traffic, stage by stage."""

from modernet.counting.facts import network_facts
from modernet.counting.macs import Counts, check_image_size, count
from modernet.counting.stages import describe_stages
from modernet.counting.traffic import Work, count_work

__all__ = ["Counts", "Work", "check_image_size", "count", "count_work", "describe_stages", "network_facts"]
