"""Write the explorer: published accuracy, robustness, size and speed of image classifiers, and one's own points."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modernet.catalogue.published_models import (
    ACCURACIES,
    DEVICES,
    PublishedModel,
    published_models,
    published_source,
)
from modernet.catalogue.weights import PERMISSIVE
from modernet.files.atomic import whole_file
from modernet.palette import palette
from modernet.records import Record
from modernet.report.drawing.script import vega_script
from modernet.report.published.own import OwnPoint, own_points

HIGHLIGHTED = ("resnet", "vit", "swin", "efficientnetv2", "levit", "convnextv2", "convnext")
"""Families that have a colour at first; one more is chosen in place of the oldest."""
_COST = {"params_m": "parameters, millions", "gmacs": "multiply-accumulates per image, billions"}
_SPEED = "images/s"


def write_explorer(path: Path, records: Sequence[Record] = ()) -> int:
    """Write the explorer as one HTML file that opens offline, atomically.

    It has all of `published_models`, and of the records: benchmarks of networks with a published accuracy, on this
    device; and what was trained or evaluated on ImageNet.

    Returns:
        How many points are from the records.
    """
    import jinja2

    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("modernet.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    own = own_points(records)
    page = templates.get_template("published/explorer.html.j2").render(
        content=_content(own), source=published_source(), vega=vega_script(), count=len(published_models())
    )
    with whole_file(path) as unfinished:
        unfinished.write_text(page, encoding="utf-8", errors="backslashreplace")
    return len(own)


def _content(own: Sequence[OwnPoint]) -> dict[str, Any]:
    """Return what the page's script reads: columns by name, and a row of values for each point."""
    speeds = DEVICES | {point.device: f"{point.device}, measured here" for point in own if point.device}
    fields = ["name", "family", "licence", "extra", "size", *_COST, *ACCURACIES, *speeds]
    axes = [
        *({"name": name, "title": f"{title}, per cent", "better": 1} for name, title in ACCURACIES.items()),
        *({"name": name, "title": title, "better": -1, "log": True} for name, title in _COST.items()),
        *({"name": name, "title": f"{_SPEED}: {title}", "better": 1, "log": True} for name, title in speeds.items()),
    ]
    families = Counter(model.family for model in published_models())
    colours = ["#{:02x}{:02x}{:02x}".format(*colour) for colour in palette(len(HIGHLIGHTED))]
    return {
        "fields": fields,
        "axes": axes,
        "rows": [_row(model, fields) for model in published_models()],
        "own": [point.row(fields) for point in own],
        "families": [[name, count] for name, count in sorted(families.items())],
        "highlighted": list(HIGHLIGHTED),
        "colours": colours,
        "permissive": list(PERMISSIVE),
        "start": {"x": "gmacs" if own else "rtx4090_compiled", "y": "top1"},  # no published speed is of this device
    }


def _row(model: PublishedModel, fields: Sequence[str]) -> list[Any]:
    values = {
        "name": model.name,
        "family": model.family,
        "licence": model.licence,
        "extra": int(model.extra_data),
        "size": model.image_size,
        "params_m": model.params_m,
        "gmacs": model.gmacs,
        **model.accuracies,
        **model.speeds,
    }
    return [values.get(name) for name in fields]
