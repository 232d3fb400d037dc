#!/usr/bin/env bash
# mosaicml-streaming and litdata lose the colours of images with a palette: they become black.
#
# Versions: mosaicml-streaming==0.13.0 litdata==0.2.76 torch==2.15.0 pillow==13.0.0 numpy==2.1.3 (Python 3.11, CPU)
# Expected: a PIL image that is written to a dataset (a column "pil", or a sample of litdata) comes back as it was; both keep
#   the mode. GIF files and many PNG files open in mode P.
# Seen: size, mode and indices come back, and the palette does not: convert("RGB") then gives black at every pixel, without
#   a word. A column "png" of mosaicml-streaming keeps the palette.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python mosaicml-streaming==0.13.0 litdata==0.2.76 torch==2.15.0 pillow==13.0.0 numpy==2.1.3
venv/bin/python - <<'PY'
import litdata
import numpy as np
from litdata.streaming.writer import BinaryWriter
from PIL import Image
from streaming import MDSWriter, StreamingDataset

image = Image.new("RGB", (4, 4), (200, 30, 30))
image.paste((30, 30, 200), (0, 0, 4, 2))
image = image.quantize(2)


def by_mosaic(encoding):
    with MDSWriter(out=encoding, columns={"x": encoding}) as writer:
        writer.write({"x": image})
    return StreamingDataset(local=encoding, shuffle=False, batch_size=1)[0]["x"]


def by_litdata():
    writer = BinaryWriter("litdata", chunk_bytes=1 << 20)
    writer[0] = {"x": image}
    writer.done()
    writer.merge()
    return litdata.StreamingDataset("litdata")[0]["x"]


def colours(image):
    return sorted(colour for _, colour in image.convert("RGB").getcolors())


print("written:", colours(image))
png, pil, lit = by_mosaic("png"), by_mosaic("pil"), by_litdata()
for name, found in (("MDS png", png), ("MDS pil", pil), ("litdata", lit)):
    print(f"{name}: mode {found.mode}, {colours(found)}")
    assert found.mode == "P" and np.array_equal(np.asarray(found), np.asarray(image))
assert colours(png) == colours(image) == [(30, 30, 200), (200, 30, 30)]
assert colours(pil) == colours(lit) == [(0, 0, 0)]
PY
