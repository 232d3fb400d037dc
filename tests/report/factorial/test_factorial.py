from __future__ import annotations

import io
import itertools
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from modernet.errors import InputError
from modernet.records import Record
from modernet.report import factorial_table, summarise_factorials, write_report
from modernet.report.factorial.summary import Factorial

DECISIONS = {"gelu": "ReLU to GELU", "layer_norm": "BatchNorm to LayerNorm", "kernel_7": "Kernel <7x7>", "stem": "Stem"}
HALF = [(*row, row[0] * row[1] * row[2]) for row in itertools.product((-1, 1), repeat=3)]


def study(noise: float = 0.3, seeds: int = 2, **settings: object) -> list[Record]:
    """Records of half of the combinations: LayerNorm gives +4, and another 3 more or less as GELU is on or off."""
    chance = random.Random(0)
    records = []
    for number, levels in enumerate(HALF):
        for seed in range(seeds):
            top1 = 70 + 2 * levels[1] + 1.5 * levels[0] * levels[1] + chance.gauss(0, noise)
            records.append(
                Record(
                    "train",
                    f"network {number}",
                    {
                        "study": "factorial", "size": "nano", "network": number, "networks": len(HALF),
                        "decisions": DECISIONS, "levels": dict(zip(DECISIONS, levels, strict=True)), "seed": seed,
                        "params": 70_000, "macs": 4_000_000, "recipe": {"name": "quick", "epochs": 4},
                        "data": {"name": "digit_scenes", "image_size": 32, "n_test": 1000}, **settings,
                    },
                    {"test_top1": top1},
                    environment={"created": "2026-11-20T10:00:00+00:00", "device": "CPU, 1 thread"},
                )
            )  # fmt: skip
    return records


def failed(record: Record) -> Record:
    return replace(record, metrics={}, error="RuntimeError: out of luck")


def printed(summary: Factorial) -> str:
    console = Console(width=160, file=io.StringIO(), record=True)
    console.print(factorial_table(summary))
    return " ".join(console.export_text().split())  # notes are as wide as the table


def test_effects_and_interactions_are_found_and_named() -> None:
    (found,) = summarise_factorials(study())

    assert found.effects is not None
    by_term = {effect.terms[0]: effect for effect in found.effects.effects}
    norm, both = by_term["layer_norm",], by_term["gelu", "layer_norm"]
    assert norm.interval is not None
    assert not norm.interval.excludes(4)
    assert norm.interval.excludes(0)
    assert norm.holds_among_all
    assert both.terms == (("gelu", "layer_norm"), ("kernel_7", "stem"))
    assert both.value == pytest.approx(3, abs=0.5)
    assert not by_term["gelu",].holds_among_all
    assert found.seeds == (2,)
    assert found.devices == ("CPU, 1 thread",)


def test_the_table_has_effects_intervals_stars_and_aliases() -> None:
    text = printed(summarise_factorials(study())[0])

    assert "size nano · 32×32 pixels · 8 networks, 2 seeds each · 1,000 test images · CPU, 1 thread" in text
    assert "BatchNorm to LayerNorm" in text
    assert "**" in text
    assert "ReLU to GELU × BatchNorm to LayerNorm" in text
    assert "or Kernel <7x7> × Stem, or their sum" in text
    assert (
        "Of 7 effects, 2 have an interval that excludes zero, where chance alone would give about 0.3; 2 hold" in text
    )


def test_runs_of_other_studies_or_decisions_are_separate() -> None:
    other = study(decisions=dict(DECISIONS, gelu="Another title"))
    walk = replace(study()[0], settings={"study": "roadmap"})

    assert [len(one.records) for one in summarise_factorials([walk, *study(), *other])] == [16, 16]


def test_the_latest_finished_run_of_a_seed_counts() -> None:
    records = study()
    again = replace(records[0], metrics={"test_top1": 12.0}, environment={"created": "2026-11-21T10:00:00+00:00"})
    (found,) = summarise_factorials([again, *records])

    assert found.networks[0].scores[0] == 12.0


def test_effects_wait_until_every_network_has_a_finished_run() -> None:
    records = study()
    (found,) = summarise_factorials(
        [failed(record) if record.settings["network"] == 3 else record for record in records]
    )

    assert found.effects is None
    assert found.missing == 1
    text = printed(found)
    assert "Of 8 networks, one network has no finished run yet; effects are computed when all have one." in text
    assert "Failed: network 3: RuntimeError: out of luck" in text

    (part,) = summarise_factorials(records[:6])
    assert part.missing == 5
    assert "5 networks have no finished run yet" in printed(part)


def test_one_failed_seed_leaves_effects_of_the_others() -> None:
    first, *rest = study()
    (found,) = summarise_factorials([failed(first), *rest])

    assert found.effects is not None
    assert found.effects.freedom == 7
    assert found.seeds == (1, 2)
    assert "1 to 2 seeds each" in printed(found)


def test_one_seed_gives_no_intervals() -> None:
    text = printed(summarise_factorials(study(seeds=1))[0])

    assert "No effect has an interval: that takes two seeds of a network with different results." in text
    assert "1 seed each" in text
    assert "[" not in text


def test_interactions_of_three_decisions_are_reported() -> None:
    records = [
        replace(record, metrics={"test_top1": record.metrics["test_top1"] + extra})
        for record, extra in zip(study(decisions=dict(list(DECISIONS.items())[:3])), _three_together(), strict=True)
    ]
    assert "three or more decisions interact" in printed(summarise_factorials(records)[0])


def _three_together() -> list[float]:
    return [5.0 * levels[3] for levels in HALF for _ in range(2)]  # the fourth is the product of the others


@pytest.mark.medium
@pytest.mark.parametrize(
    "make",
    [
        study,
        lambda: study(seeds=1),
        lambda: [failed(record) for record in study()],
        lambda: study()[:3],
    ],
)
def test_every_study_has_a_chart_and_a_section(make: Callable[[], list[Record]], tmp_path: Path) -> None:
    written = write_report(make(), tmp_path)

    assert [path.name for path in written] == ["factorial.png", "report.html"]
    assert written[0].read_bytes().startswith(b"\x89PNG")
    page = written[1].read_text(encoding="utf-8")
    assert "Decisions of the road together, on digit_scenes" in page
    assert "Training on" not in page  # its runs are listed there alone
    assert "Kernel &lt;7x7&gt;" in page


def test_a_record_without_its_network_is_named() -> None:
    first, *rest = study()
    settings = {key: value for key, value in first.settings.items() if key != "levels"}
    with pytest.raises(
        InputError, match=r"'network 0' of a factorial study has no setting 'levels'; run the study again"
    ):
        summarise_factorials([replace(first, settings=settings), *rest])
