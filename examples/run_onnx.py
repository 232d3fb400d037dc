"""Classify images with an exported network, without modernet and without PyTorch.

    modernet export runs/my_run --to onnx
    python examples/run_onnx.py runs/my_run/network.onnx photo.jpg ...

Needs numpy, Pillow and onnxruntime. Preprocessing and class names are stored in the file.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image, ImageOps


def prepare(path: str, metadata: dict[str, Any]) -> NDArray[Any]:
    """Read an image, crop its center square and resize it to the network's input, `(3, size, size)`."""
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    side = max(round(metadata["crop"] * min(image.size)), 1)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    interpolation = Image.Resampling[metadata["interpolation"].upper()]
    image = image.crop((left, top, left + side, top + side)).resize((metadata["image_size"],) * 2, interpolation)
    pixels = np.asarray(image)
    if metadata["dtype"] == "float32":  # a network that takes uint8 normalizes its input itself
        pixels = (pixels / np.float32(255) - np.float32(metadata["mean"])) / np.float32(metadata["std"])
    return pixels.transpose(2, 0, 1)  # h w c -> c h w


def main(arguments: list[str]) -> list[tuple[str, float]]:
    """Print the most probable class of each image, and return the classes with their probabilities."""
    network, *paths = arguments
    session = onnxruntime.InferenceSession(network)
    metadata = json.loads(session.get_modelmeta().custom_metadata_map["modernet"])
    predictions = []
    for path in paths:
        (scores,) = session.run(None, {"images": prepare(path, metadata)[None]})[0]
        probabilities = np.exp(scores - scores.max())
        probabilities /= probabilities.sum()
        best = int(probabilities.argmax())
        predictions.append((metadata["classes"][best], float(probabilities[best])))
        print(f"{path}: {predictions[-1][0]} ({predictions[-1][1]:.1%})")
    return predictions


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(sys.argv[1:])
