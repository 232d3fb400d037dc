"""Join a Ray cluster, or start one on this machine."""

from __future__ import annotations

import importlib
import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from modernet import progress
from modernet.errors import InputError
from modernet.machine.cores import usable_cores
from modernet.training import ignoring_ctrl_c

AUTO = "auto"
_CONNECT_S = 10.0
_QUIET = {"log_to_driver": False, "logging_level": logging.ERROR}
_STORE_BYTES = 100 * 2**20  # Ray's object store; nothing large is sent through it


def import_ray() -> Any:
    """Import and return the module `ray`.

    Raises:
        InputError: Ray is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when a cluster starts
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise InputError(
            "runs on a cluster need Ray, which is not installed; pip install 'modernet[cluster]'"
        ) from error


def check_address(address: str) -> None:
    """Check the form of an address.

    Raises:
        InputError: the address is neither `auto` nor `HOST:PORT`.
    """
    host, _, port = address.rpartition(":")
    if address != AUTO and ("/" in host or not host or not port.isdecimal()):
        raise InputError(
            f"{address!r} is not an address of a Ray cluster; give {AUTO}, or HOST:PORT as `ray start --head` prints it"
        )


@contextmanager
def connected(ray: Any, address: str) -> Iterator[None]:
    """Join the cluster, or start one on this machine. An existing connection is used, and is kept afterwards.

    Inside, stdout is stderr: Ray prints the deaths of workers to stdout, which is for results.

    Raises:
        InputError: no cluster answers at the address.
    """
    if ray.is_initialized():
        yield
        return
    log = logging.getLogger("ray")
    level = log.level
    log.setLevel(logging.ERROR)
    with redirect_stdout(sys.stderr):
        try:
            with ignoring_ctrl_c():
                connect(ray, address)
            yield
        finally:
            ray.shutdown()
            log.setLevel(level)


def check_size(ray: Any, cpus: int, gpus: float) -> None:
    """Check that a run fits on some machine of the cluster; Ray would wait forever for one that joins later.

    Raises:
        InputError: no machine is large enough.
    """
    machines = _machines(ray)
    if any(have.get("CPU", 0) >= cpus and have.get("GPU", 0) >= gpus for have in machines):
        return
    largest = max(machines, key=lambda have: (have.get("GPU", 0), have.get("CPU", 0)))
    raise InputError(
        f"a run needs {cpus} CPUs and {gpus:g} GPUs, but no machine of the cluster has that many: the largest has "
        f"{largest.get('CPU', 0):g} and {largest.get('GPU', 0):g}; give a smaller --run-cpus or --run-gpus"
    )


def connect(ray: Any, address: str) -> None:
    """Join the cluster, or for `auto` without one, start one on this machine.

    Raises:
        InputError: no cluster answers at the address, or it refuses the connection.
    """
    if address != AUTO:
        _check_reachable(address)
    try:
        ray.init(address=address, **_QUIET)
        where = f"on the Ray cluster at {ray.get_runtime_context().gcs_address}"
    except ConnectionError as error:
        if address != AUTO:
            raise InputError(
                f"{address} refused the connection, or is not a Ray cluster; see `ray status` on its head node, and "
                "set RAY_AUTH_MODE=token if it needs a token"
            ) from error
        start_local(ray)
        where = "no Ray cluster is running here; started one on this machine"
    except SystemExit as error:  # what Ray raises after two minutes without an answer
        raise InputError(f"no Ray cluster answers at {address}; see `ray status` on its head node") from error
    cpus, gpus = (f"{ray.cluster_resources().get(kind, 0):g} {kind}s" for kind in ("CPU", "GPU"))
    machines = len(_machines(ray))
    progress.say(f"{where}: {machines} machine{'s' if machines > 1 else ''}, {cpus}, {gpus}")


def start_local(ray: Any) -> None:
    """Start a cluster of this machine alone, and join it."""
    cores = usable_cores()
    ray.init("local", num_cpus=cores, include_dashboard=False, object_store_memory=_STORE_BYTES, **_QUIET)


def _check_reachable(address: str) -> None:
    """Check that the port accepts connections; Ray would try for two minutes and then exit."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"no Ray cluster answers at {address} ({error}); see `ray status` on its head node") from error


def _machines(ray: Any) -> list[dict[str, float]]:
    """Return the resources of each machine that is alive."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]
