"""Name what is on pictures with an exported network, where there is no modernet and no PyTorch.

    modernet export runs/my_run --to onnx
    python examples/run_onnx.py runs/my_run/network.onnx photo.jpg ...

It needs numpy, Pillow and onnxruntime. How pictures are prepared, and what the classes are called, is in the file.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image, ImageOps


def prepare(path: str, facts: dict[str, Any]) -> NDArray[Any]:
    """A picture as the network wants it: the square in its centre, scaled; `(3, size, size)`."""
    picture = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    side = max(round(facts["crop"] * min(picture.size)), 1)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    how = Image.Resampling[facts["interpolation"].upper()]
    picture = picture.crop((left, top, left + side, top + side)).resize((facts["image_size"],) * 2, how)
    pixels = np.asarray(picture)
    if facts["dtype"] == "float32":  # else the network normalises pictures itself
        pixels = (pixels / np.float32(255) - np.float32(facts["mean"])) / np.float32(facts["std"])
    return pixels.transpose(2, 0, 1)  # h w c -> c h w


def main(arguments: list[str]) -> list[tuple[str, float]]:
    """Print the most probable class of each picture, and return it with its probability."""
    network, *paths = arguments
    session = onnxruntime.InferenceSession(network)
    facts = json.loads(session.get_modelmeta().custom_metadata_map["modernet"])
    guesses = []
    for path in paths:
        (scores,) = session.run(None, {"images": prepare(path, facts)[None]})[0]
        probabilities = np.exp(scores - scores.max())
        probabilities /= probabilities.sum()
        best = int(probabilities.argmax())
        guesses.append((facts["classes"][best], float(probabilities[best])))
        print(f"{path}: {guesses[-1][0]} ({guesses[-1][1]:.1%})")
    return guesses


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(sys.argv[1:])
