"""Write docs/zoo.md and a page for each family from the registry and the catalogue: `make docs`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

from modernet.catalogue import NetworkFacts, all_networks
from modernet.models import MODELS, ModelEntry

HERE = Path(__file__).parent
HEAD = (
    "| variant | parameters, M | | MACs, G | | top-1, % | image | source |\n"
    "|---|---:|---:|---:|---:|---:|---:|---|\n"
    "| | computed | published | computed | published | published | | |\n"
)
INTRODUCTION = """# The zoo

Generated from the registry by `make docs`; a test recomputes every number. Multiply-accumulates (MACs) count
convolutions and matrix products, for one image of the size given. Top-1 is ImageNet-1K accuracy, trained on ImageNet-1K
only, as reported by the source; none of these networks was trained by us. Where a source prints a rounded figure,
*published* is the value from its own code. `modernet show NAME` prints a network stage by stage, `modernet weights
NAME` its published weights, and `timm:NAME` is any network of timm.
"""


def families() -> dict[str, list[ModelEntry]]:
    """Return the variants of each family without test variants, oldest family first."""
    entries: dict[str, list[ModelEntry]] = {}
    for name, entry in MODELS.items():
        if not name.endswith("_test"):
            entries.setdefault(entry.family, []).append(entry)
    return dict(sorted(entries.items(), key=lambda item: _year(item[1][0])))


def row(entry: ModelEntry, counts: NetworkFacts) -> str:
    """Return a row of the table."""
    published = entry.published
    size = f"{published.image_size} x {published.image_size}"
    numbers = [
        _number(counts.params / 1e6),
        "" if published.params_m is None else f"{Decimal(repr(published.params_m)):f}",
        _number(counts.macs / 1e9),
        "" if published.gmacs is None else f"{Decimal(repr(published.gmacs)):f}",
        "" if published.top1 is None else f"{published.top1:.1f}",
    ]
    return f"| `{entry.name}` | {' | '.join(numbers)} | {size} | {published.source} |"


def family_page(entries: list[ModelEntry], rows: Iterable[str]) -> str:
    """Return the page of a family: its module docstring and its variants."""
    title, _, about = entries[0].about.partition("\n")
    example = entries[0].name
    file = f"../../src/modernet/models/{entries[0].family}.py"
    return (
        f"# {title.rstrip('.')}\n{about.rstrip()}\n\n## Variants\n\n{HEAD}" + "\n".join(rows) + "\n\n"
        f'```python\nnetwork = modernet.create_model("{example}", num_classes=10)\n```\n\n'
        f"The code: [`models/{entries[0].family}.py`]({file}). All families: [the zoo](../zoo.md).\n"
    )


def index_page(rows: dict[str, list[str]]) -> str:
    """Return the index page: all families with their variants."""
    parts = [INTRODUCTION]
    for family, entries in families().items():
        title = entries[0].about.partition("\n")[0].rstrip(".")
        parts.append(f"## [{title}](zoo/{family}.md)\n\n{HEAD}" + "\n".join(rows[family]) + "\n")
    return "\n".join(parts)


def _year(entry: ModelEntry) -> int:
    """Return the year of the family's oldest paper; arXiv numbers are not mistaken for years."""
    return min(map(int, re.findall(r"\b(?:19|20)\d\d\b(?!\.\d)", entry.about)))


def _number(value: float) -> str:
    return f"{value:.4f}" if value >= 0.01 else f"{value:.10f}".rstrip("0")


def main() -> None:
    (HERE / "zoo").mkdir(exist_ok=True)
    rows = {
        family: [row(entry, all_networks()[entry.name]) for entry in entries] for family, entries in families().items()
    }
    for family, entries in families().items():
        (HERE / "zoo" / f"{family}.md").write_text(family_page(entries, rows[family]), encoding="utf-8")
    (HERE / "zoo.md").write_text(index_page(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
