"""`modernet benchmark`: networks side by side on this device."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from modernet.benchmark.case import plan_cases
from modernet.benchmark.run import run_cases
from modernet.machine.device import check_threads, choose_device
from modernet.records import Record

DEFAULT_BATCH = {"cpu": 8, "cuda": 128}
DEFAULT_DTYPE = {"cpu": "float32", "cuda": "bfloat16"}


def benchmark_models(
    models: Sequence[str],
    *,
    image_size: int = 224,
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
) -> list[Record]:
    """Measure networks side by side: speed, latency, memory, and how much of the device's own peak they reach.

    Every model runs in every combination of the options. All of them are in memory together and take turns in rounds,
    after warm-up, with random images that rotate so that no cache knows them; a GPU's time is that of its events. A
    number is the median over rounds, with quartiles. A ratio is of images a second within each round, with the 95 %
    bootstrap interval of its median, to the first model under the same options or, where it has none, the most
    similar ones. What fails, for want of memory or otherwise, says so in its record while the others go on.

    The peaks that networks are held against are measured in the same run: a large matrix product in each dtype, and a
    large copy. Operations and bytes are counted without a device, see `traffic.count_work`.

    Args:
        models: names, see `targets.find_network`; ratios are to the first.
        image_size: side of the square images in pixels, the same for all.
        batch: images in a batch; `"auto"` finds the fastest for each case; None is 8 on a CPU and 128 on a GPU.
        modes: `"infer"`, a forward pass; `"train"`, a step of forward, cross-entropy, backward and SGD.
        dtypes: `"float32"` without and `"tf32"` with a GPU's TF32 units; `"bfloat16"` or `"float16"`: inference with
            the network cast to it, training with float32 weights under autocast, without scaling of the loss. None is
            bfloat16 on a GPU and float32 on a CPU.
        layouts: `"channels_last"`, `"contiguous"`.
        compile_modes: `"off"`, or modes of `torch.compile`: `"default"`, `"max-autotune"`.
        device: `"cpu"`, `"cuda"` or `"cuda:N"`; None is the GPU where there is one.
        threads: that the CPU computes with; None is one for each core that this process may use.
        rounds: turns that every case has; 5 or more for an interval worth its name.
        turn_s: length of a turn in seconds; one step at least.
        folder: gets a record for each case, tables and a chart; None writes nothing.

    Returns:
        A record for each case, in the order of the options and, within them, of the models.

    Raises:
        InputError: a name is unknown, an option is out of range or does not go with the device, or the folder holds
            another benchmark.
        Stopped: Ctrl-C after the first round; what was finished is written and in the exception.
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
    return run_cases(cases, where, rounds=rounds, turn_s=turn_s, folder=None if folder is None else Path(folder))
