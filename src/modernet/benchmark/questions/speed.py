"""`modernet benchmark`: networks side by side on this device."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from modernet.benchmark.case import plan_cases
from modernet.benchmark.inputs import Images, Inputs
from modernet.benchmark.run import run_cases
from modernet.benchmark.targets import Target, find_network, find_networks
from modernet.errors import InputError
from modernet.machine.device import check_threads, choose_device
from modernet.preparation import ImageSize
from modernet.records import Record

DEFAULT_BATCH = {"cpu": 8, "cuda": 128}
_IMAGE_SIZE, _LENGTH = 224, 1024
DEFAULT_DTYPE = {"cpu": "float32", "cuda": "bfloat16"}


def benchmark_models(
    models: Sequence[str],
    *,
    image_size: ImageSize | None = None,
    length: int | None = None,
    batch: int | Literal["auto"] | None = None,
    modes: Sequence[str] = ("infer",),
    dtypes: Sequence[str] | None = None,
    layouts: Sequence[str] | None = None,
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
    warm-up, on random images that rotate so that none is cached; networks for sequences or point clouds on random
    sequences or clouds, and what is said of images holds for these. On a GPU, times are from CUDA events. Values are
    medians over rounds, with quartiles. Ratios are of examples per second within each round, relative to the first
    model with the same options (or the most similar ones, if it does not have these), with the 95 % bootstrap interval
    of the median. A case that fails, for lack of memory or otherwise, has an error in its record, and the others
    continue.

    The peaks of the device are measured in the same run: a large matrix product per dtype, and a large copy. Operations
    and bytes are counted without a device, see `traffic.count_work`.

    Args:
        models: names, see `targets.find_network`; ratios are relative to the first.
        image_size: side of the images in pixels, or height and width, the same for all. Default: 224.
        length: steps of the sequences, or points of the clouds, the same for all. Default: 1,024.
        batch: images, sequences or clouds per batch; `"auto"` finds the fastest for each case. Default: 8 on a
            CPU, 128 on a GPU.
        modes: `"infer"`, a forward pass; `"train"`, a step of forward, cross-entropy, backward and SGD.
        dtypes: `"float32"` without and `"tf32"` with a GPU's TF32 units; `"bfloat16"` or `"float16"`, with the network
            cast to it for inference, and float32 weights under autocast without loss scaling for training. Default:
            bfloat16 on a GPU, float32 on a CPU.
        layouts: `"channels_last"`, `"contiguous"`, of networks for images. Default: channels_last.
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
        InputError: a name is unknown, the networks take different things, an option is out of range or not
            possible on the device, or the folder contains another benchmark.
        Stopped: Ctrl-C after the first round; the finished rounds are written, and in the exception.
    """
    where = choose_device(device)
    targets = find_networks(models, find)
    inputs = targets[models[0]].inputs
    size = _size(inputs, image_size, length)
    for target in targets.values():
        target.inputs.check(size)
    if layouts is not None and not isinstance(inputs, Images):
        raise InputError(f"layouts are those of images, and {models[0]} takes {inputs.unit}; leave out layout")
    cases = plan_cases(
        models,
        where,
        modes=modes,
        dtypes=(DEFAULT_DTYPE[where.type],) if dtypes is None else dtypes,
        layouts=inputs.layouts if layouts is None else layouts,
        compile_modes=compile_modes,
        batch=DEFAULT_BATCH[where.type] if batch is None else batch,
        size=size,
        threads=check_threads(threads),
    )
    where_to = None if folder is None else Path(folder)
    return run_cases(cases, targets, where, rounds=rounds, turn_s=turn_s, folder=where_to)


def _size(inputs: Inputs, image_size: ImageSize | None, length: int | None) -> ImageSize:
    """Return the size of the examples, or the default.

    Raises:
        InputError: the size of another kind of examples is given.
    """
    if isinstance(inputs, Images):
        if length is not None:
            raise InputError("length is that of sequences and point clouds; of images, give image_size")
        return _IMAGE_SIZE if image_size is None else image_size
    if image_size is not None:
        raise InputError(f"image_size is that of images; of {inputs.unit}, give length")
    return _LENGTH if length is None else length
