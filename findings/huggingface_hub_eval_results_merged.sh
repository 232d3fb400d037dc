#!/usr/bin/env bash
# A Hugging Face model card gives all results of one dataset type the name, arguments and source of the first of them.
#
# Versions: huggingface-hub==2.4.0 (Python 3.11, CPU)
# Expected: ModelCardData(eval_results=...) writes each EvalResult with its own dataset_name, dataset_args and source_url,
#   and ModelCard reads the same list again.
# Seen: results are grouped by task, dataset type, config, split and revision alone, and the group takes everything else
#   from its first result. The accuracy under snow becomes a second accuracy under fog, from the source of the first.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python huggingface-hub==2.4.0
venv/bin/python - <<'PY'
from huggingface_hub import EvalResult, ModelCard, ModelCardData


def result(corruption, severity, accuracy, source, **options):
    return EvalResult(
        task_type="image-classification",
        dataset_type="imagenet-c",
        dataset_name=f"ImageNet-C {corruption}",
        dataset_args={"severity": severity},
        metric_type="accuracy",
        metric_value=accuracy,
        source_name=source,
        source_url=f"https://example.org/{source}",
        **options,
    )


def fields(results):
    return [(one.dataset_name, one.dataset_args["severity"], one.metric_value, one.source_name) for one in results]


def read_again(results):
    data = ModelCardData(model_name="model", eval_results=results)
    return fields(ModelCard(f"---\n{data.to_yaml()}\n---\n").data.eval_results)


given = [result("fog", 1, 0.7, "ours"), result("snow", 5, 0.3, "theirs")]
seen = read_again(given)
print("given:", *fields(given))
print("read: ", *seen)
assert seen == [("ImageNet-C fog", 1, 0.7, "ours"), ("ImageNet-C fog", 1, 0.3, "ours")]
with_configs = [
    result("fog", 1, 0.7, "ours", dataset_config="fog-1"),
    result("snow", 5, 0.3, "theirs", dataset_config="snow-5"),
]
assert read_again(with_configs) == fields(given)  # a dataset_config of its own keeps a result apart
PY
