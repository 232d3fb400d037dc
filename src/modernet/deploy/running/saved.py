"""An optimized network in a folder, loaded without choosing or compiling again on a machine of the same kind."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from modernet import progress
from modernet.data.images.marks import Marks
from modernet.deploy.agreement import TOLERANCE, disagreement
from modernet.deploy.rewriting.apply import rewritten
from modernet.deploy.running.manifest import (
    MANIFEST_NAME,
    WAY_FOLDER,
    Machine,
    Manifest,
    digests,
    fields_of,
    kind_of,
    package_of,
    read_manifest,
)
from modernet.deploy.running.network import OptimizedNetwork
from modernet.deploy.running.way import Precision, Runner, Work
from modernet.errors import InputError, one_line
from modernet.files.atomic import check_free, whole_folder
from modernet.files.fingerprint import file_sha256
from modernet.files.own import is_own, remember_own
from modernet.machine.timing import speed_ratio, time_in_turns
from modernet.records import NETWORK_NAME
from modernet.weights import SavedNetwork, load_network, network_fingerprint, save_network
from modernet.weights.saved_network import WEIGHTS_NAME, read_description

_REDUCED = 0.05
"""Largest difference of a saved network in reduced precision from the one that was chosen, relative to the largest
result: a step of its numbers here and there."""
_LIKELIEST, _JUDGED = 0.95, 32
"""Share of images that keep their likeliest class in a saved network in reduced precision, of at least so many."""
_TIE = torch.finfo(torch.bfloat16).eps
"""Two best scores that are closer, relative to the largest of all, are equal to rounding."""
_STEPS = 4
"""The same of an exact one in half precision, in steps of its dtype at 1: 3 % in bfloat16, 0.4 % in float16."""
_ROUNDS, _TURN_S = 5, 0.3


def save_optimized(
    fast: OptimizedNetwork,
    folder: str | os.PathLike[str],
    network: SavedNetwork | None = None,
    marks: Marks | None = None,
) -> None:
    """Write an optimized network to a new folder; see `OptimizedNetwork.save`.

    Args:
        marks: of the images that the network learned from.
    """
    target, way, report = Path(folder), fast.runner.way, fast.report
    if isinstance(report, str):
        raise InputError("this network was loaded from a folder; copy that folder")
    check_free(target)
    kind = kind_of(way)
    if report.device != "cpu":
        raise InputError(f"the network was optimized on {report.device}; only one for the CPU can be saved")
    if network is not None:
        _check_network(fast, network)
    with whole_folder(target) as unfinished:
        if network is not None:
            _, height, width = fast.size
            save_network(
                unfinished, network.network, network.spec, network.classes,
                network.preparation.with_size((height, width)), network.task,
            )  # fmt: skip
        if marks is not None:
            marks.write(unfinished)
        files = unfinished / WAY_FOLDER
        files.mkdir()
        with progress.bar("saving", None) as step:
            step.advance(0, note=str(way))
            fast.runner.save(files)
        compiled = any(files.iterdir())
        if not compiled and network is None:
            raise InputError(
                f"the network runs as {way}, without a compiled program, so the folder must say how to build it: give "
                "network=, as load_network or load_model return it"
            )
        manifest = Manifest(
            kind=kind,
            fields=fields_of(way),
            precision=way.precision,
            images=fast.size,
            batch=report.batch,
            dtype=report.dtype,
            report=str(report),
            asked=fast.asked,
            judgement=str(report.judgement or ""),
            fingerprint=fast.fingerprint,
            machine=Machine.here([package_of(kind)]),
            files=digests(unfinished),
            modernet=metadata.version("modernet"),
        )
        loaded = way.load(files) if compiled else _prepare(unfinished, manifest)
        _check_results(fast, loaded, report.batch, report.dtype)
        if compiled:
            manifest = replace(manifest, report=f"{report}\n{_speed_line(fast, loaded, report.batch)}")
        manifest.write(unfinished)
        sha256 = file_sha256(unfinished / MANIFEST_NAME)
    try:
        remember_own(sha256)
    except OSError as error:
        progress.say(f"the cache folder cannot be written ({error.strerror}): loading {target} will need trust")


def load_optimized(
    folder: str | os.PathLike[str], *, images: Tensor | None = None, trust: bool = False
) -> OptimizedNetwork:
    """Load a network that `OptimizedNetwork.save` or `modernet optimize` wrote.

    On a machine of the same kind, with the same instructions and the same version of PyTorch or of the runtime, nothing
    is chosen or compiled. On another, the way to run it is chosen again from the network in the folder, which
    takes as long as `optimize`; the first line of its `report` then says why.

    The program in the folder is code, and can do anything. It runs only if this user has saved it, of which the cache
    folder has a note, or with `trust`.

    Args:
        images: `(b, c, h, w)`, typical images to choose again with; without, an exact way is chosen on random ones.
        trust: run a program that someone else has saved.

    Raises:
        InputError: the folder has no optimized network, a file is missing or was changed, a newer modernet wrote it, it
            is a stranger's, or it is for another machine and has no network to choose again from.

    >>> fast = load_optimized("fast")  # doctest: +SKIP
    """
    source = Path(folder)
    manifest = read_manifest(source)
    differences = Machine.here(list(manifest.machine.versions)).differences(manifest.machine)
    if differences:
        return _choose_again(source, manifest, differences, images)
    if not trust and not is_own(file_sha256(source / MANIFEST_NAME)):
        raise InputError(
            f"{source} was saved by someone else, and its program can do anything: give trust=True (--trust) if you "
            "trust them, or optimize the network yourself"
        )
    _check_files(source, manifest, f"{WAY_FOLDER}/")
    try:
        if any(name.startswith(f"{WAY_FOLDER}/") for name in manifest.files):
            runner = manifest.way().load(source / WAY_FOLDER)
        else:
            runner = _prepare(source, manifest)
    except InputError:
        raise
    except Exception as error:  # a runtime or the loader of programs may raise anything
        raise InputError(
            f"{source} cannot be loaded ({one_line(error, with_type=True)}); optimize the network again"
        ) from error
    return OptimizedNetwork(runner, manifest.images, manifest.report, manifest.fingerprint, manifest.asked)


def load_saved_optimized(folder: Path, *, trust: bool = False) -> SavedNetwork:
    """Load an optimized network with its classes and how images are prepared, which the folder must have.

    Raises:
        InputError: as `load_optimized`, or the folder has only the optimized network.
    """
    about = read_description(folder)
    network = load_optimized(folder, trust=trust)
    return SavedNetwork(network, about.spec, about.classes, about.preparation, about.task)


def _check_network(fast: OptimizedNetwork, network: SavedNetwork) -> None:
    if network.task != "classification":
        raise InputError(f"the network given is of the task {network.task}; only a classifier can be saved beside")
    if network_fingerprint(network.network) != fast.fingerprint:
        raise InputError("the network given is not the one that was optimized; give that one, with the same weights")


def _check_results(fast: OptimizedNetwork, loaded: Runner, batch: int, dtype: str) -> None:
    """Check that what was read back returns what the network that was chosen returns, on random images.

    Its results may differ by rounding: `_STEPS` in half precision, and `_REDUCED` where the precision is reduced. Then
    nearly all images (`_LIKELIEST`) must also keep their likeliest class, but for those whose two best scores are equal
    to rounding.

    Raises:
        InputError: its results differ.
    """
    runner, images = fast.runner, _random_images(batch, fast.size)
    tolerance = _tolerance(runner.way.precision, getattr(torch, dtype))
    for some in (images, images[:1], torch.cat([images, images[:1]])):
        failure = disagreement(loaded(some), runner(some), tolerance)
        if failure:
            raise InputError(f"nothing was saved: the saved network's {failure} for {len(some)} images")
    if runner.way.precision == "exact":
        return
    rounds = -(-_JUDGED // batch)
    parts = _random_images(rounds * batch, fast.size).reshape(rounds, batch, *fast.size)
    kept = _kept_classes([(runner(part), loaded(part)) for part in parts])
    if kept < _LIKELIEST:
        raise InputError(
            f"nothing was saved: the saved network keeps the likeliest class of only {kept:.0%} of "
            f"{rounds * batch} random images; use another precision"
        )


def _kept_classes(results: Sequence[tuple[Any, Any]]) -> float:
    """Return the share of images, but for ties, whose likeliest class in the first results is that in the second.

    1 for results that are no scores `(b, classes)`.
    """
    if not all(isinstance(scores, Tensor) and scores.ndim == 2 and scores.shape[1] > 1 for scores, _ in results):
        return 1.0
    expected, found = (torch.cat(scores).float() for scores in zip(*results, strict=True))
    best, second = expected.topk(2).values.unbind(1)
    clear = best - second > _TIE * expected.abs().max()
    kept = (found.argmax(1) == expected.argmax(1))[clear]
    return float(kept.float().mean()) if len(kept) else 1.0


def _tolerance(precision: Precision, dtype: torch.dtype) -> float:
    """Return the largest relative difference of what was saved from what was chosen."""
    return _REDUCED if precision != "exact" else max(TOLERANCE, _STEPS * torch.finfo(dtype).eps)


def _speed_line(fast: OptimizedNetwork, loaded: Runner, batch: int) -> str:
    """Return one line on the speed of a saved program relative to the one that was measured."""
    runner, images = fast.runner, _random_images(batch, fast.size)
    calls = {"measured": lambda: runner(images), "saved": lambda: loaded(images)}
    times = time_in_turns(calls, images.device, rounds=_ROUNDS, turn_s=_TURN_S, name="checking")
    ratio = speed_ratio(times["saved"], times["measured"])
    return f"as saved: {ratio.median:.2f}x the speed above [{ratio.low:.2f}, {ratio.high:.2f}]"


def _prepare(folder: Path, manifest: Manifest) -> Runner:
    """Prepare a way that needs no program from the network in the folder."""
    network = _load_network(folder, manifest).network.requires_grad_(False)
    with torch.inference_mode(False), torch.no_grad():
        dtype: torch.dtype = getattr(torch, manifest.dtype)
        channels, height, width = manifest.images
        changed = rewritten(network, (height, width), channels)
        return manifest.way().prepare(Work(changed, _random_images(manifest.batch, manifest.images), dtype))


def _choose_again(folder: Path, manifest: Manifest, differences: str, images: Tensor | None) -> OptimizedNetwork:
    if NETWORK_NAME not in manifest.files:
        raise InputError(f"{folder} is for another machine: {differences}; optimize the network again")
    why = f"{folder} is for another machine: {differences}; the way to run it was chosen again"
    asked = manifest.asked
    if images is None and asked.precision != "exact":
        why += ", in exact precision, as there are no images to judge another by"
        asked = replace(asked, precision="exact")
    progress.say(why)
    from modernet.deploy.running.optimized import optimize  # takes seconds to import

    network = _load_network(folder, manifest).network
    example = _random_images(manifest.batch, manifest.images) if images is None else images
    batch = min(manifest.batch, len(example))
    fast = optimize(network, example, dtype=getattr(torch, manifest.dtype), batch=batch, **asdict(asked))
    assert isinstance(fast, OptimizedNetwork), "only classifiers are saved beside"
    return OptimizedNetwork(fast.runner, fast.size, f"{why}\n{fast.report}", fast.fingerprint, fast.asked)


def _load_network(folder: Path, manifest: Manifest) -> SavedNetwork:
    for name in (NETWORK_NAME, WEIGHTS_NAME):
        _check_files(folder, manifest, name)
    return load_network(folder)


def _random_images(batch: int, size: tuple[int, int, int]) -> Tensor:
    return torch.randn(batch, *size, generator=torch.Generator().manual_seed(0))


def _check_files(folder: Path, manifest: Manifest, start: str) -> None:
    """Check that the files whose path begins so are those that were saved.

    Raises:
        InputError: one is missing, was changed or was added.
    """
    found = digests(folder, start)
    for name in sorted({name for name in manifest.files if name.startswith(start)} | found.keys()):
        if found.get(name) != manifest.files.get(name):
            change = "is missing" if name not in found else "was changed" if name in manifest.files else "was added"
            raise InputError(f"{folder / name} {change} since it was saved; optimize the network again")
