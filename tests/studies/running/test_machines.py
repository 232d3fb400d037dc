from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from modernet.errors import InputError
from modernet.studies import Machines
from modernet.studies.running import machines

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
FOLDER = Path("/shared/study")


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "usable_cores", lambda: 8)


@pytest.mark.parametrize(
    ("device", "one_core", "workers"), [(CPU, True, 8), (CPU, False, 1), (CUDA, True, 1), (CUDA, False, 1)]
)
def test_small_networks_run_one_per_core_on_a_cpu_and_others_one_by_one(
    device: torch.device, one_core: bool, workers: int
) -> None:
    resources = Machines(device=device).resources(FOLDER, one_core=one_core)
    assert (resources.device, resources.workers, resources.cluster) == (device, workers, None)
    assert resources.concurrent_runs == workers


def test_workers_override_the_default() -> None:
    assert Machines(device=CPU, workers=3).resources(FOLDER, one_core=True).concurrent_runs == 3


@pytest.mark.parametrize(
    ("gpus", "one_core", "device", "cpus"),
    [(0, True, CPU, 1), (0, False, CPU, 8), (2, True, CUDA, 4), (2, False, CUDA, 4)],
)
def test_a_run_on_a_cluster_gets_its_share_of_a_machine_like_this_one(
    gpus: int, one_core: bool, device: torch.device, cpus: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    resources = Machines(cluster="auto").resources(FOLDER, one_core=one_core)
    assert resources.device == device
    assert resources.cluster is not None
    assert (resources.cluster.cpus, resources.cluster.gpus) == (cpus, float(gpus > 0))
    assert resources.cluster.folder == FOLDER


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "workers is 0; give 1 or more"),
        ({"run_cpus": 2}, "--run-cpus and --run-gpus need a cluster; add --cluster auto, or leave them out"),
        ({"run_gpus": 1.0}, "--run-cpus and --run-gpus need a cluster"),
        (
            {"cluster": "auto", "workers": 2},
            "--workers does not apply to a cluster; give --run-cpus instead, or leave it out",
        ),
    ],
)
def test_contradicting_options_are_rejected(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Machines(**options)
