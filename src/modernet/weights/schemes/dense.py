"""Networks whose heads are on a backbone's feature pyramid, under the names of other projects."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from modernet.weights.schemes.scheme import Names, Scheme

_BACKBONE = "backbone."


def around(of_backbone: Scheme, names: Names, *, ignored: Sequence[str] = ()) -> Scheme:
    """Return the scheme of a `DenseNetwork` from that of its backbone, which projects store under `backbone.`.

    Args:
        names: of what is not the backbone.
        ignored: stored names that the network does not need, besides those of the backbone.
    """
    inner = replace(of_backbone, split={})  # which applies to the whole name

    def stored(match: re.Match[str]) -> str:
        (name,) = inner.stored_names(match[1])
        return name if name.startswith(_BACKBONE) else f"{_BACKBONE}{name}"

    return replace(
        of_backbone,
        names=[(r"^pyramid\.backbone\.(.*)", stored), *names],
        ignored=[*of_backbone.ignored, *ignored],
        body="",
        writable=False,
    )
