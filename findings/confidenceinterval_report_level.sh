#!/usr/bin/env bash
# confidenceinterval's classification report takes its confidence_level for the F1 scores of single classes only.
#
# Versions: confidenceinterval==1.0.5 scikit-learn==1.9.1 scipy==1.17.1 statsmodels==0.15.0 pandas==3.1.1 numpy==2.4.6
#   (Python 3.11, CPU)
# Expected: classification_report_with_ci(confidence_level=0.99) has wider intervals than the default of 0.95 throughout.
# Seen: precision, recall and the rows of averages stay at 95%; in the row of one class, F1 is at 99% and the rest at 95%.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python confidenceinterval==1.0.5 scikit-learn==1.9.1 scipy==1.17.1 statsmodels==0.15.0 \
    pandas==3.1.1 numpy==2.4.6
venv/bin/python - <<'PY'
import numpy as np
from confidenceinterval import precision_score
from confidenceinterval.classification_report import classification_report_with_ci

rng = np.random.default_rng(0)
labels = np.arange(1000) % 2
predictions = np.where(rng.uniform(size=1000) < 0.7, labels, 1 - labels)
reports = {
    level: classification_report_with_ci(labels, predictions, confidence_level=level).set_index("Class")
    for level in (0.95, 0.99)
}
for level, report in reports.items():
    print(f"confidence_level={level}\n{report.filter(like='CI').to_string()}")
for row in ("Class 0", "Class 1", "micro", "macro"):
    changed = [name for name in reports[0.95].filter(like="CI") if reports[0.95][name][row] != reports[0.99][name][row]]
    assert changed == (["F1-Score CI"] if row.startswith("Class") else [])
(_, narrow), (_, wide) = (
    precision_score(labels, predictions, average="micro", confidence_level=level) for level in (0.95, 0.99)
)
assert wide[0] < narrow[0] < narrow[1] < wide[1]  # the score of its own heeds it
PY
