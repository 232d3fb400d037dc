from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch

from cluster_jobs import train_and_die_once
from modernet import progress
from modernet.errors import InputError
from modernet.machine.cores import usable_cores
from modernet.machine.device import describe
from modernet.recipes import get_recipe
from modernet.records import Record
from modernet.roadmap import road
from modernet.studies import Machines
from modernet.studies.running import cluster, ray_connection
from modernet.studies.running.cluster import Cluster, outcome_of
from modernet.studies.running.jobs import Work
from modernet.studies.running.ray_task import probe
from modernet.studies.running.runner import run_all
from modernet.studies.runs import Run, Study, finish_runs, plan_runs, train_run
from modernet.training import Interrupted
from modernet.weights import NetworkSpec
from runner_jobs import Sum, add

RECIPE = get_recipe("quick").replace(epochs=2, batch_size=16)
STEPS = ("resnet", "depthwise_conv", "separate_downsampling")
TESTS = str(Path(__file__).parents[2])
RAY = ("raylet", "gcs_server", "ray::")


@contextmanager
def shown_lines() -> Iterator[list[str]]:
    """The lines that the progress display shows."""
    lines: list[str] = []
    silent = SimpleNamespace(advance=lambda amount=1, note=None: None, close=lambda: None)
    with progress.shown(SimpleNamespace(open=lambda name, total: silent, say=lines.append)):
        yield lines


def ray_processes() -> list[str]:
    """Ray's processes among the descendants of this one."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return [command for command in found if any(name in command for name in RAY)]


@pytest.fixture(scope="module")
def started() -> Iterator[None]:
    """A cluster of this process alone: `auto` would join that of another test process, which ends when that does."""
    ray = ray_connection.import_ray()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", TESTS)  # workers import what they run
        patched.delenv("RAY_ADDRESS", raising=False)
        ray_connection.start_local(ray)
        yield
        ray.shutdown()
    assert ray_processes() == []


def results(records: list[Record]) -> list[tuple[Any, ...]]:
    """What a run computed, without times."""
    rows = [
        {key: row[key] for key in ("train_loss", "validation_top1")} for record in records for row in record.history
    ]
    names = ("test_top1", "test_loss", "validation_top1")
    return [*((record.name, record.error, *(record.metrics[name] for name in names)) for record in records), *rows]


def study_of_the_road(data: str, machines: Machines, folder: str | Path, train: Work[Run, None]) -> list[Record]:
    study = Study.begin(
        data, seeds=1, recipe=RECIPE, skip_unreadable=False, machines=machines, one_core=True, folder=folder
    )
    networks = [NetworkSpec.of_design(step.name, step.design) for step in road("nano", stem_stride=1)]
    planned = [run for spec in networks if spec.name in STEPS for run in plan_runs(study, spec.name, spec, RECIPE, {})]
    return finish_runs(study, planned, "", train)


@pytest.mark.slow
@pytest.mark.usefixtures("started")
def test_a_run_whose_worker_is_killed_resumes_from_its_checkpoint_to_the_same_numbers(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    undisturbed = study_of_the_road(str(image_folder), Machines(workers=1), tmp_path / "here", train_run)
    with shown_lines() as lines:
        killed = study_of_the_road(image_folder.name, Machines(cluster="auto"), "cluster", train_and_die_once)

    assert results(killed) == results(undisturbed)
    assert [record.environment["device"] for record in killed] == [describe(torch.device("cpu"), 1)] * 3
    steps = {
        name: [int(path.read_text()) for path in sorted((tmp_path / "cluster" / name).rglob("attempt-*"))]
        for name in STEPS
    }
    (whole,) = steps["resnet"]
    assert steps["separate_downsampling"] == [whole]
    first, second = steps["depthwise_conv"]
    assert first == 3
    assert second < whole  # the retry did the rest, not all of it
    assert "depthwise_conv: its worker died; another one continues" in lines
    assert not (tmp_path / "cluster" / ".cluster").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("started")
def test_failures_and_deaths_are_outcomes(tmp_path: Path) -> None:
    cluster = Cluster("auto", tmp_path, retries=0)
    jobs = [Sum(name, index, 10) for index, name in enumerate(("fails", "dies"))]
    outcomes = {one.job.name: one for one in run_all(jobs, add, workers=1, title="", cluster=cluster)}

    assert {name: one.result for name, one in outcomes.items()} == {"fails": None, "dies": None}
    assert outcomes["fails"].error == "ZeroDivisionError: cannot add"
    assert outcomes["dies"].error == "its worker died once; out of memory?"


@pytest.mark.slow
@pytest.mark.usefixtures("started")
def test_ctrl_c_stops_the_runs_on_a_cluster_and_starts_no_more(tmp_path: Path) -> None:
    diaries = [tmp_path / name for name in "ab"]

    def interrupt() -> None:
        while not any(diary.exists() for diary in diaries):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    whole = Cluster("auto", tmp_path, cpus=usable_cores())  # one run at a time
    with pytest.raises(Interrupted):
        list(run_all([Sum("waits", 0, 0, diary=one) for one in diaries], add, workers=1, title="", cluster=whole))
    thread.join()

    assert [diary.read_text() for diary in diaries if diary.exists()] == ["stopped"]


def test_the_message_without_ray_names_the_extra_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"Ray, which is not installed; pip install 'modernet\[cluster\]'"):
        list(run_all([Sum("a", 1, 2)], add, workers=1, title="adding", cluster=Cluster("auto", tmp_path)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"address": "somewhere"}, "'somewhere' is not an address of a Ray cluster; give auto, or HOST:PORT"),
        ({"address": "ray://head:10001"}, "is not an address of a Ray cluster"),
        ({"cpus": 0}, "a run gets 0 CPUs; give --run-cpus 1 or more"),
        ({"gpus": -1.0}, "a run gets -1 GPUs; give --run-gpus 0, a share such as 0.5, or whole GPUs"),
        ({"gpus": 1.5}, "a run gets 1.5 GPUs"),
    ],
)
def test_invalid_clusters_are_rejected(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Cluster(**({"address": "auto", "folder": tmp_path} | change))


def test_an_unreachable_address_is_reported_at_once() -> None:
    with socket.socket() as taken:  # bound and not listening: a connection is refused
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(InputError, match=rf"no Ray cluster answers at {address} .*; see `ray status` on its head"):
            ray_connection.connect(SimpleNamespace(), address)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            ConnectionError("Unauthenticated"),
            "refused the connection, or is not a Ray cluster; .* set RAY_AUTH_MODE=token if it needs a token",
        ),
        (SystemExit(15), "no Ray cluster answers at 127.0.0.1:[0-9]+; see `ray status` on its head node"),
    ],
)
def test_a_refused_connection_is_reported(error: BaseException, message: str) -> None:
    def init(**options: Any) -> None:
        raise error

    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(InputError, match=message):
            ray_connection.connect(SimpleNamespace(init=init), address)


def test_a_run_too_large_for_every_machine_is_rejected() -> None:
    nodes = [
        {"Alive": True, "Resources": {"CPU": 8.0}},
        {"Alive": True, "Resources": {"CPU": 4.0, "GPU": 1.0}},
        {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}},
    ]
    ray = SimpleNamespace(nodes=lambda: nodes)
    ray_connection.check_size(ray, 8, 0)
    ray_connection.check_size(ray, 2, 0.5)
    with pytest.raises(InputError, match=r"needs 8 CPUs and 1 GPUs, but no machine .* the largest has 4 and 1; give a"):
        ray_connection.check_size(ray, 8, 1)


def test_a_machine_that_does_not_see_the_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.node", lambda: "node-7")
    with probe(tmp_path) as found:
        found.check(timeout_s=0.0)
        for elsewhere in (
            replace(found, path=tmp_path / "other" / ".cluster"),
            replace(found, content="another run's"),
        ):
            with pytest.raises(InputError, match=r"node-7 of the cluster does not see .*; give an --out on a file"):
                elsewhere.check(timeout_s=0.0)
    assert not found.path.exists()


def test_a_failed_task_is_an_outcome_unless_the_user_can_fix_it() -> None:
    class RayTaskError(Exception):
        def __init__(self, cause: Exception) -> None:
            self.cause = cause

    class Other(Exception):
        pass

    def get(error: Exception) -> None:
        raise error

    names = ("WorkerCrashedError", "NodeDiedError", "OutOfMemoryError", "RayError")
    ray = SimpleNamespace(get=get, exceptions=SimpleNamespace(RayTaskError=RayTaskError, **dict.fromkeys(names, Other)))
    job = Sum("a", 1, 2)
    failed = outcome_of(ray, RayTaskError(ImportError("no module named modernet")), job, retries=3)
    assert failed is not None
    assert failed.error == "its worker cannot run it: ImportError: no module named modernet"
    died = outcome_of(ray, Other(), job, retries=3)
    assert died is not None
    assert died.error == "its worker died 4 times; out of memory?"
    with pytest.raises(InputError, match="node-7 does not see"):
        outcome_of(ray, RayTaskError(InputError("node-7 does not see")), job, retries=3)


def test_repeated_work_is_counted_once() -> None:
    shown: list[float] = []
    bar = SimpleNamespace(advance=lambda amount, note: shown.append(amount))
    with shown_lines() as lines:
        done = cluster._Progress([Sum("a", 0, 0, cost=10.0)], bar)
        done.update(0, "one", 6.0, None)
        done.update(0, "two", 4.0, None)  # from its checkpoint
        done.update(0, "two", 7.0, None)
        done.finish(0)

    assert shown == [6.0, 0.0, 1.0, 3.0]
    assert lines == ["a: its worker died; another one continues"]


def test_runs_that_share_a_machine_are_counted() -> None:
    assert Cluster("auto", Path(), cpus=10_000).runs_per_machine() == 1
    assert Cluster("auto", Path(), gpus=0.25).runs_per_machine() == 4
    assert Cluster("auto", Path(), gpus=2.0).runs_per_machine() == 1


def test_auto_starts_a_cluster_where_none_is_running() -> None:
    started: list[str] = []

    def init(address: str, **options: Any) -> None:
        if address == "auto":
            raise ConnectionError("Could not find any running Ray instance")
        started.append(address)

    nodes = [{"Alive": True, "Resources": {"CPU": 2.0}}]
    ray = SimpleNamespace(init=init, nodes=lambda: nodes, cluster_resources=lambda: {"CPU": 2.0})
    with shown_lines() as lines:
        ray_connection.connect(ray, "auto")
    assert started == ["local"]
    assert lines == ["no Ray cluster is running here; started one on this machine: 1 machine, 2 CPUs, 0 GPUs"]


def test_what_ray_prints_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    context = SimpleNamespace(gcs_address="head:6379")
    ray = SimpleNamespace(
        is_initialized=lambda: False, init=lambda **_: None, shutdown=lambda: None, nodes=list,
        cluster_resources=dict, get_runtime_context=lambda: context,
    )  # fmt: skip
    with ray_connection.connected(ray, "auto"):
        thread = threading.Thread(target=print, args=("a worker died",))
        thread.start()
        thread.join()
    print("a result")
    assert capsys.readouterr() == ("a result\n", "a worker died\n")
