#!/usr/bin/env bash
# aeon loses the minus signs and exponents of .ts files with timestamps.
#
# Versions: aeon==1.6.0 numpy==2.3.5 (Python 3.11, CPU)
# Expected: a .ts file may say "@timestamps true" and have pairs (time, value); aeon reads them (a data set of its tests has
#   them) and returns the values, as sktime 1.2.0 does with the same file.
# Seen: aeon takes what looks like digits, a point and digits. -1.5 becomes 1.5, and 2.5e-05 becomes 2.5; whole numbers are
#   left out, so that a series of ten with one zero in it has nine values. Two series of opposite sign are the same.
#   There is no warning.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python aeon==1.6.0 numpy==2.3.5
venv/bin/python -W ignore - <<'PY'
from pathlib import Path

from aeon.datasets import load_from_ts_file

HEADER = "@problemName temperature\n@timestamps true\n@missing false\n@univariate true\n@equalLength {}\n@classLabel true a b\n@data\n"


def load(rows, equal):
    lines = [
        ",".join(f"(2026-01-01 0{hour}:00:00,{value})" for hour, value in enumerate(row)) + f":{label}"
        for row, label in zip(rows, "ab")
    ]
    Path("data.ts").write_text(HEADER.format(str(equal).lower()) + "\n".join(lines) + "\n")
    read = [series[0].tolist() for series in load_from_ts_file("data.ts")[0]]
    print("in the file", [[float(value) for value in row] for row in rows])
    print("by aeon    ", read)
    return read


mirrored = load([["-1.5", "0.25", "2.5e-05"], ["1.5", "-0.25", "-2.5e-05"]], equal=True)
whole = load([["0.5", "0", "1.5", "2"], ["0.5", "1.5", "2.5", "3.5"]], equal=False)
assert mirrored == [[1.5, 0.25, 2.5]] * 2
assert whole == [[0.5, 1.5], [0.5, 1.5, 2.5, 3.5]]
PY
