#!/usr/bin/env bash
# vl-convert draws an empty chart when the chart's data cannot be loaded.
#
# Versions: vl-convert-python==1.9.0.post1 (Python 3.11, CPU)
# Expected: an exception that names the file, since the caller gets no other sign.
# Seen: an SVG with axes and no marks is returned, equal for a file that does not exist and for data of a name that
#   nobody gave.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python vl-convert-python==1.9.0.post1
venv/bin/python - <<'PY'
import vl_convert


def marks(data):
    chart = {
        "data": data,
        "mark": "point",
        "encoding": {axis: {"field": axis, "type": "quantitative"} for axis in "xy"},
    }
    return vl_convert.vegalite_to_svg(chart).count('aria-roledescription="point"')


counts = marks({"values": [{"x": 1, "y": 2}]}), marks({"url": "missing.csv"}), marks({"name": "results"})
print(f"marks: {counts[0]} of inline data, {counts[1]} of a missing file, {counts[2]} of data that was never given")
assert counts == (1, 0, 0)
PY
