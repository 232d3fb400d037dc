"""Lines of several runs in one chart, by the field `line` of their rows, an index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modernet.report.drawing.figure import Spec

PICKED: dict[str, Any] = {"picked": []}
"""The parameter of the chart that lists the highlighted lines; empty for all. The page's buttons set it."""


def line_encoding(colors: Sequence[str]) -> Spec:
    """Return the encoding of the colour and the opacity of lines.

    Args:
        colors: of each line.
    """
    return {
        "color": {"field": "line", "type": "nominal", "legend": None}
        | {"scale": {"domain": list(range(len(colors))), "range": list(colors)}},
        "opacity": {
            "condition": {"test": "length(picked) == 0 || indexof(picked, datum.line) >= 0", "value": 1},
            "value": 0.12,
        },
    }
