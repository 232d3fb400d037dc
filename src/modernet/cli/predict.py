"""`modernet predict`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro

from modernet.cli.networks import check_network, open_network
from modernet.cli.options import parse
from modernet.cli.output import print_json


@dataclass(frozen=True)
class Options:
    """Predict the content of images, or the class of sequences and point clouds.

    Examples:
      modernet predict runs/train-convnext_test-my_photos photo.jpg 'holiday/*.jpg'
      modernet predict --model mobilenet_v2 --weights mobilenet_v2-b0353104.pth photo.jpg
      modernet predict --model convnext_tiny.fb_in22k_ft_in1k photo.jpg
      modernet predict fast 'holiday/*.jpg'                     a network that modernet optimize has written
      modernet predict runs/sequences-train-s4d_lin-my_talks talk.txt more.tsv   text; or .wav, or images as pixels
      modernet predict runs/points-train-ascn-my_scans scan.ply                  point clouds and meshes
      find photos -newer last_time -name '*.jpg' | modernet predict runs/train-convnext_test-my_photos -

    An image, a cloud, a sequence or a row of a table that cannot be read costs one line; all others are predicted, and
    the exit code is 1.
    """

    what: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[RUN] IMAGE...")]
    """Folder of a finished run, or of modernet optimize, unless --model is given; then images, folders of images,
    patterns, or - for a list on stdin, one a line; for a network for sequences text files, tables (.tsv), sound (.wav)
    or images; for one for point clouds files of those, or meshes."""
    model: str | None = None
    """Network with published weights (downloaded once; see modernet weights), or with those of --weights."""
    weights: Path | None = None
    """Weights for --model: a file or folder of its authors, timm, torchvision, transformers or OpenMMLab."""
    top: int = 5
    """Classification, segmentation: number of classes to print per image, sequence or point cloud."""
    min_score: float = 0.5
    """Detection: least score of the objects that are printed and drawn; the JSON has all above 0.05."""
    out: Path | None = None
    """Folder for drawn predictions: for segmentation, a PNG of class indices and an overlay for each image, or a PLY of
    each point cloud with the colours of its classes; for detection, the image with boxes and masks, and detections.json
    in COCO's format for all; for a run that was only pre-trained, the image, what it has seen of it, and what it
    predicts."""
    skip_unreadable: bool = False
    """Do not count what cannot be read as a failure: it is listed and skipped in either case."""
    trust: bool = False
    """Run the program in a folder of modernet optimize that someone else has saved: it can do anything."""
    json: bool = False
    """Print JSON: a list of objects with image and predictions: for a classifier, of label and probability; for a
    detector, of label, score, box_xyxy and mask (COCO's run lengths). Sequences and clouds have name instead of
    image."""


def main(arguments: Sequence[str]) -> int:
    options = parse(Options, "predict", arguments)
    first = 1 if options.model is None else 0
    run, rest = (Path(options.what[0]) if options.what[:first] else None), options.what[first:]
    kind = check_network(run, options.model, options.weights)

    from modernet import progress
    from modernet.tasks import PredictRequest, get_task

    predicted = 0
    with progress.shown():
        task = get_task(kind)
        request = PredictRequest(options.top, options.min_score, options.out, skip_unreadable=True)
        task.check(request)
        found = task.find([path for given in rest for path in (_listed() if given == "-" else [given])])
        network = open_network(run, options.model, options.weights, trust=options.trust)
        predictions = task.predict(network.saved, found, request)
        if options.json:
            answers = [asdict(prediction) for prediction in predictions]
            predicted = len(answers)
        else:
            for prediction in predictions:
                print(prediction.name, *(f"  {line}" for line in prediction.lines()), sep="\n", flush=True)
                predicted += 1
    if options.json:
        print_json(answers)
    return int(predicted < len(found) and not options.skip_unreadable)


def _listed() -> list[str]:
    """Return the lines of stdin."""
    return [line.rstrip("\n") for line in sys.stdin if line.strip()]
