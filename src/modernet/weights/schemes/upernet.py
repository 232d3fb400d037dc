"""UPerNet under the names of other projects: those of its backbone, in a larger network."""

from __future__ import annotations

from collections.abc import Sequence

from modernet.weights.schemes.dense import around
from modernet.weights.schemes.scheme import Names, Scheme

_OPENMMLAB: Names = [(r"^pyramid\.levels\.(\d)\.", r"backbone.norm\1.")]
_TRANSFORMERS: Names = [
    (r"^pyramid\.levels\.(\d)\.", lambda match: f"backbone.hidden_states_norms.stage{int(match[1]) + 1}."),
    (r"(?<=_head)(.*)\.bn\.", r"\1.batch_norm."),
    (r"\.conv_seg\.", ".classifier."),
]
_HEADS = {"original": _OPENMMLAB, "openmmlab": _OPENMMLAB, "transformers": _TRANSFORMERS}
"""Project -> names of what is not the backbone. The papers' code is built on OpenMMLab's."""

_UNUSED = [r"^backbone\.swin\.layernorm\."]  # in files of transformers 5
_OURS = Scheme("modernet")


def upernet_schemes(of_backbone: Sequence[Scheme]) -> tuple[Scheme, ...]:
    """Return the schemes of a UPerNet, from those of its backbone."""
    published = [scheme for scheme in of_backbone if scheme.project in _HEADS and not scheme.absent]
    with_body = [scheme for scheme in published if scheme.body not in ("", "backbone.")]  # `around` adds the latter
    return (_OURS, *(_around(scheme) for scheme in [*(each.without_body() for each in published), *with_body]))


def _around(scheme: Scheme) -> Scheme:
    return around(scheme, _HEADS[scheme.project], ignored=_UNUSED)
