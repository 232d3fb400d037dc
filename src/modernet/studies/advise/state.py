"""What an advice has decided and measured so far, in its folder, so that the same command goes on alike."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from modernet.errors import InputError
from modernet.files.atomic import whole_file
from modernet.recipes import leaves
from modernet.studies.advise.evidence import Evidence
from modernet.studies.advise.halving import Cost, Entered, Plan, Round
from modernet.studies.advise.request import AdviseRequest

PLAN_NAME = "plan.json"
SPENT_NAME = "spent.json"


@dataclass
class State:
    """Decisions that are made once.

    Attributes:
        asked: the request, JSON-able.
        images: fingerprint of those that it was for.
        labels: candidates that are trained.
        not_tried: what was left out before anything was measured, and why.
        evidence: of every candidate, by label.
        left: candidates that left before the first round, and why.
        costs: seconds of training of those that are trained.
        plan: the rounds.
        entered: who takes part in the rounds that have begun.
    """

    asked: dict[str, Any]
    images: str
    labels: list[str]
    not_tried: dict[str, str]
    evidence: dict[str, Evidence]
    left: dict[str, str]
    costs: dict[str, Cost]
    plan: Plan
    entered: list[Entered] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        """Write it to the folder of the advice."""
        with whole_file(folder / PLAN_NAME) as unfinished:
            unfinished.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @staticmethod
    def read(folder: Path, request: AdviseRequest) -> State | None:
        """Read it from the folder of an advice; None if nothing was decided yet.

        Raises:
            InputError: the folder is that of another request, or the file is damaged.
        """
        path = folder / PLAN_NAME
        if not path.exists():
            return None
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            plan = stored["plan"]
            state = State(
                stored["asked"],
                stored["images"],
                stored["labels"],
                stored["not_tried"],
                {name: Evidence(**each) for name, each in stored["evidence"].items()},
                stored["left"],
                {name: Cost(**each) for name, each in stored["costs"].items()},
                Plan(tuple(Round(**each) for each in plan.pop("rounds")), **plan),
                [Entered(tuple(each.pop("names")), **each) for each in stored["entered"]],
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path} is damaged; remove it, or give another --out") from error
        now = asked(request)
        for name, value in now.items():
            if state.asked.get(name) != value:
                raise InputError(
                    f"{folder} has an advice with {name} {state.asked.get(name)}, not {value}; give another --out, or "
                    "remove that folder"
                )
        return state


def asked(request: AdviseRequest) -> dict[str, Any]:
    """Return what decides an advice, JSON-able."""
    values = {name: value for name, value in vars(request).items() if name != "recipe"}
    values["weights_dir"] = None if request.weights_dir is None else str(request.weights_dir.resolve())
    recipe = {name: value for name, value in leaves(request.recipe).items() if name not in ("name", "source")}
    found: dict[str, Any] = json.loads(json.dumps({**values, **recipe}))
    return found


class Spent:
    """The seconds that an advice has used, over all calls since it was planned.

    Args:
        folder: of the advice.
        planned: whether it has a plan; what was measured without reaching one is measured again.
    """

    def __init__(self, folder: Path, planned: bool) -> None:
        self._path = folder / SPENT_NAME
        self._before = _read_seconds(self._path) if planned else 0.0
        self._begin = time.monotonic()

    @property
    def seconds(self) -> float:
        """Until now."""
        return self._before + time.monotonic() - self._begin

    def note(self) -> None:
        """Write it down, for the next call."""
        with whole_file(self._path, durable=False) as unfinished:
            unfinished.write_text(json.dumps({"seconds": self.seconds}) + "\n", encoding="utf-8")


def _read_seconds(path: Path) -> float:
    try:
        stored: Mapping[str, float] = json.loads(path.read_text(encoding="utf-8"))
        return float(stored["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0
