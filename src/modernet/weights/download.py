"""Fetch published weights: once, resumed if interrupted, verified."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

from modernet.catalogue import PretrainedWeights
from modernet.errors import InputError, one_line, root_cause
from modernet.files.cache import cache_folder
from modernet.files.fetch import FetchError, fetch
from modernet.files.fingerprint import file_sha256
from modernet.files.hub_file import HubFile
from modernet.progress import say


def fetch_weights(entry: PretrainedWeights, cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """Return the file of published weights, fetched if it is not on this machine.

    Looked for in `$MODERNET_CACHE/weights` (by default `~/.cache/modernet/weights`), where a user may put it, then in
    the cache of the Hugging Face Hub, which timm and transformers share.

    Args:
        cache_dir: a folder to use in place of both.

    Raises:
        InputError: it cannot be fetched (the message says which file to put where), or it is damaged.
    """
    target, file = local_path(entry), entry.file
    if cache_dir is not None:
        target = Path(cache_dir) / target.name
    if target.is_file():
        return target
    missing = f"{entry.name} is not on this machine"
    if isinstance(file, HubFile):
        try:
            return _fetch_from_hub(file, None if cache_dir is None else Path(cache_dir))
        except OSError as error:
            reason = one_line(root_cause(error))
            raise InputError(f"{missing}: cannot fetch {file.url} ({reason}); put the file at {target}") from error
    try:
        fetch(file.url, target, sha256=file.sha256)
    except FetchError as error:
        raise InputError(f"{missing}: {error}, or put the file at {target}") from error
    except OSError as error:
        raise InputError(
            f"cannot write {target} ({one_line(error)}); make room, or set MODERNET_CACHE to a folder on another disk"
        ) from error
    if file.sha256 is None:
        say(f"{file.url} is published without a checksum; only its length was verified")
    return target


def local_path(entry: PretrainedWeights) -> Path:
    """Return the path at which a user may put the file of published weights."""
    return cache_folder() / "weights" / f"{entry.name}{Path(entry.file.url).suffix}"


def _fetch_from_hub(file: HubFile, cache_dir: Path | None) -> Path:
    from huggingface_hub import hf_hub_download

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it warns of every attempt; the error says enough
    path = Path(hf_hub_download(file.repo, file.path, revision=file.revision, cache_dir=cache_dir))
    expected = path.resolve().name  # the Hub's cache names a large file by its sha256
    if re.fullmatch(r"[0-9a-f]{64}", expected):
        found = file_sha256(path)
        if found != expected:
            raise InputError(
                f"{path} is damaged: its sha256 is {found[:8]}..., that of {file.url} is {expected[:8]}...; remove it "
                "and fetch it again"
            )
    return path
