"""The Long Range Arena on this machine: models by tasks by seeds."""

from modernet.studies.arena.estimate import Estimate
from modernet.studies.arena.request import DEFAULT_MODELS, DEFAULT_TASKS, ArenaRequest
from modernet.studies.arena.study import estimate_arena, run_arena

__all__ = ["DEFAULT_MODELS", "DEFAULT_TASKS", "ArenaRequest", "Estimate", "estimate_arena", "run_arena"]
