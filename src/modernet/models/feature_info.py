"""What feature maps a network has: answers as timm's `FeatureInfo` does, so code for timm's networks can ask ours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, overload


class Feature(dict[str, Any]):
    """One feature map of a backbone: a dictionary with timm's keys, which are attributes too.

    >>> feature = Feature(96, 4, "stages.0")
    >>> feature["num_chs"], feature.reduction
    (96, 4)
    """

    def __init__(self, num_chs: int, reduction: int, module: str) -> None:
        super().__init__(num_chs=num_chs, reduction=reduction, module=module)

    @property
    def num_chs(self) -> int:
        """Channels."""
        number: int = self["num_chs"]
        return number

    @property
    def reduction(self) -> int:
        """Stride with respect to the input, in pixels."""
        stride: int = self["reduction"]
        return stride

    @property
    def module(self) -> str:
        """Name of the submodule that outputs it, as `(b, c, h, w)`, channels last or as tokens."""
        name: str = self["module"]
        return name


class FeatureInfo(tuple[Feature, ...]):
    """The feature maps of a backbone, finest first, and which of them are returned.

    As a sequence, and where a method is given an index or several, these are all maps of the backbone. Without an index
    a method answers for the returned maps, in their order.

    Attributes:
        out_indices: the returned maps; all of them for a whole network.

    >>> info = FeatureInfo([Feature(64, 4, "layer1"), Feature(128, 8, "layer2")], out_indices=(1,))
    >>> info[0]["num_chs"], info.channels(), info.reduction(-2), len(info)
    (64, [128], 4, 2)
    """

    out_indices: tuple[int, ...]

    def __new__(cls, features: Iterable[Feature], out_indices: Sequence[int] | None = None) -> FeatureInfo:
        """Make it from the maps of a network, in order; by default all are returned."""
        info = super().__new__(cls, features)
        for index, feature in enumerate(info):
            feature["index"] = index
        info.out_indices = tuple(range(len(info)) if out_indices is None else out_indices)
        return info

    @property
    def info(self) -> list[Feature]:
        """All maps of the backbone."""
        return list(self)

    def from_other(self, out_indices: int | Sequence[int]) -> FeatureInfo:
        """Return the same maps with other `out_indices`; an int n means the last n."""
        chosen = range(-out_indices, 0) if isinstance(out_indices, int) else out_indices
        return FeatureInfo((Feature(each.num_chs, each.reduction, each.module) for each in self), chosen)

    def get(self, key: str, idx: int | Sequence[int] | None = None) -> Any:
        """Return a value of a map, or of several: `num_chs`, `reduction`, `module` or `index`."""
        if isinstance(idx, int):
            return self[idx][key]
        return [self[index][key] for index in (self.out_indices if idx is None else idx)]

    def get_dicts(self, keys: Sequence[str] | None = None, idx: int | Sequence[int] | None = None) -> Any:
        """Return a map, or several, as dictionaries; with `keys`, of these alone."""
        if isinstance(idx, int):
            return self[idx] if keys is None else {key: self[idx][key] for key in keys}
        return [self.get_dicts(keys, index) for index in (self.out_indices if idx is None else idx)]

    @overload
    def channels(self, idx: int) -> int: ...
    @overload
    def channels(self, idx: Sequence[int] | None = None) -> list[int]: ...
    def channels(self, idx: int | Sequence[int] | None = None) -> Any:
        """Return the channels of a map, or of several."""
        return self.get("num_chs", idx)

    @overload
    def reduction(self, idx: int) -> int: ...
    @overload
    def reduction(self, idx: Sequence[int] | None = None) -> list[int]: ...
    def reduction(self, idx: int | Sequence[int] | None = None) -> Any:
        """Return the stride of a map, or of several."""
        return self.get("reduction", idx)

    @overload
    def module_name(self, idx: int) -> str: ...
    @overload
    def module_name(self, idx: Sequence[int] | None = None) -> list[str]: ...
    def module_name(self, idx: int | Sequence[int] | None = None) -> Any:
        """Return the name of the submodule that outputs a map, or of several."""
        return self.get("module", idx)

    def __repr__(self) -> str:
        return f"FeatureInfo({list(self)}, out_indices={self.out_indices})"
