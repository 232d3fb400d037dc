"""`optimize` with reduced precision."""

from __future__ import annotations

import json
import math
import weakref
from dataclasses import asdict, dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import modernet
import modernet.deploy.running.optimized as optimized
import modernet.deploy.running.racing as racing
import modernet.deploy.running.torch_ways as torch_ways
from deploy.networks import images, randomised, relative_error
from deploy.running.fakes import CLASSES, Classifier, FakeRunner, FakeRuntime, FakeWay, fake_seconds
from detection.small import detector
from modernet.deploy import OptimizedDetector, OptimizedNetwork, TorchWay, Work
from modernet.deploy.running.casting import cast_copy
from modernet.deploy.running.fidelity import HeldOut, Judge
from modernet.deploy.running.keeping import NO_TIME, keep_costly_layers
from modernet.deploy.running.racing import Clock
from modernet.deploy.running.torch_ways import PLAIN, PyTorch, TorchRunner, bfloat16_ways
from modernet.detection import mask_rcnn
from modernet.errors import InputError
from modernet.models import create_model
from modernet.segmentation import Segmenter

PHOTOS = images(4, batch=80)
FAITHFUL, ROUGH = (("head", 1e-3),), (("head", 1.0), ("second", 1.0))
HOPELESS = (*ROUGH, ("first", 1.0))


RANKING = [("second", 0.3), ("head", 0.2), ("first", 0.1)]


@pytest.fixture
def runtimes(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that sets the ways besides PyTorch's eager ones."""

    def use(*ways: FakeWay, absent: str = "") -> None:
        monkeypatch.setattr(racing, "seconds_of", fake_seconds)
        monkeypatch.setattr(optimized, "rank_layers", lambda work, seconds: RANKING)
        monkeypatch.setattr(optimized, "RUNTIMES", (FakeRuntime(ways), FakeRuntime(absent=absent), PyTorch()))

    return use


def reduced(model: nn.Module, x: Tensor, **options: Any) -> OptimizedNetwork:
    return modernet.optimize(model, x, **{"compile": False, **options})


def test_the_fastest_faithful_precision_wins(runtimes: Any) -> None:
    fast, faster, faithless = (
        FakeWay("bf16", 0.5, FAITHFUL),
        FakeWay("int8", 0.3, FAITHFUL),
        FakeWay("int8", 0.2, HOPELESS),
    )
    for precision, ways, chosen in [
        ("auto", [fast, faster], faster),
        ("auto", [fast, faithless], fast),
        ("bf16", [fast, faster], fast),
        ("int8", [fast, faster], faster),
        ("int8", [fast, faithless], None),
        ("exact", [fast, faster], None),
        ("auto", [FakeWay("int8", 1.5, FAITHFUL)], None),
    ]:
        runtimes(*ways)
        network = Classifier()
        found = reduced(network, PHOTOS, precision=precision)
        report = found.report
        if chosen is None:
            assert isinstance(report.chosen, TorchWay)
            assert report.judgement is None
            assert relative_error(found(PHOTOS), network(PHOTOS)) < 1e-5
        else:
            assert report.chosen == chosen
            assert report.judgement is not None
            assert (report.judgement.failure, report.judgement.n) == ("", 60)


def test_the_report_says_what_was_refused_and_why(runtimes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_ways, "bfloat16_ways", lambda work: [])  # which some processors have
    faithless = FakeWay("int8", 0.2, HOPELESS)
    runtimes(faithless, absent="something is not installed: pip install it")
    report = reduced(Classifier(), PHOTOS, precision="auto").report
    (refused,) = [measured for measured in report.measured if measured.way == faithless]
    assert refused.judgement is not None
    assert refused.judgement.failure.endswith("% equal top-1, less than 99 %")
    lines = str(report).splitlines()
    assert "images/s, batch 8, float32, cpu" in lines
    assert any(line.strip().startswith(f"refused: {refused.judgement.failure}") for line in lines)
    assert "  something is not installed: pip install it" in lines
    assert "  no way in bf16 on this device" in lines
    infinite = replace(refused, judgement=replace(refused.judgement, relative_error=math.inf))
    values = json.loads(json.dumps(replace(report, measured=(*report.measured, infinite)).as_json(), allow_nan=False))
    assert (values["chosen"], values["batch"], values["device"]) == (str(report.chosen), 8, "cpu")
    assert values["missing"] == list(report.missing)
    assert {row["way"]: row["images_per_second"] for row in values["measured"][:-1]} == {
        str(each.way): each.images_per_second for each in report.measured
    }
    rows = [row["judgement"] for row in values["measured"] if row["precision"] == "int8"]
    assert rows[0] == asdict(refused.judgement)
    assert rows[1] == {**rows[0], "relative_error": None}


def test_an_int8_way_that_is_refused_keeps_its_costliest_layers_in_floating_point(runtimes: Any) -> None:
    for errors, kept in [(ROUGH[1:], RANKING[:1]), (ROUGH, RANKING[:2])]:
        way = FakeWay("int8", 0.2, errors, kept_seconds=0.1)
        runtimes(way)
        report = reduced(Classifier(), PHOTOS, precision="int8").report
        assert report.chosen == way
        (measured,) = [each for each in report.measured if each.way == way]
        assert measured.kept == tuple(kept)
        assert measured.images_per_second == pytest.approx(8 / (0.2 + 0.1 * len(kept)))
        assert measured.judgement is not None
        assert measured.without is not None
        assert measured.judgement.failure == ""
        assert "less than 99 %" in measured.without.failure
        assert "in floating point, with what each costs in int8: second (3.0e-01)" in str(report)


def test_kept_layers_that_cost_the_lead_or_do_not_suffice_leave_the_exact_network(runtimes: Any) -> None:
    for way in [FakeWay("int8", 0.2, ROUGH, kept_seconds=0.5), FakeWay("int8", 0.2, HOPELESS)]:
        runtimes(way)
        report = reduced(Classifier(), PHOTOS, precision="auto").report
        (measured,) = [each for each in report.measured if each.way == way]
        assert isinstance(report.chosen, TorchWay)
        assert measured.kept == tuple(RANKING[:2])
        assert measured.judgement is not None
        assert bool(measured.judgement.failure) is (way.errors == HOPELESS)
        assert ("refused: " in str(report)) is (way.errors == HOPELESS)


def test_runners_that_cannot_be_chosen_are_released(runtimes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are gone by the time when layers are ranked, for which more networks are made."""
    prepare, prepared, alive = FakeWay.prepare, list[weakref.ref[FakeRunner]](), list[FakeWay]()

    def remembered(way: FakeWay, work: Work) -> FakeRunner:
        runner = prepare(way, work)
        prepared.append(weakref.ref(runner))
        return runner

    def rank(work: Work, seconds: float) -> Any:
        alive.extend(runner.way for runner in (each() for each in prepared) if runner is not None)
        return RANKING

    useful = FakeWay("bf16", 0.5, FAITHFUL)
    runtimes(FakeWay("exact", 2.0), FakeWay("bf16", 1.5), FakeWay("int8", 0.2, HOPELESS), useful)
    monkeypatch.setattr(FakeWay, "prepare", remembered)
    monkeypatch.setattr(optimized, "rank_layers", rank)
    assert reduced(Classifier(), PHOTOS, precision="auto").report.chosen == useful
    assert alive == [useful]


def test_layers_are_not_kept_once_the_time_is_over() -> None:
    network, way = Classifier(), FakeWay("int8", 0.2, ROUGH)
    judge = Judge(network, HeldOut(PHOTOS, None, "classes", 0.99, 8))
    work = Work(network, PHOTOS[:8], torch.float32)
    assert keep_costly_layers(way, work, RANKING, judge, Clock(0), 0.0) == NO_TIME
    assert keep_costly_layers(way, work, RANKING, judge, Clock(60), 100.0) == NO_TIME
    assert "too few layers" in str(keep_costly_layers(way, work, RANKING[:1], judge, Clock(60), 0.0))


def test_labels_judge_by_accuracy(runtimes: Any) -> None:
    rough = FakeWay("int8", 0.2, HOPELESS)
    runtimes(rough)
    network = Classifier()
    right = network(PHOTOS).argmax(1)
    report = reduced(network, PHOTOS, precision="int8", labels=right).report
    (refused,) = [measured.judgement for measured in report.measured if measured.way == rough]
    assert refused is not None
    assert refused.accuracy is not None
    assert refused.accuracy.right_before == 60
    assert "points of accuracy lost" in refused.failure
    with pytest.raises(InputError, match="right for 0 of 60 labels"):
        reduced(network, PHOTOS, precision="int8", labels=(right + 1) % CLASSES)


@dataclass(frozen=True)
class WrongFor(FakeWay):
    """An exact way that is wrong for one image of a batch of some size.

    Attributes:
        batch, image: the size, and which image of it.
    """

    batch: int = 8
    image: int = 0

    def prepare(self, work: Work) -> FakeRunner:
        runner = super().prepare(work)

        def wrong(_: nn.Module, args: tuple[Tensor], scores: Tensor) -> None:
            if len(args[0]) == self.batch:
                scores[self.image] += 1

        runner.register_forward_hook(wrong)
        return runner


@pytest.mark.parametrize(("batch", "image"), [(8, 7), (1, 0)])
def test_an_exact_way_is_right_for_every_image_and_for_one(runtimes: Any, batch: int, image: int) -> None:
    right, wrong = FakeWay("exact", 0.5), WrongFor("exact", 0.3, batch=batch, image=image)
    runtimes(right, wrong)
    report = reduced(Classifier(), PHOTOS, batch=8).report
    assert report.chosen == right
    (failure,) = [measured.failure for measured in report.measured if measured.way == wrong]
    assert failure.startswith("of one image, results differ" if batch == 1 else "results differ")


@dataclass(frozen=True)
class Raising(FakeWay):
    """A way that raises at a call or a preparation.

    Attributes:
        call: how many calls of a runner work.
        kept: how many layers may be kept.
    """

    call: int = 100
    kept: int = 100

    def prepare(self, work: Work) -> FakeRunner:
        if len(work.kept) > self.kept:
            raise MemoryError("too large")
        runner = super().prepare(work)
        calls = iter(range(self.call))

        def count(_: nn.Module, args: tuple[Tensor]) -> None:
            if next(calls, None) is None:
                raise MemoryError("too large")

        runner.register_forward_pre_hook(count)
        return runner


@pytest.mark.parametrize("turns", [0, 5])
def test_a_way_that_raises_in_the_race_or_before_the_judge_is_left_out(
    runtimes: Any, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    def seconds_of(call: Any, repeats: int, device: torch.device) -> float:
        call()
        return fake_seconds(call, repeats, device)

    good, bad = FakeWay("bf16", 0.5, FAITHFUL), Raising("int8", 0.2, FAITHFUL, call=1 + turns)
    runtimes(good, bad)
    monkeypatch.setattr(racing, "seconds_of", seconds_of)
    monkeypatch.setattr(racing, "_TURN_S", 0.0)
    report = reduced(Classifier(), PHOTOS, precision="auto").report
    assert report.chosen == good
    (measured,) = [each for each in report.measured if each.way == bad]
    assert (measured.failure, measured.images_per_second) == ("MemoryError: too large", None)


def test_a_ranking_that_raises_leaves_the_int8_way_refused(runtimes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def rank(work: Work, seconds: float) -> Any:
        raise MemoryError("too large")

    way = FakeWay("int8", 0.2, ROUGH)
    runtimes(way)
    monkeypatch.setattr(optimized, "rank_layers", rank)
    (judgement,) = [
        m.judgement for m in reduced(Classifier(), PHOTOS, precision="int8").report.measured if m.way == way
    ]
    assert judgement is not None
    assert judgement.failure.endswith("; its layers were not ranked: MemoryError: too large")


def test_what_was_kept_before_an_exception_is_reported() -> None:
    network, way = Classifier().requires_grad_(False), Raising("int8", 0.2, HOPELESS, kept=1)
    judge = Judge(network, HeldOut(PHOTOS, None, "classes", 0.99, 8))
    found = keep_costly_layers(way, Work(network, PHOTOS[:8], torch.float32), RANKING, judge, Clock(60), 0.0)
    assert not isinstance(found, str)
    assert found.layers == tuple(RANKING[:1])


def test_a_batch_of_eight_is_timed_unless_another_is_asked_for(runtimes: Any) -> None:
    runtimes()
    network = Classifier()
    assert reduced(network, PHOTOS).report.batch == 80
    assert reduced(network, PHOTOS, precision="int8").report.batch == 8
    assert reduced(network, PHOTOS, precision="int8", batch=3).report.batch == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "fp8"}, "no precision is called 'fp8'"),
        ({"agreement": 1.5}, "agreement is 1.5; give a share of images above 0, at most 1"),
        ({"agreement": float("nan")}, "agreement is nan"),
        ({"seconds": -1.0}, "seconds is -1; give 0 or more"),
        ({"seconds": float("nan")}, "seconds is nan; give 0 or more"),
        ({"batch": 81}, "batch is 81 and there are 80 images; give 1 to 80"),
        (
            {"precision": "auto", "labels": torch.arange(3)},
            r"labels are \(3,\) torch.int64; give one integer for each of the 80",
        ),
        ({"precision": "auto", "labels": [1] * 80}, "labels are list; give one integer for each of the 80"),
        (
            {"precision": "auto", "labels": torch.arange(80)},
            "labels are 0 to 79, and the network has 5 classes; give 0 to 4",
        ),
    ],
)
def test_invalid_options_raise(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        reduced(Classifier(), PHOTOS, **options)


def test_too_few_images_to_judge_by_raise() -> None:
    with pytest.raises(InputError, match=r'8 images; .* give 64 or more, or precision="exact"'):
        reduced(Classifier(), PHOTOS[:8], precision="auto")


def test_labels_of_a_network_without_class_scores_raise() -> None:
    with pytest.raises(InputError, match="labels are for networks that return scores of classes"):
        reduced(nn.Conv2d(3, 4, 1), PHOTOS, precision="auto", labels=torch.zeros(80, dtype=torch.long))
    with pytest.raises(InputError, match="labels are for networks that return scores of classes"):
        modernet.optimize(detector(mask_rcnn), torch.zeros(8, 3, 64, 64).double(), labels=torch.zeros(8).long())


@pytest.mark.parametrize("bfloat16", ["cast", "autocast"])
@pytest.mark.parametrize("name", ["convnext_test", "gfnet_test"])
@torch.no_grad()
def test_in_bfloat16_the_error_is_that_of_its_digits(name: str, bfloat16: Any) -> None:
    torch.manual_seed(0)
    model = randomised(create_model(name, num_classes=10))
    x = images(64)
    runner = TorchRunner(model, TorchWay(True, bfloat16=bfloat16), torch.float32)
    found = runner(x)
    assert found.dtype == torch.float32
    assert 1e-5 < relative_error(found, model(x)) < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("bfloat16", ["cast", "autocast"])
@torch.no_grad()
def test_compiled_bfloat16_gives_the_same_scores(bfloat16: Any) -> None:
    torch.manual_seed(0)
    body = [nn.Conv2d(3, 8, 3), nn.GELU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(8), nn.Linear(8, 4)]
    model, x = nn.Sequential(*body).eval(), images(16, batch=3)
    runner = TorchRunner(model, TorchWay(True, compiled=True, any_batch=True, bfloat16=bfloat16), torch.float32)
    assert runner(x).dtype == torch.float32
    assert 1e-5 < relative_error(runner(x), model(x)) < 0.05


class Filter(nn.Module):
    """Multiplies by complex weights."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 4, 3, dtype=torch.complex64))
        self.register_buffer("offset", torch.randn(3, 4, 4))

    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.irfft2(torch.fft.rfft2(x.float()) * self.weight, s=x.shape[-2:]).to(x.dtype) + self.offset


def test_complex_weights_keep_their_imaginary_parts() -> None:
    model = Filter()
    for dtype, weight in [(torch.bfloat16, torch.complex64), (torch.float64, torch.complex128)]:
        copied = cast_copy(model, dtype)
        assert (copied.weight.dtype, copied.offset.dtype) == (weight, dtype)
        torch.testing.assert_close(copied.weight.to(torch.complex64), model.weight)
    assert model.offset.dtype == torch.float32
    assert relative_error(reduced(model, PHOTOS)(PHOTOS), model(PHOTOS)) < 1e-5


def test_bfloat16_is_tried_where_it_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def ways(network: nn.Module, **fields: Any) -> list[str]:
        return [way.bfloat16 for way in bfloat16_ways(Work(network, PHOTOS[:8], **{"dtype": torch.float32, **fields}))]

    monkeypatch.setattr(torch_ways, "has_bfloat16", lambda device: True)
    assert ways(Classifier()) == ["cast", "autocast"] * 2
    assert ways(Classifier(), compile=False) == ["cast", "autocast"]
    assert ways(Filter()) == ["autocast"] * 2
    assert ways(Classifier(), dtype=torch.bfloat16) == []
    monkeypatch.setattr(torch_ways, "has_bfloat16", lambda device: False)
    assert ways(Classifier()) == []


@pytest.mark.medium
@torch.no_grad()
def test_dense_networks_take_reduced_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_ways, "has_bfloat16", lambda device: True)
    monkeypatch.setattr(torch_ways, "exact_ways", lambda *_, **__: [PLAIN, TorchWay(True)])
    segmenter = randomised(Segmenter(create_model("resnet_test"), 5, 16))
    fast = reduced(segmenter, torch.randn(8, 3, 64, 64), precision="bf16", batch=2)
    assert {str(measured.way) for measured in fast.report.measured} == {
        "eager, contiguous",
        "eager, channels last",
        "eager, bfloat16 by cast, channels last",
        "eager, bfloat16 by autocast, channels last",
    }
    assert [measured.failure for measured in fast.report.measured] == [""] * 4

    network = detector(mask_rcnn).float()
    found = modernet.optimize(network, torch.randn(8, 3, 64, 64), precision="bf16", compile=False, batch=1)
    assert isinstance(found, OptimizedDetector)
    assert len(found.report.measured) == 4
    assert [measured.failure for measured in found.report.measured] == [""] * 4
    assert all(len(part.measured) == 2 for part in found.report.others)
