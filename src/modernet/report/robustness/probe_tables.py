"""The tables of what was measured besides corruptions: calibration, image sizes, shifts, and cues."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modernet.report.notation import MISSING, heading, number
from modernet.report.robustness.summary import Comparison, Reading, bins_of, sizes_of
from modernet.report.robustness.table import Cell, Row, Table, cell, cell_of, lines


def calibration_table(comparison: Comparison) -> Table | None:
    """Return the calibration of each network; None if none was measured."""
    networks = [network for network in comparison.networks if bins_of(network)]
    if not networks:
        return None
    columns = (
        ("ECE ↓", "calibration_ece", None),
        ("Adaptive ECE ↓", "calibration_adaptive_ece", None),
        ("Brier ↓", "calibration_brier", 3),
        ("NLL ↓", "calibration_nll", 3),
        ("Temperature", "calibration_temperature", 2),
        ("ECE ↓, scaled", "calibration_scaled_ece", None),
        ("NLL ↓, scaled", "calibration_scaled_nll", 3),
    )
    shown = [column for column in columns if any(column[1] in network.record.metrics for network in networks)]
    binning = dict.fromkeys(str(network.record.details["calibration"].get("binning", "")) for network in networks)
    return Table(
        "Calibration",
        f"ECE in per cent, over {' or '.join(filter(None, binning)) or 'bins of confidence'}; adaptive: over bins of "
        "equal numbers of images. Brier: summed over classes. NLL in nats. Scaled: with the temperature, which is "
        "fitted on other images than it is tested on.",
        ["Network", *(title for title, *_ in shown)],
        [Row(network.label, "", [cell_of(name, digits)(network) for _, name, digits in shown]) for network in networks],
    )


def resolution_table(comparison: Comparison) -> Table | None:
    """Return the accuracy of each network by image size; None if none was measured."""
    found = {
        network.label: {row["image_size"]: row for row in sizes_of(network)}
        for network in comparison.networks
        if sizes_of(network)
    }
    if not found:
        return None
    digits = {network.label: network.digits for network in comparison.networks}

    def shown(label: str, row: Mapping[str, Any] | None) -> Cell:
        if row is None:
            return Cell()
        if "top1" not in row:
            return Cell(MISSING, lines(str(row.get("reason", ""))))
        marks = [word for word, key in (("its own size", "own"), ("weights resampled", "rebuilt")) if row.get(key)]
        number_cell = cell(Reading.of(row, "top1"), digits[label])
        return Cell(number_cell.value, lines(*number_cell.below, *marks))

    sizes = sorted({size for rows in found.values() for size in rows})
    return Table(
        "Accuracy by image size",
        "Top-1 in per cent on square images, with the same share of the image in the crop at each size.",
        ["Side in pixels", *found],
        [Row(str(size), "", [shown(label, rows.get(size)) for label, rows in found.items()]) for size in sizes],
    )


def translation_table(comparison: Comparison) -> Table | None:
    """Return the consistency of each network by shift and direction; None if none was measured."""
    found = {
        network.label: {(row["shift"], row["direction"]): row for row in rows}
        for network in comparison.networks
        if (rows := network.record.details.get("translation"))
    }
    if not found:
        return None
    digits = {network.label: network.digits for network in comparison.networks}

    def shown(label: str, row: Mapping[str, Any] | None) -> Cell:
        if row is None:
            return Cell()
        number_cell = cell(Reading.of(row, "consistency"), digits[label])
        change = row.get("probability_change")
        moved = "" if change is None else f"probability ±{number(change, 1)}"
        return Cell(number_cell.value, lines(*number_cell.below, moved))

    kinds = sorted({kind for rows in found.values() for kind in rows})
    return Table(
        "Consistency by shift",
        "Share of images in per cent with the answer of the central crop when the crop is shifted by some pixels; and "
        "how much the probability of that answer changes, up or down, in points.",
        ["Shift in pixels", *found],
        [
            Row(f"{shift}", direction, [shown(label, rows.get((shift, direction))) for label, rows in found.items()])
            for shift, direction in kinds
        ],
    )


def bias_table(comparison: Comparison) -> Table | None:
    """Return the accuracy of each network without each cue; None if none was measured."""
    found = {
        network.label: {row["probe"]: row for row in bias["probes"]}
        for network in comparison.networks
        if (bias := network.record.details.get("bias"))
    }
    if not found:
        return None
    digits = {network.label: network.digits for network in comparison.networks}
    guessing = next(bias["guessing"] for network in comparison.networks if (bias := network.record.details.get("bias")))
    titles = {probe: str(row["title"]) for rows in found.values() for probe, row in rows.items()}
    return Table(
        "Accuracy without a cue",
        "Top-1 in per cent. Shuffled patches keep texture and lose the shape of the whole; smoothed images keep large "
        "edges; the centre and the border are half of the pixels each. No network was trained on such images: compare "
        f"networks, not a network with perfection. Guessing reaches {number(guessing, 1)}.",
        ["Images", *found],
        [
            Row(
                heading(title),
                "",
                [cell(Reading.of(rows.get(probe, {}), "top1"), digits[label]) for label, rows in found.items()],
            )
            for probe, title in titles.items()
        ],
    )
