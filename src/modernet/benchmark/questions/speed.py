"""`modernet benchmark`: networks side by side on this device."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from modernet.benchmark.case import plan_cases
from modernet.benchmark.run import run_cases
from modernet.benchmark.targets import Target, find_network
from modernet.machine.device import check_threads, choose_device
from modernet.preparation import ImageSize
from modernet.records import Record

DEFAULT_BATCH = {"cpu": 8, "cuda": 128}
DEFAULT_DTYPE = {"cpu": "float32", "cuda": "bfloat16"}


def benchmark_models(
    models: Sequence[str],
    *,
    image_size: ImageSize = 224,
    batch: int | Literal["auto"] | None = None,
    modes: Sequence[str] = ("infer",),
    dtypes: Sequence[str] | None = None,
    layouts: Sequence[str] = ("channels_last",),
    compile_modes: Sequence[str] = ("off",),
    device: str | None = None,
    threads: int | None = None,
    rounds: int = 10,
    turn_s: float = 0.25,
    folder: str | os.PathLike[str] | None = None,
    find: Callable[[str], Target] = find_network,
) -> list[Record]:
    """Measure networks side by side: speed, latency, memory, and the share of the device's peak that they reach.

    Every model runs with every combination of the options. All are in memory together and take turns in rounds, after
    warm-up, on random images that rotate so that none is cached. On a GPU, times are from CUDA events. Values are
    medians over rounds, with quartiles. Ratios are of images per second within each round, relative to the first model
    with the same options (or the most similar ones, if it does not have these), with the 95 % bootstrap interval of the
    median. A case that fails, for lack of memory or otherwise, has an error in its record, and the others continue.

    The peaks of the device are measured in the same run: a large matrix product per dtype, and a large copy. Operations
    and bytes are counted without a device, see `traffic.count_work`.

    Args:
        models: names, see `targets.find_network`; ratios are relative to the first.
        image_size: side of the images in pixels, or height and width, the same for all.
        batch: images per batch; `"auto"` finds the fastest for each case. Default: 8 on a CPU, 128 on a GPU.
        modes: `"infer"`, a forward pass; `"train"`, a step of forward, cross-entropy, backward and SGD.
        dtypes: `"float32"` without and `"tf32"` with a GPU's TF32 units; `"bfloat16"` or `"float16"`, with the network
            cast to it for inference, and float32 weights under autocast without loss scaling for training. Default:
            bfloat16 on a GPU, float32 on a CPU.
        layouts: `"channels_last"`, `"contiguous"`.
        compile_modes: `"off"`, or modes of `torch.compile`: `"default"`, `"max-autotune"`.
        device: `"cpu"`, `"cuda"` or `"cuda:N"`. Default: the GPU if there is one.
        threads: number of CPU threads. Default: one per core that this process may use.
        rounds: turns of every case; intervals need 5 or more.
        turn_s: length of a turn in seconds; at least one step.
        folder: gets a record per case, tables and a chart; None writes nothing.
        find: finds a network by its name.

    Returns:
        A record per case, in the order of the options and, within them, of the models.

    Raises:
        InputError: a name is unknown, an option is out of range or not possible on the device, or the folder contains
            another benchmark.
        Stopped: Ctrl-C after the first round; the finished rounds are written, and in the exception.
    """
    where = choose_device(device)
    cases = plan_cases(
        models,
        where,
        modes=modes,
        dtypes=(DEFAULT_DTYPE[where.type],) if dtypes is None else dtypes,
        layouts=layouts,
        compile_modes=compile_modes,
        batch=DEFAULT_BATCH[where.type] if batch is None else batch,
        image_size=image_size,
        threads=check_threads(threads),
    )
    where_to = None if folder is None else Path(folder)
    return run_cases(cases, where, rounds=rounds, turn_s=turn_s, folder=where_to, find=find)
