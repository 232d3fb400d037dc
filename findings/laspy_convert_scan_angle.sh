#!/usr/bin/env bash
# laspy sets all scan angles to zero when it converts between old and new point formats.
#
# Versions: laspy==2.7.0 numpy==2.4.6 (Python 3.11, CPU)
# Expected: laspy.convert keeps what both formats can hold. Formats 0 to 5 store the scan angle in degrees
#   (scan_angle_rank), formats 6 to 10 in steps of 0.006 degrees (scan_angle): 30 degrees become 5000, and back.
# Seen: fields are matched by name alone, so the angle is 0 for every point, in both directions, without a warning.
#   laspy.point.format.lost_dimensions, which lists what a conversion loses, knows of it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python laspy==2.7.0 numpy==2.4.6
venv/bin/python -W error - <<'PY'
import laspy
from laspy.point.format import lost_dimensions


def cloud(point_format, field, angles):
    cloud = laspy.create(point_format=point_format)
    cloud.x = [1.0, 2.0]
    cloud.intensity = [10, 20]
    setattr(cloud, field, angles)
    return cloud


newer = laspy.convert(cloud(3, "scan_angle_rank", [30, -15]), point_format_id=6)
older = laspy.convert(cloud(6, "scan_angle", [5000, -2500]), point_format_id=3)
print("format 3 -> 6: 30, -15 degrees become", [angle * 0.006 for angle in newer.scan_angle.tolist()])
print("format 6 -> 3: 30, -15 degrees become", older.scan_angle_rank.tolist())
assert "scan_angle_rank" in lost_dimensions(3, 6)
assert newer.scan_angle.tolist() == [0, 0]
assert older.scan_angle_rank.tolist() == [0, 0]
assert newer.intensity.tolist() == older.intensity.tolist() == [10, 20]
PY
