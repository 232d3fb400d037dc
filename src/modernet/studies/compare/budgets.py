"""How long each candidate of a comparison is trained, so that all get the same of something."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from modernet.errors import InputError
from modernet.files.atomic import whole_file
from modernet.recipes import Recipe
from modernet.report.compare.compared import Budget
from modernet.report.notation import plural
from modernet.studies.compare.request import CompareRequest

CALIBRATION_NAME = "calibration.json"
_TUNING_SHARE = 5
"""Of the epochs of a final training, a training to tune it has one in five."""


@dataclass(frozen=True)
class Share:
    """What one candidate gets.

    Attributes:
        epochs: of a final training.
        images_per_second: of training, as measured before; None if it was not.
        seconds: of a final training, by that speed; None if it was not measured.
    """

    epochs: int
    images_per_second: float | None = None
    seconds: float | None = None

    @property
    def tuning_epochs(self) -> int:
        """Of a training to tune it: a fifth, at least one."""
        return max(1, self.epochs // _TUNING_SHARE)


@dataclass(frozen=True)
class Calibration:
    """The shares of all candidates, kept in the folder so that a resumed study has the same.

    Attributes:
        budget: what all get the same of.
        epochs: those of the recipe.
        amount: seconds, or multiply-accumulates, of a final training; None for equal epochs.
        shares: by label.
        images: training images; None in files of early versions.
        fingerprints: of the images, as `Plan` has them; none in files of early versions.
    """

    budget: Budget
    epochs: int
    amount: float | None
    shares: Mapping[str, Share]
    images: int | None
    fingerprints: tuple[str, ...]

    @staticmethod
    def read(folder: Path, request: CompareRequest) -> Calibration | None:
        """Return that of an earlier call; None if there is none.

        Raises:
            InputError: it is of another budget or number of epochs, or cannot be read.
        """
        path = folder / CALIBRATION_NAME
        if not path.exists():
            return None
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            shares = {label: Share(**share) for label, share in stored["shares"].items()}
            prints = tuple(stored.get("fingerprints", ()))
            found = Calibration(
                stored["budget"], stored["epochs"], stored["amount"], shares, stored.get("images"), prints
            )
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path} cannot be read; give another --out, or remove it") from error
        for name, wanted in (("budget", request.budget), ("epochs", request.recipe.schedule.epochs)):
            if getattr(found, name) != wanted:
                raise InputError(
                    f"{folder} has a comparison with {name} {getattr(found, name)}, not {wanted}; give another --out"
                )
        return found

    def write(self, folder: Path) -> None:
        """Keep it in a folder."""
        with whole_file(folder / CALIBRATION_NAME) as unfinished:
            unfinished.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    def lines(self) -> list[str]:
        """Return what the candidates get, a line for each; none for equal epochs."""
        if self.budget == "equal-epochs":
            return []
        amount = self.amount or 0.0
        what = f"{amount:.1f} s of training" if self.budget == "equal-seconds" else f"{amount:.3g} multiply-accumulates"
        epochs = {label: plural(share.epochs, "epoch") for label, share in self.shares.items()}
        return [f"{label}: {own}, the nearest to {what}" for label, own in epochs.items()]


def calibrate(
    request: CompareRequest,
    candidates: Mapping[str, Mapping[str, Any]],
    before: Calibration | None,
    measure: Callable[[], Mapping[str, float]],
    fingerprints: tuple[str, ...] = (),
) -> Calibration:
    """Return how many epochs each candidate is trained, at least one.

    With equal seconds or multiply-accumulates, the amount is what the median candidate needs for the epochs of the
    recipe; it stays the same when candidates are added later.

    Args:
        candidates: label -> the settings of its record, with `macs` and `data`.
        before: of an earlier call in this folder; its candidates keep their epochs.
        measure: measures training speeds, label -> images per second; called only where they decide. A candidate that
            has none gets no share.
        fingerprints: of the images, to keep.

    Raises:
        InputError: the earlier call was for another number of images.
    """
    n_train: int = next(iter(candidates.values()))["data"]["n_train"]  # the same for all, whatever their size
    if before is not None and before.images not in (None, n_train):
        raise InputError(
            f"{request.data} has {n_train} training images, and the comparison in that folder is for {before.images}; "
            "give another --out"
        )
    known = {} if before is None else {label: before.shares[label] for label in candidates if label in before.shares}
    new = {label: settings for label, settings in candidates.items() if label not in known}
    epochs, amount = request.recipe.schedule.epochs, None if before is None else before.amount
    found: dict[str, Share] = {}
    if request.budget == "equal-epochs":
        found = {label: Share(epochs) for label in new}
    elif new:
        images = {label: settings["data"]["n_train"] for label, settings in new.items()}
        if request.budget == "equal-seconds":
            speeds = measure()
            cost = {label: images[label] / speeds[label] for label in new if label in speeds}
        else:
            speeds = {}
            cost = {label: float(images[label] * settings["macs"]) for label, settings in new.items()}
        if amount is None and cost:
            amount = epochs * statistics.median(cost.values())
        for label, each in cost.items():
            assert amount is not None, "of the candidates that have a cost"
            own = max(1, round(amount / each))
            speed = speeds.get(label)
            found[label] = Share(own, speed, None if speed is None else own * each)
    shares = {label: known.get(label) or found[label] for label in candidates if label in known or label in found}
    others = {} if before is None else {name: share for name, share in before.shares.items() if name not in shares}
    return Calibration(request.budget, epochs, amount, {**shares, **others}, n_train, fingerprints)


def tuned_settings(recipe: Recipe, count: int) -> list[dict[str, float]]:
    """Return the first settings to try, as recipe field -> value: of three learning rates, then of other weight decays.

    The learning rate is the recipe's, a third and three times of it, at its own weight decay, then at a third and at
    three times of that. The first setting is the recipe as it is.

    Raises:
        InputError: there are not so many.
    """
    factors = (1.0, 1 / 3, 3.0)
    optimizer, found = recipe.optimizer, list[dict[str, float]]()
    for decay in factors:
        for rate in factors:
            setting = {"lr": optimizer.lr * rate, "weight_decay": optimizer.weight_decay * decay}
            if setting not in found:  # a weight decay of 0 has no others
                found.append(setting)
    if count > len(found):
        raise InputError(f"tune is {count}; give at most {len(found)}")
    return found[:count]
