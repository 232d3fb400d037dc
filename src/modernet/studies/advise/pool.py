"""Which networks to consider: those that the user names, or a dozen of different families."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from modernet.catalogue import TIMM_PREFIX, all_networks, is_model, weights_of
from modernet.catalogue.weights import PERMISSIVE
from modernet.counting import count
from modernet.errors import InputError, one_line
from modernet.models import create_model, get_entry
from modernet.preparation import as_size
from modernet.studies.advise.request import AdviseRequest
from modernet.studies.compare.candidates import Candidate, parse_candidates

MOST = 12
"""Candidates by default."""
PUBLISHED = (
    *("mobilenet_v2", "resnet18", "resnet50", "resnet50d", "convnext_atto", "convnext_nano", "convnext_tiny"),
    *("convnextv2_atto", "convnextv2_nano", "swin_tiny", "deit_tiny", "deit_small", "levit_128s", "levit_256"),
    *("coat_lite_tiny", "resnext50_32x4d"),
)
"""Networks to start from published weights, cheap and widely used; the first dozen that has weights of the licence."""
_SECONDS_PER_MAC = 3 * 2e-10
"""A training step against a multiply-accumulate on one slow core: 5 billion a second, and three passes."""
_TRAININGS = 8
"""Full trainings that the rounds of a dozen candidates take together, about."""
_ACCELERATED = 200
"""How many such cores an accelerator is, at least."""


@dataclasses.dataclass(frozen=True)
class Pool:
    """What to try.

    Attributes:
        candidates: in the order of the command, or by family.
        not_tried: what was left out, and why.
        cost: parameters and multiply-accumulates of each candidate, by label.
    """

    candidates: tuple[Candidate, ...]
    not_tried: Mapping[str, str]
    cost: Mapping[str, tuple[int, int]]


def choose_pool(
    request: AdviseRequest, image_size: int | tuple[int, int], num_classes: int, n_train: int, workers: int, fast: bool
) -> Pool:
    """Return the candidates of a request that can be built for the images, and have weights of the licence.

    Args:
        image_size: of the images.
        num_classes: of the data.
        n_train: training images.
        workers: trainings at once.
        fast: whether an accelerator trains them.

    Raises:
        InputError: a name or a field is unknown, or nothing can be tried.
    """
    left_out: dict[str, str] = {}
    if request.candidates:
        names = [_with_weights(name, request, left_out) for name in request.candidates]
    elif request.weights_dir is not None:
        names = _of_folder(request.weights_dir, left_out)
    elif request.download:
        names = _published(request.licence, left_out)
    else:
        left_out["networks with published weights"] = "no weights at hand: add --download, or --weights-dir FOLDER"
        budget = request.budget_seconds * (_ACCELERATED if fast else workers)
        macs = budget / (_SECONDS_PER_MAC * n_train * request.recipe.schedule.epochs * _TRAININGS)
        names = _of_scale(_scale_for(macs, image_size, num_classes), min(as_size(image_size)))
    candidates: list[Candidate] = []
    costs: dict[str, tuple[int, int]] = {}
    for candidate in parse_candidates(names, request.weights_dir):
        sized = for_size(candidate, image_size)
        reason = _refused(sized, request)
        if reason is None:
            try:
                costs[sized.label] = _counted(sized, image_size, num_classes)
            except Exception as error:  # whatever a network raises that does not take these images
                reason = one_line(error)
        if reason is not None:
            left_out[candidate.label] = reason
        elif len(candidates) == MOST and not request.candidates:
            left_out[candidate.label] = f"{MOST} others were tried"
            del costs[sized.label]
        else:
            candidates.append(sized)
    if not candidates:
        first = next((f"{name}: {why}" for name, why in left_out.items()), "there is none")
        raise InputError(f"no candidate can be tried ({first}); give other --candidates")
    return Pool(tuple(candidates), left_out, costs)


def for_size(candidate: Candidate, image_size: int | tuple[int, int]) -> Candidate:
    """Return a candidate made for the size of the images, if it is of those that are built for one size.

    Its label says so, as it is how `modernet train` makes this network.
    """
    height, width = as_size(image_size)
    if "image_size" in candidate.fields or height != width or _built_for(candidate.model) in (None, height):
        return candidate
    separator = "," if candidate.fields else ":"
    label = f"{candidate.label}{separator}image_size={height}"
    return dataclasses.replace(candidate, label=label, fields={**candidate.fields, "image_size": height})


def _built_for(model: str) -> int | None:
    """Return the side of the images that a network is built for; None where it takes images of any size."""
    network = model.partition(".")[0]
    if network.startswith(TIMM_PREFIX):
        from modernet.models.timm_bridge import fixed_size  # here, since timm takes seconds to import

        return fixed_size(network)
    size: int | None = vars(get_entry(network).config).get("image_size")
    return size


def _with_weights(name: str, request: AdviseRequest, left_out: dict[str, str]) -> str:
    """Return a name with the tag of published weights, if they are to be downloaded and there are any."""
    network, colon, fields = name.partition(":")
    if name.startswith(TIMM_PREFIX):
        network, colon, fields = name, "", ""
    if not request.download or "." in network:
        return name
    tag = _tag(network, request.licence)
    if tag is None:
        left_out[f"weights of {network}"] = "none are published with that licence; it starts from random ones"
        return name
    return f"{tag}{colon}{fields}"


def _tag(network: str, licence: str) -> str | None:
    """Return the name of a network's first published weights of a licence; None if there are none."""
    return next((each.name for each in weights_of(network) if allowed(each.licence, licence)), None)


def allowed(found: str, wanted: str) -> bool:
    """Return whether weights have a licence, `any`, `permissive` or one by name."""
    return wanted == "any" or found in (PERMISSIVE if wanted == "permissive" else (wanted,))


def _published(licence: str, left_out: dict[str, str]) -> list[str]:
    names = []
    for network in PUBLISHED:
        tag = _tag(network, licence)
        if tag is None:
            left_out[network] = f"no weights with the licence {licence}"
        else:
            names.append(tag)
    return names


def _of_folder(folder: Path, left_out: dict[str, str]) -> list[str]:
    """Return the networks that the files of a folder are named after, of the zoo and of timm.

    Raises:
        InputError: the folder does not exist, or no file is named after a network.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}; give one with files such as convnext_tiny.safetensors")
    found = []
    for path in sorted(folder.iterdir()):
        if path.suffix not in (".safetensors", ".pth"):
            continue
        stem = path.name.removesuffix(path.suffix)
        names = (stem, f"{TIMM_PREFIX}{stem.removeprefix('timm:').removeprefix('timm_')}", *_tagged(stem))
        name = next((each for each in names if is_model(each)), None)
        if name is not None:
            found.append(name)
        else:
            left_out[path.name] = "is not named after a network"
    if not found:
        raise InputError(
            f"no file in {folder} is named after a network; name them as in convnext_tiny.safetensors or "
            "timm_tf_efficientnet_lite0.safetensors"
        )
    return found


def _tagged(stem: str) -> list[str]:
    """Return names of published weights that a file may be: `resnet18_a1_in1k` is `resnet18.a1_in1k`."""
    return [
        each.name
        for network in all_networks()
        if stem.startswith(f"{network}_")
        for each in weights_of(network)
        if each.name.replace(".", "_") == stem
    ]


def _refused(candidate: Candidate, request: AdviseRequest) -> str | None:
    """Return why the weights of a candidate rule it out; None if they do not."""
    if (request.weights_dir is not None or request.download) and not request.candidates and candidate.licence is None:
        return "no weights at hand"
    if candidate.licence is None or allowed(candidate.licence, request.licence):
        return None
    stated = f"the licence {candidate.licence}" if candidate.licence else "no stated licence"
    return f"its weights have {stated}, not {request.licence}"


def _counted(candidate: Candidate, image_size: int | tuple[int, int], num_classes: int) -> tuple[int, int]:
    """Return parameters and multiply-accumulates of a candidate as a classifier."""
    with torch.device("meta"):
        network = create_model(candidate.model.partition(".")[0], num_classes=num_classes, **candidate.fields)
        counts = count(network, image_size)
    return counts.params, counts.macs


@dataclasses.dataclass(frozen=True)
class _Scale:
    """A size of networks: their first width, and blocks of each stage."""

    width: int
    depths: tuple[int, int, int, int]


_SCALES = (_Scale(16, (1, 1, 2, 1)), _Scale(32, (2, 2, 4, 2)), _Scale(64, (3, 3, 9, 3)))


def _of_scale(scale: _Scale, side: int) -> list[str]:
    """Return networks of a dozen families and more for images of a side, their stems adapted to small ones.

    Those that cannot be built for the side are among them.
    """
    return [f"{name}:{make(scale, side)}" for name, make in _FAMILIES.items()]


def _scale_for(macs: float, image_size: int | tuple[int, int], num_classes: int) -> _Scale:
    """Return the largest scale whose ResNet has no more multiply-accumulates than there is time for."""
    side = min(as_size(image_size))
    for scale in _SCALES[:0:-1]:
        (network,) = parse_candidates([f"resnet18:{_resnet(scale, side)}"])
        if _counted(network, image_size, num_classes)[1] <= macs:
            return scale
    return _SCALES[0]


def _resnet(scale: _Scale, side: int) -> str:
    return f"width={scale.width},depths={_few(scale)},stem_stride={_stem(side, 32, 64)}"


def _bottleneck(scale: _Scale, side: int) -> str:
    return f"width={scale.width // 2},depths={_few(scale)},stem_stride={_stem(side, 32, 64)}"


def _convnext(scale: _Scale, side: int) -> str:
    return f"dims={_wide(scale)},depths={_tuple(scale.depths)},stem_stride={_stem(side, 24, 64)}"


def _isotropic(scale: _Scale, side: int) -> str:
    return f"dim={4 * scale.width},depth={sum(scale.depths) - 1},patch_size={_patch(side)}"


def _patches(scale: _Scale, side: int) -> str:
    """Return the fields of a network of patches that is built for one size."""
    return f"{_isotropic(scale, side)},image_size={side}"


def _vit(scale: _Scale, side: int) -> str:
    heads = scale.width // 8
    return f"{_patches(scale, side)},heads={heads}"


def _swin(scale: _Scale, side: int) -> str:
    first = scale.width // 8
    return (
        f"dim={2 * scale.width},depths=(2,{2 * scale.depths[0]}),heads=({first},{2 * first}),window_size=4,"
        f"patch_size={2 if side <= 40 else 4}"
    )


def _steps(scale: _Scale, side: int) -> str:
    w = scale.width
    return f"dims=({w},{2 * w},{3 * w},{4 * w}),depths={_tuple(scale.depths)}"


_FAMILIES: Mapping[str, Callable[[_Scale, int], str]] = {
    "resnet18": _resnet,
    "convnext_atto": lambda scale, side: f"{_convnext(scale, side)},layer_scale_init=0.0",
    "convnextv2_atto": _convnext,
    "resnet50d": _bottleneck,
    "swin_tiny": _swin,
    "vit_tiny_patch16": _vit,
    "mobilenet_v2": lambda scale, side: f"width_mult={scale.width / 64}",
    "levit_128s": lambda scale, side: (
        f"dims=({4 * scale.width},{6 * scale.width},{8 * scale.width}),depths={_tuple(scale.depths[:3])},"
        f"heads=({scale.width // 8},{scale.width // 8 + 1},{scale.width // 8 + 2})"
    ),
    "coatnet_0": lambda scale, side: f"{_steps(scale, side)},stem_width={scale.width},head_dim=16",
    "coat_lite_tiny": _steps,
    "gfnet_tiny": _patches,
    "resnext50_32x4d": lambda scale, side: f"{_bottleneck(scale, side)},groups=4,base_width=32",
    "convnext_isotropic_small": _isotropic,
    "replknet_31b": lambda scale, side: f"{_steps(scale, side)},kernel_sizes=(13,11,9,7),small_kernel=5",
    "vgg11_bn": lambda scale, side: (
        f"dims=({scale.width},{2 * scale.width},{4 * scale.width}),depths=(1,1,1),hidden={4 * scale.width}"
    ),
}
"""Network -> its fields; those after the first dozen take the place of others that do not take the images."""


def _stem(side: int, finest: int, fine: int) -> int:
    """Return the stride of a stem, so that the last map of 32 strides keeps some positions."""
    return 1 if side <= finest else 2 if side <= fine else 4


def _patch(side: int) -> int:
    """Return the size of patches of which there are about eight by eight, a divisor of the side."""
    return next(size for size in range(max(2, side // 8), side + 1) if side % size == 0)


def _few(scale: _Scale) -> str:
    return _tuple([max(1, depth // 2) for depth in scale.depths])


def _wide(scale: _Scale) -> str:
    return _tuple([scale.width * 2**stage for stage in range(4)])


def _tuple(values: Sequence[int]) -> str:
    return f"({','.join(map(str, values))})"
