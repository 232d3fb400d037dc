"""Joining a Ray cluster, or starting one on this machine; without Ray's own noise."""

from __future__ import annotations

import importlib
import logging
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO, cast

from modernet import progress
from modernet.errors import InputError
from modernet.machine.cores import usable_cores
from modernet.training import ignoring_ctrl_c

AUTO = "auto"
_CONNECT_S = 10.0
_STORE_BYTES = 100 * 2**20  # Ray's store of objects; nothing large travels through it


def import_ray() -> Any:
    """The module `ray`; nothing is imported unless a cluster is asked for.

    Raises:
        InputError: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when a cluster starts
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise InputError(
            "runs on a cluster need Ray, which is not installed; pip install 'modernet[cluster]'"
        ) from error


def check_address(address: str) -> None:
    """Check that an address has the form of one.

    Raises:
        InputError: it is neither `auto` nor `HOST:PORT`.
    """
    host, _, port = address.rpartition(":")
    if address != AUTO and ("/" in host or not host or not port.isdecimal()):
        raise InputError(
            f"{address!r} is no address of a Ray cluster; give {AUTO}, or HOST:PORT as `ray start --head` prints it"
        )


@contextmanager
def connected(ray: Any, address: str) -> Iterator[None]:
    """Join the cluster, or start one on this machine; a connection that was there before is used, and stays.

    Raises:
        InputError: no cluster answers at the address.
    """
    if ray.is_initialized():
        yield
        return
    log = logging.getLogger("ray")
    level = log.level
    log.setLevel(logging.ERROR)
    with redirect_stdout(cast(TextIO, _WithoutRay(sys.stdout))):
        try:
            with ignoring_ctrl_c():
                _connect(ray, address)
            yield
        finally:
            ray.shutdown()
            log.setLevel(level)


def check_size(ray: Any, cpus: int, gpus: float) -> None:
    """Check that a task fits on some machine: Ray would wait for ever for one that is large enough.

    Raises:
        InputError: none is.
    """
    machines = _machines(ray)
    if any(have.get("CPU", 0) >= cpus and have.get("GPU", 0) >= gpus for have in machines):
        return
    largest = max(machines, key=lambda have: (have.get("GPU", 0), have.get("CPU", 0)))
    raise InputError(
        f"a run takes {cpus} CPUs and {gpus:g} GPUs, and no machine of the cluster has as many: the largest has "
        f"{largest.get('CPU', 0):g} and {largest.get('GPU', 0):g}; give a smaller --run-cpus or --run-gpus"
    )


def _connect(ray: Any, address: str) -> None:
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address != AUTO:
        _check_reachable(address)
    try:
        ray.init(address=address, **quiet)
        where = f"on the Ray cluster at {ray.get_runtime_context().gcs_address}"
    except ConnectionError as error:
        if address != AUTO:
            raise InputError(
                f"the Ray cluster at {address} lets nobody in, or is none; see `ray status` on its head node, and set "
                "RAY_AUTH_MODE=token where it asks for a token"
            ) from error
        cores = usable_cores()
        ray.init("local", num_cpus=cores, include_dashboard=False, object_store_memory=_STORE_BYTES, **quiet)
        where = "no Ray cluster is running here; started one on this machine"
    except SystemExit as error:  # how Ray says that nobody answered for two minutes
        raise InputError(f"no Ray cluster answers at {address}; see `ray status` on its head node") from error
    cpus, gpus = (f"{ray.cluster_resources().get(kind, 0):g} {kind}s" for kind in ("CPU", "GPU"))
    machines = len(_machines(ray))
    progress.say(f"{where}: {machines} machine{'s' if machines > 1 else ''}, {cpus}, {gpus}")


def _check_reachable(address: str) -> None:
    """Ray itself would try for two minutes and then end the process."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"no Ray cluster answers at {address} ({error}); see `ray status` on its head node") from error


def _machines(ray: Any) -> list[dict[str, float]]:
    """What each living machine has."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


class _WithoutRay:
    """A standard output that drops what threads of Ray print there: it is for results, and deaths are said anyway."""

    def __init__(self, output: TextIO) -> None:
        self._output = output

    def write(self, text: str) -> int:
        return len(text) if threading.current_thread().name.startswith("ray_") else self._output.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._output, name)
