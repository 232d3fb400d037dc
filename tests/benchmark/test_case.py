from __future__ import annotations

from dataclasses import replace

import torch

from modernet.benchmark import Case
from modernet.benchmark.case import plan_cases, reference_of

CPU = torch.device("cpu")


def planned(
    *models: str, layouts: tuple[str, ...] = ("channels_last",), compile_modes: tuple[str, ...] = ("off",)
) -> list[Case]:
    return plan_cases(
        models, CPU, modes=["infer"], dtypes=["float32", "bfloat16"], layouts=layouts, compile_modes=compile_modes,
        batch=2, size=32, threads=1,
    )  # fmt: skip


def test_an_optimized_network_has_one_case_per_dtype() -> None:
    cases = planned("a", "optimized:a", layouts=("channels_last", "contiguous"), compile_modes=("off", "default"))
    assert sum(case.model == "a" for case in cases) == 8
    optimized = [case for case in cases if case.model == "optimized:a"]
    assert [(case.dtype, case.layout, case.compile) for case in optimized] == [
        ("float32", "chosen", "chosen"),
        ("bfloat16", "chosen", "chosen"),
    ]


def test_the_reference_is_the_first_model_under_the_same_options() -> None:
    cases = planned("a", "b", layouts=("channels_last", "contiguous"))
    for case in cases:
        assert reference_of(case, cases) == replace(case, model="a")


def test_otherwise_the_reference_has_the_most_similar_options() -> None:
    cases = planned("a", "optimized:a", layouts=("channels_last", "contiguous"))
    (optimized,) = (case for case in cases if case.model == "optimized:a" and case.dtype == "bfloat16")
    assert reference_of(optimized, cases) == Case("a", "infer", "bfloat16", "channels_last", "off", 2, 32, 1)


def test_training_is_not_compared_with_inference() -> None:
    cases = planned("a", "b")
    training = replace(cases[1], mode="train")
    assert reference_of(training, [*cases, training]) is None


def test_a_label_omits_what_the_user_does_not_choose() -> None:
    first, second = planned("a", "optimized:a")[:2]
    assert first.label == "a infer float32 channels_last"
    assert second.label == "optimized:a infer float32"
    assert replace(first, compile="default").label == "a infer float32 channels_last compiled default"
