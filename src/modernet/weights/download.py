"""Published weights onto this machine: fetched once, resumable, verified."""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
import urllib.error
import urllib.request
from pathlib import Path

from modernet import progress
from modernet.errors import InputError
from modernet.files.atomic import whole_file
from modernet.files.cache import cache_folder
from modernet.weights.catalogue import HubFile, PretrainedWeights, WebFile

_CHUNK = 1 << 20
_PATIENCE_S = 30.0


def fetch_weights(entry: PretrainedWeights) -> Path:
    """The file of published weights, from this machine if it is here.

    Looked for first in `$MODERNET_CACHE/weights` (by default `~/.cache/modernet/weights`), where a user may put it,
    then in the cache of the Hugging Face Hub, which timm and transformers share; then it is fetched.

    Raises:
        InputError: it is not here and cannot be fetched (the message says which file to put where), or it is damaged.
    """
    here = local_path(entry)
    if here.is_file():
        return here
    try:
        if isinstance(entry.file, HubFile):
            return _from_hub(entry.file)
        return _from_web(entry.file, here)
    except OSError as error:
        raise InputError(
            f"{entry.name} is not on this machine and cannot be fetched ({_reason(error)}); put {entry.file} at {here}"
        ) from error


def local_path(entry: PretrainedWeights) -> Path:
    """Where a user may put the file of published weights."""
    address = str(entry.file)
    return cache_folder() / "weights" / f"{entry.name}{Path(address).suffix}"


def _from_hub(file: HubFile) -> Path:
    from huggingface_hub import hf_hub_download

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it warns of every attempt; the error says enough
    path = Path(hf_hub_download(file.repo, file.filename))
    blob = path.resolve().name  # the Hub's cache names a large file by its sha256
    if re.fullmatch(r"[0-9a-f]{64}", blob):
        _verify(path, blob, str(file))
    return path


def _from_web(file: WebFile, target: Path) -> Path:
    """Fetch to `target`, going on where an earlier attempt ended."""
    partial = target.with_name(f"{target.name}.part")
    partial.parent.mkdir(parents=True, exist_ok=True)
    start = partial.stat().st_size if partial.is_file() else 0
    request = urllib.request.Request(file.url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE_S) as answer:
            resumed = answer.status == 206
            total = int(answer.headers.get("Content-Length", 0)) + (start if resumed else 0)
            with (
                partial.open("ab" if resumed else "wb") as out,
                progress.task(f"fetching {target.name}", total) as task,
            ):
                task.advance(start if resumed else 0)
                while chunk := answer.read(_CHUNK):
                    out.write(chunk)
                    task.advance(len(chunk))
    except urllib.error.HTTPError as error:
        if error.code != 416:  # what is here is all there is
            raise
        total = start
    if total and partial.stat().st_size != total:
        raise ConnectionError(f"it ended at {partial.stat().st_size} of {total} bytes, and goes on from there")
    try:
        _verify(partial, file.sha256, file.url)
    except InputError:
        partial.unlink()
        raise
    with whole_file(target) as unfinished:
        shutil.move(partial, unfinished)
    return target


def _reason(error: BaseException) -> str:
    """What went wrong at the root, in a line."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = str(getattr(error, "reason", "") or error)
    return text.splitlines()[0] if text else type(error).__name__


def _verify(path: Path, sha256: str, source: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(sha256):
        raise InputError(
            f"{path} is damaged: its sha256 begins with {found[:8]}, that of {source} with {sha256[:8]}; remove it and "
            "fetch it again"
        )
