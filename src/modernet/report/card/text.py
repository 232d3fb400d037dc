"""The text of a model card: what is known of a run, and what is not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from modernet.files.hub_file import HubFile
from modernet.records import Record
from modernet.report.card.results import Result, data_name, results
from modernet.report.card.subject import Card, started_from
from modernet.report.notation import MISSING, heading, markdown_text, measured, number, plural, quantity, with_unit
from modernet.report.origin import setting_value

_DOES = {
    "classification": "An image classifier",
    "detection": "A detector of objects in images",
    "segmentation": "A network for semantic segmentation of images",
    "pretraining": "A backbone, pre-trained without labels on hidden parts of images",
    "sequences": "A classifier of sequences",
    "sequence_pretraining": "A sequence model, pre-trained without labels",
    "points": "A classifier of point clouds",
    "point_segmentation": "A network that gives each point of a point cloud a class",
}
_SHOWN_CLASSES = 20
_SMALL = 1000  # test examples below which the card warns


def text(card: Card) -> str:
    """Return the text of a card in Markdown."""
    parts = [
        (f"# {markdown_text(card.folder)}", _about(card)),
        ("## Results", _results(card)),
        ("## How it was trained", _training(card)),
        ("## Speed", _speed(card)),
        ("## What it is given", _inputs(card)),
        ("## How to use it", _usage(card)),
        ("## What is not known", _limits(card)),
    ]
    return "\n".join(f"{heading}\n\n{body}\n" for heading, body in parts if body)


def _about(card: Card) -> str:
    settings, classes = card.run.settings, card.network.get("classes", [])
    what = _DOES.get(card.task, f"A network for {card.task}")
    size = [
        f"{quantity(settings[name])} {unit}"
        for name, unit in (("params", "parameters"), ("macs", "multiply-accumulates"))
        if settings.get(name) is not None
    ]
    cost = f": {', '.join(size)}" if size else ""
    sentences = [f"{what}, `{card.model}`{cost}, trained on {markdown_text(data_name(card.run))} with modernet."]
    fields = settings.get("model_fields") or {}
    if fields:
        sentences.append(f"The network has {_listed(fields)}.")
    if classes:
        shown = ", ".join(markdown_text(str(name)) for name in classes[:_SHOWN_CLASSES])
        more = f" and {len(classes) - _SHOWN_CLASSES} more, in network.json" if len(classes) > _SHOWN_CLASSES else ""
        count = "One class" if len(classes) == 1 else f"{len(classes)} classes"
        return f"{' '.join(sentences)}\n\n{count}: {shown}{more}."
    return " ".join(sentences)


def _results(card: Card) -> str:
    found = results(card)
    if not found:
        return ""
    rows = [_result_row(each) for each in found]
    lines = _table(["Metric", "Value", "95 % interval", "n", "Data"], rows)
    return (
        f"{lines}\n\nIntervals are over the test examples alone; what another seed of training would change is not in "
        "them. Nothing was selected on the test split."
    )


def _result_row(each: Result) -> list[str]:
    where = f"{each.data}, {each.split}" if each.split else f"{each.data}, test of robustness"
    ends = each.interval
    span = MISSING if ends is None else f"{number(ends.low, each.digits)} to {number(ends.high, each.digits)}"
    title = each.metric.title + ("" if each.metric.higher_is_better else " (lower is better)")
    value = with_unit(each.value, each.digits, each.metric.unit)
    return [title, value, span, number(each.n, 0), where]


def _training(card: Card) -> str:
    settings = card.run.settings
    data, recipe = settings.get("data", {}), settings.get("recipe", {})
    splits = [
        f"{number(data[f'n_{name}'], 0)} for {use}"
        for name, use in (("train", "training"), ("validation", "validation"), ("test", "the test"))
        if data.get(f"n_{name}") is not None
    ]
    examples = f": {', '.join(splits)}" if splits else ""
    sentences = [f"Data: {markdown_text(data_name(card.run))}{examples}."]
    if data.get("splits"):
        sentences.append(f"Splits: {markdown_text(str(data['splits']))}.")
    if recipe:
        source = f" ({markdown_text(str(recipe['source']))})" if recipe.get("source") else ""
        length = f"{plural(int(recipe['epochs']), 'epoch')}, batches of {recipe['batch_size']}"
        sentences.append(f"Recipe: `{recipe.get('name')}`{source}, {length}, seed {settings.get('seed')}.")
    sentences.append(_start(card))
    versions = card.run.environment.get("versions", {})
    made = [f"{name} {versions[name]}" for name in ("modernet", "torch") if name in versions]
    where = card.run.environment.get("device")
    if where:
        sentences.append(f"Trained on {markdown_text(str(where))}{' with ' + ', '.join(made) if made else ''}.")
    values = [[name, setting_value(value)] for name, value in recipe.items() if name not in ("name", "source")]
    body = " ".join(sentences)
    if not values:
        return body
    table = _table(["Setting", "Value"], values)
    return f"{body}\n\n<details><summary>Every setting of the recipe</summary>\n\n{table}\n\n</details>"


def _start(card: Card) -> str:
    weights = card.run.settings.get("weights")
    if not weights:
        return "It started from random weights."
    published = started_from(card.run)
    if published is None:
        return (
            f"It started from the weights in `{weights['file']}`, whose sha256 begins with `{weights['fingerprint']}`."
        )
    where = (
        f"https://huggingface.co/{published.file.repo}" if isinstance(published.file, HubFile) else published.file.url
    )
    licence = f"whose licence is stated as {published.licence}" if published.licence else "without a stated licence"
    learned = f", from {published.trained_on}" if published.trained_on else ""
    return f"It started from the published weights [{published.name}]({where}){learned}, {licence}."


def _speed(card: Card) -> str:
    records = card.of_kind("benchmark")
    if not records:
        return ""
    unit = _unit(records[0])  # of all: they are of one network
    size = "Pixels" if unit == "images" else "Length"
    headings = ["Mode", f"{heading(unit)}/s", "ms per batch", "Batch", size, "Dtype", "Device"]
    rows = _table(headings, [_speed_row(record) for record in records])
    return f"{rows}\n\nMedians over rounds; another machine has other speeds."


def _speed_row(record: Record) -> list[str]:
    settings, metrics, unit = record.settings, record.metrics, _unit(record)
    size = "image_size" if unit == "images" else "length"
    return [
        str(settings.get("mode") or MISSING),
        measured(metrics.get(f"{unit}_per_second")),
        measured(metrics.get("latency_ms")),
        *(str(settings.get(name) or MISSING) for name in ("batch", size, "dtype")),
        str(record.environment.get("device", MISSING)),
    ]


def _unit(benchmark: Record) -> str:
    """Return what the examples of a benchmark are; early records are of images, and do not say so."""
    return str(benchmark.settings.get("unit", "images"))


def _inputs(card: Card) -> str:
    network = card.network
    if "image_size" in network:
        size = network["image_size"]
        pixels = f"{size} x {size}" if isinstance(size, int) else " x ".join(map(str, size))
        mean, std = (", ".join(f"{value:.4g}" for value in network[name]) for name in ("mean", "std"))
        return (
            f"RGB images of {pixels} pixels (height x width): the central {100 * network.get('crop', 1.0):g} % of each "
            f"side, resized ({network.get('interpolation', 'bilinear')}), scaled to [0, 1], minus the mean ({mean}), "
            f"divided by the standard deviation ({std})."
        )
    for name, what in (("encoding", "Sequences"), ("clouds", "Point clouds")):
        if name in network:
            return f"{what}, as network.json says under `{name}`: {_listed(_short(network[name]))}."
    return ""


def _short(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the settings of an encoding, of long lists only their length."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _short(value)
        elif isinstance(value, list | tuple) and len(value) > _SHOWN_CLASSES:
            yield name, f"{len(value)} values"
        else:
            yield name, value


def _usage(card: Card) -> str:
    version = card.run.environment.get("versions", {}).get("modernet")
    lines = [
        f"It needs modernet{f' (trained with {version})' if version else ''}; "
        "`network.json` and `model.safetensors` are in `FOLDER`, such as a download of this repository:",
        "",
        "```python",
        "from pathlib import Path",
        "",
        "import modernet",
        "",
        'saved = modernet.load_network(Path("FOLDER"))',
        "saved.network  # a torch.nn.Module, in evaluation mode",
        "saved.classes  # names, in the order of its outputs",
        "saved.inputs   # how what it is given is prepared",
        "```",
    ]
    if card.task != "sequence_pretraining":
        lines += ["", "Or from the command line:", "", "```", f"modernet predict FOLDER {_example(card.task)}", "```"]
    return "\n".join(lines)


def _example(task: str) -> str:
    if task == "sequences":
        return "FILE"
    return "cloud.ply" if task in ("points", "point_segmentation") else "photo.jpg"


def _limits(card: Card) -> str:
    data = data_name(card.run)
    found = results(card)
    n = next((each.n for each in found if each.kind == "train"), None)
    lines = [f"How it answers for other data than {markdown_text(data)}: every such number above says what it is of."]
    if n is not None and n < _SMALL:
        lines.append(f"Small differences: the test has {plural(n, 'example')}.")
    lines.append("What another seed would give: this is one training.")
    if not card.of_kind("robustness"):
        lines.append("How it answers for corrupted or shifted inputs: no test of robustness was given.")
    if not card.of_kind("benchmark"):
        lines.append("How fast it is: no benchmark was given.")
    if card.licence is None:
        lines.append("The licence of these weights: their owner has not stated one here.")
    unreadable = card.run.settings.get("data", {}).get("unreadable")
    if unreadable:
        count = len(unreadable) if isinstance(unreadable, list) else int(unreadable)
        lines.append(f"What is in {plural(count, 'file')} that could not be read, and was skipped.")
    lines.append("Where the examples come from and whom they represent: the record does not say.")
    return "\n".join(f"- {line}" for line in lines)


def _listed(values: Mapping[str, Any] | Iterator[tuple[str, Any]]) -> str:
    pairs = values.items() if isinstance(values, Mapping) else values
    return ", ".join(f"{markdown_text(name)} {markdown_text(setting_value(value))}" for name, value in pairs)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, [":--"] * len(headings), *([markdown_text(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
