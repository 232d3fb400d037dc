"""Folders of images with a label map each: which map belongs to which image, and what its values mean."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from modernet.data.images.finding import images_below, is_hidden
from modernet.data.images.label_files import LabelCode, is_index_mode, read_values, stored_mode
from modernet.data.images.views import IGNORE
from modernet.data.sources.class_files import ClassList, find_class_file, read_class_file
from modernet.data.sources.split_names import is_split_word, split_of
from modernet.errors import InputError
from modernet.files.names import valid_text

LABEL_LAYOUTS = (
    "images/ with masks/, labels/ or annotations/ beside it, split folders below or above; train/ with trainannot/ or "
    "train_labels/; JPEGImages/ with SegmentationClass/ and lists in ImageSets/Segmentation/; ADE20K's challenge; "
    "Cityscapes with leftImg8bit/ and gtFine/"
)
_IMAGES = ("images", "image", "imgs", "img", "jpegimages", "leftimg8bit")
_MAPS = (
    "masks",
    "mask",
    "labels",
    "label",
    "annotations",
    "annotation",
    "segmentationclass",
    "segmentationclasspng",
    "gtfine",
)
_PARTNERS = ("annot", "_labels", "_label", "_masks", "_mask", "labels", "masks")
_IMAGE_ENDING = re.compile(r"_leftImg8bit$")
_MAP_ENDING = re.compile(r"(_gtFine_labelTrainIds|_gtFine_labelIds|_L|_masks?|_labels?|_gt|_seg(mentation)?)$")

_CITYSCAPES = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain",
    "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
)  # fmt: skip
_CITYSCAPES_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
_MOST_CITYSCAPES_ID = 33
_OF_VOC = re.compile(r"VOC20\d\d")
_VOC = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "dining table",
    "dog", "horse", "motorbike", "person", "potted plant", "sheep", "sofa", "train", "tv monitor",
)  # fmt: skip
_SEGNET_CAMVID = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign symbol", "fence", "car", "pedestrian", "bicyclist",
    "void",
)  # fmt: skip


class Pair(NamedTuple):
    """An image and its label map; None where there is none."""

    image: Path
    label_map: Path | None


@dataclass(frozen=True)
class LabelFolder:
    """A folder of images with label maps, of which nothing but one file's header has been read.

    Attributes:
        path: the folder.
        pairs: of each split.
        classes: names of the classes; None where only the maps' values say how many there are.
        code: what the values of the maps mean; None likewise.
        unused: label maps without an image.
    """

    path: Path
    pairs: Mapping[str, tuple[Pair, ...]]
    classes: tuple[str, ...] | None
    code: LabelCode | None
    unused: tuple[Path, ...]


def find_label_folder(path: Path, *, to_learn: bool = True) -> LabelFolder | None:
    """Recognise the layout of a folder of label maps; None if it has none of `LABEL_LAYOUTS`.

    Args:
        to_learn: whether a network is to learn from it. If not, it needs no training split.

    Raises:
        InputError: it is the full ADE20K, `to_learn` and its splits lack train, or its list of classes cannot be read.
    """
    if (path / "index_ade20k.pkl").exists():
        raise InputError(
            f"{path} is the full ADE20K, whose labels are parts and instances; give ADEChallengeData2016, with its 150 "
            "classes"
        )
    places = _places(path)
    if not places:
        return None
    pairs: dict[str, list[Pair]] = {}
    unused: list[Path] = []
    for split, images, maps in places:
        found, left = _matched(images, maps)
        unused += left
        if split is None and (lists := _lists(path)):
            pairs |= _listed(found, images, lists)
            continue
        for pair in found:
            pairs.setdefault(split or _split_below(images, pair.image), []).append(pair)
    cityscapes = any(maps.name.casefold() == "gtfine" for _, _, maps in places)
    if cityscapes:
        pairs.pop("test", None)  # its maps are empty: the labels are not published
    if not pairs:
        return None
    if to_learn and "train" not in pairs:
        raise InputError(f"{path} has label maps for {' and '.join(pairs)}, but none for train; name a folder train")
    examples = pairs["train"] if "train" in pairs else next(iter(pairs.values()))
    first = next((pair.label_map for pair in examples if pair.label_map is not None), None)
    if first is None:
        image, kind = examples[0].image, "training image" if "train" in pairs else "image"
        raise InputError(f"no {kind} of {path} has a label map of its name; add {image.stem}.png for {image}")
    names, code = _meaning(path, places, first, cityscapes)
    return LabelFolder(path, {split: tuple(each) for split, each in pairs.items()}, names, code, tuple(unused))


class _Place(NamedTuple):
    split: str | None
    """None where the folders below name the splits."""
    images: Path
    maps: Path


def _places(path: Path) -> list[_Place]:
    """Return the folders of images and of maps."""
    folders = _folders(path)
    beside = _beside(path)
    if beside is not None:
        return [_Place(None, *beside)]
    found = []
    for folder in folders.values():
        split = split_of(folder.name)
        if split is None or not is_split_word(folder.name):
            continue
        inside = _beside(folder)
        partners = [f"{folder.name.casefold()}{ending}" for ending in _PARTNERS]
        partner = next((folders[name] for name in partners if name in folders), None)
        if inside is not None:
            found.append(_Place(split, *inside))
        elif partner is not None:
            found.append(_Place(split, folder, partner))
    return found


def _split_below(images: Path, image: Path) -> str:
    """Return the split that the first folder on the way to an image names; train if none does."""
    folder = image.relative_to(images).parts[0]
    return (split_of(folder) if is_split_word(folder) else None) or "train"


def _lists(path: Path) -> dict[str, Path]:
    """Return the lists of a folder in Pascal VOC's layout by their lower-case names: `{"train": .../train.txt}`."""
    folder = _folders(path).get("imagesets")
    lists = None if folder is None else _folders(folder).get("segmentation")
    return {} if lists is None else {file.stem.casefold(): file for file in sorted(lists.glob("*.txt"))}


def _listed(pairs: Sequence[Pair], images: Path, lists: Mapping[str, Path]) -> dict[str, list[Pair]]:
    """Return the pairs of each split that lists name; images that none names belong to no split.

    Without a list for train, the others (VOC's `trainval`, CVAT's `default`) are for it, but for what is tested on.

    Raises:
        InputError: a list names an image that does not exist.
    """
    by_name = {pair.image.relative_to(images).with_suffix("").as_posix(): pair for pair in pairs}
    named = {}
    for word, file in lists.items():
        lines = file.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines()
        named[word] = [line.strip() for line in lines if line.strip()]
        missing = next((name for name in named[word] if name not in by_name), None)
        if missing is not None and split_of(word) != "test":  # VOC publishes what to test on without its images
            message = f"{file} lists {missing}, and {images} has no such image; add it, or remove the line"
            raise InputError(valid_text(message))
    splits = {str(split_of(word)): names for word, names in named.items() if is_split_word(word)}
    if "train" not in splits:
        held_out = {name for names in splits.values() for name in names}
        others = [name for word, names in named.items() if not is_split_word(word) for name in names]
        splits["train"] = [name for name in dict.fromkeys(others) if name not in held_out]
    found = {split: [by_name[name] for name in names if name in by_name] for split, names in splits.items()}
    if not any(pair.label_map for pair in found.get("test", ())):
        found.pop("test", None)
    return {split: of_split for split, of_split in found.items() if of_split}


def _beside(path: Path) -> tuple[Path, Path] | None:
    """Return the folders of images and maps directly in a folder."""
    folders = _folders(path)
    images = next((folders[name] for name in _IMAGES if name in folders), None)
    maps = next((folders[name] for name in _MAPS if name in folders and images_below(folders[name])), None)
    return None if images is None or maps is None else (images, maps)


def _folders(path: Path) -> dict[str, Path]:
    return {
        entry.name.casefold(): entry for entry in sorted(path.iterdir()) if entry.is_dir() and not is_hidden(entry.name)
    }


def _matched(images: Path, maps: Path) -> tuple[list[Pair], list[Path]]:
    """Match images with the maps of their names below another root; return the pairs, and the maps that are left."""
    files = images_below(maps)
    if maps.name.casefold() == "gtfine":
        kind = "_labelTrainIds" if any(file.stem.endswith("_labelTrainIds") for file in files) else "_labelIds"
        files = [file for file in files if file.stem.endswith(kind)]
    by_name = {_key(file, maps, lambda stem: _MAP_ENDING.sub("", stem)): file for file in files}
    by_name |= {_key(file, maps, str): file for file in files}  # the image's own name comes first
    pairs = [
        Pair(image, by_name.get(_key(image, images, lambda stem: _IMAGE_ENDING.sub("", stem))))
        for image in images_below(images)
    ]
    used = {pair.label_map for pair in pairs}
    return pairs, [file for file in files if file not in used]


def _key(file: Path, root: Path, plain: Callable[[str], str]) -> tuple[str, str]:
    return file.relative_to(root).parent.as_posix(), plain(file.stem)


def _meaning(
    path: Path, places: Iterable[_Place], first: Path, cityscapes: bool
) -> tuple[tuple[str, ...] | None, LabelCode | None]:
    """Return names and code of the classes, from a class file or the layout."""
    file = find_class_file(path, *(place.maps for place in places))
    if file is not None:
        listed = read_class_file(file)
        coloured = listed.colours is not None and _is_coloured(first, listed)
        return listed.known, LabelCode(listed.by_colour() if coloured else listed.by_value(), coloured)
    if cityscapes:
        stored = range(len(_CITYSCAPES)) if first.stem.endswith("TrainIds") else _CITYSCAPES_IDS
        ignored = dict.fromkeys([*range(_MOST_CITYSCAPES_ID + 1), IGNORE], IGNORE)
        return _CITYSCAPES, LabelCode({**ignored, **{value: label for label, value in enumerate(stored)}}, False)
    if first.name.startswith("ADE_"):
        classes = ClassList(tuple(f"class {number}" for number in range(1, 151)), None, first=1)
        return classes.known, LabelCode(classes.by_value(), False)
    if _OF_VOC.fullmatch(path.resolve().name):
        classes = ClassList(_VOC, None)
        return classes.known, LabelCode(classes.by_value(), False)
    if first.parent.name.casefold() == "trainannot":
        classes = ClassList(_SEGNET_CAMVID, None)
        return classes.known, LabelCode(classes.by_value(), False)
    return None, None


def _is_coloured(first: Path, listed: ClassList) -> bool:
    """Return whether maps are to be read by colour: RGB files, or such whose every colour is listed."""
    if not is_index_mode(stored_mode(first)):
        return True
    colours = LabelCode(listed.by_colour(), True)
    return bool((colours.decode(read_values(first, coloured=True)) >= 0).all())
