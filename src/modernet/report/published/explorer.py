"""Write the explorer: published accuracy, robustness, size and speed of image classifiers, and one's own points."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modernet.catalogue.published_models import ACCURACIES, DEVICES, published_models, published_source
from modernet.catalogue.published_papers import PAPER_DEVICES, PAPERS, published_papers
from modernet.catalogue.weights import PERMISSIVE
from modernet.files.atomic import whole_file
from modernet.records import Record
from modernet.report.published.own import OwnPoint, own_points
from modernet.report.published.points import published_points

HIGHLIGHTED = ("resnet", "vit", "swin", "efficientnetv2", "levit", "convnextv2", "convnext")
"""Families that have a colour at first; one more is chosen in place of the oldest."""

COLOURS = (
    ("#104079", "#346ecd"), ("#d97800", "#e0b000"), ("#197a53", "#00c076"), ("#996b96", "#e863ae"),
    ("#109aea", "#aacaff"), ("#ad2f09", "#c84600"), ("#1b1f24", "#ffffff"),
)  # fmt: skip
"""Of those families, on light and on dark ground: near Okabe's and Ito's, moved until every pair is told apart in all
forms of colour blindness and each stands out from its ground by three to one."""

OTHER = ("#b4bcc6", "#4c5560")
"""Of families without a colour."""

_COST = {"params_m": "parameters, millions", "gmacs": "multiply-accumulates per image, billions"}


def write_explorer(path: Path, records: Sequence[Record] = ()) -> int:
    """Write the explorer as one HTML file that opens offline, atomically.

    It has all of `published_models` and `published_papers`, and of the records: benchmarks of networks with a published
    accuracy, on this device; and what was trained or evaluated on ImageNet.

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
        content=_content(own),
        colours=COLOURS,
        other=OTHER,
        timm=published_source(),
        papers=PAPERS.values(),
        count=len(published_models()),
        paper_count=len(published_papers()),
    )
    with whole_file(path) as unfinished:
        unfinished.write_text(page, encoding="utf-8", errors="backslashreplace")
    return len(own)


def _content(own: Sequence[OwnPoint]) -> dict[str, Any]:
    """Return what the page's script reads: columns by name, and a row of values for each point."""
    speeds = DEVICES | PAPER_DEVICES | {point.device: f"{point.device}, measured here" for point in own if point.device}
    fields = [
        "name", "family", "source", "licence", "extra", "size", *_COST, *ACCURACIES, "mce", "gain", "gain_sizes",
        *speeds, "scaled", "borrowed",
    ]  # fmt: skip
    axes = [
        *(_axis(name, f"{title}, per cent", "accuracy") for name, title in ACCURACIES.items()),
        _axis("mce", "ImageNet-C mean corruption error, per cent of AlexNet's", "error"),
        _axis("gain", "ImageNet-1K top-1 at the largest size minus at the smallest, points", "gain"),
        *(_axis(name, title, "cost") for name, title in _COST.items()),
        *(_axis(name, f"images/s: {title}", "speed") for name, title in speeds.items()),
    ]
    published = published_points()
    points = [*published, *(point.values() for point in own)]
    return {
        "fields": fields,
        "axes": axes,
        "rows": [[point.get(name) for name in fields] for point in points],
        "families": sorted(Counter(point["family"] for point in published).items()),
        "highlighted": HIGHLIGHTED,
        "permissive": PERMISSIVE,
        "sources": {name: f"{source.title} ({source.date})" for name, source in PAPERS.items()},
        "start": {"x": "gmacs" if own else "rtx4090_compiled", "y": "top1"},  # no published speed is of this device
    }


def _axis(name: str, title: str, kind: str) -> dict[str, Any]:
    """Return an axis: `better` is 1 where more is better, and `log` says whether it may be logarithmic."""
    better = -1 if kind in ("error", "cost") else 1
    return {"name": name, "title": title, "kind": kind, "better": better, "log": kind in ("cost", "speed")}
