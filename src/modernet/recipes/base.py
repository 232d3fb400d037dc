"""The recipe: every choice of a training run that is not the network or the data, as one typed, frozen tree.

Needs no torch, so that the command line can show every field at once. The names of the leaves are unique over the whole
tree, because each is also an option of the command line (`--lr`, `--mixup`).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from modernet.errors import InputError, unknown_name

LayerGroups = Literal["block", "paper", "single"]
"""How a network is cut into layers that share a learning rate; see `Optimizer.layer_decay_groups`."""


@dataclass(frozen=True)
class ImageSizes:
    """The square that a network is shown."""

    image_size: int | None = None
    """Side of the training images in pixels; None is that of the data, or of the weights to start from."""
    test_size: int | None = None
    """Side of the images in validation and test; None is the training size."""
    test_crop: float = 1.0
    """Share of a test image's shorter side that is shown: 0.875 is ImageNet's 224 of 256."""
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    """How images are scaled, in training and test."""


@dataclass(frozen=True)
class Augmentation:
    """What happens to a training image, in this order but for shift, which comes after flip."""

    flip: float = 0.5
    """Probability of a horizontal flip. 0 where left and right matter, as for digits."""
    shift: float = 0.0
    """Largest shift in each direction, as a share of the image's side; the border is filled by reflection."""
    crop_scale: float = 1.0
    """Smallest area of a random resized crop, as a share of the image; 1 is no crop."""
    rand_augment: str = ""
    """RandAugment in timm's notation, such as rand-m9-mstd0.5-inc1: magnitude 9, its noise 0.5; empty is off."""
    color_jitter: float = 0.0
    """Largest relative change of brightness, contrast and saturation; not used with RandAugment, as in timm."""
    erasing: float = 0.0
    """Probability that a random rectangle (2-33 % of the area) is replaced by noise (Zhong et al. 2017)."""
    cutout: float = 0.0
    """Side of a square that is always blanked, as a share of the image's side (DeVries and Taylor 2017)."""
    mixup: float = 0.0
    """Alpha of mixup's Beta distribution (Zhang et al. 2017); 0 is off."""
    cutmix: float = 0.0
    """Alpha of cutmix's Beta distribution (Yun et al. 2019); 0 is off."""
    mix_prob: float = 1.0
    """Probability that a batch (or image, see `mix_mode`) is mixed at all."""
    mix_switch_prob: float = 0.5
    """With both on, probability of cutmix instead of mixup."""
    mix_mode: Literal["batch", "pair", "elem"] = "batch"
    """One choice and share for a batch, one for each pair of images, or one for each image."""
    repeats: int = 1
    """Repeated augmentation (Hoffer et al. 2019): copies of an image in an epoch, which shows fewer images."""


@dataclass(frozen=True)
class Optimizer:
    """How a gradient becomes a step."""

    optimizer: Literal["adamw", "sgd", "lamb"] = "adamw"
    """AdamW, SGD with momentum, or LAMB (You et al. 2019)."""
    lr: float = 1e-3
    """Learning rate at the top of the schedule, for a batch of `lr_batch`."""
    lr_batch: int | None = None
    """The batch for which all rates are stated; None is this run's, whatever it is."""
    lr_scaling: Literal["linear", "sqrt"] = "linear"
    """How all rates follow the batch where it is not `lr_batch`: in proportion, or by the square root."""
    weight_decay: float = 0.05
    """AdamW: decoupled; SGD: L2; LAMB: within its trust ratio. Norms, biases, scales and positions are spared."""
    decay_norms: bool = False
    """Spare nothing from weight decay, as was usual before 2018."""
    beta1: float = 0.9
    """First beta of AdamW and LAMB; SGD's momentum."""
    beta2: float = 0.999
    """Second beta of AdamW and LAMB."""
    eps: float = 1e-8
    """What AdamW and LAMB add to the root of the second moment."""
    nesterov: bool = True
    """SGD: Nesterov's form of the momentum."""
    layer_decay: float = 1.0
    """Factor of the learning rate from a group of layers to the one below it, the head having the whole; 1 is none."""
    layer_decay_groups: LayerGroups = "block"
    """A group for each block; or as ConvNeXt's releases have it, paper: 12 groups (6 in Tiny), which V2 calls group, or
    single: V2's group for each block, with the stem in the first."""
    clip_grad: float | None = None
    """Largest norm of the gradient, see `clip_mode`; None is no clipping. LAMB clips the whole to 1 by itself."""
    clip_mode: Literal["norm", "agc"] = "norm"
    """The norm of the whole gradient; or of each unit's, relative to its weights' (AGC, Brock et al. 2021)."""


@dataclass(frozen=True)
class Schedule:
    """How long, and how the learning rate moves after a linear warm-up; set anew at every step."""

    epochs: int = 30
    """Passes over the training split."""
    warmup_epochs: float = 3.0
    """Length of the linear warm-up, in epochs. Where only the epochs are changed, it keeps its share of them."""
    warmup_lr: float = 0.0
    """Learning rate from which the warm-up rises, for a batch of `lr_batch`."""
    decay: Literal["cosine", "step"] = "cosine"
    """Half a cosine down to `min_lr`, or equal plateaus, each lower than the one before."""
    plateaus: int = 3
    """Plateaus of the whole run, for decay step: 3 is ResNet's 30-60-90."""
    plateau_factor: float = 0.1
    """Learning rate of a plateau, relative to the one before it."""
    min_lr: float = 1e-6
    """Learning rate at the end of the cosine, for a batch of `lr_batch`."""


@dataclass(frozen=True)
class Regularization:
    """What keeps the network from learning the training images by heart."""

    label_smoothing: float = 0.1
    """Share of the target that is spread evenly over all classes."""
    loss: Literal["ce", "bce"] = "ce"
    """Cross-entropy of one answer, or binary cross-entropy of a yes or no for every class (Strikes Back)."""
    bce_threshold: float | None = None
    """With bce: a class with a larger share of a mixed target is a whole yes, any other a no; None keeps the shares."""
    drop_path: float = 0.0
    """Stochastic depth: the drop rate of the last block; earlier blocks less, in a line (Huang et al. 2016)."""
    dropout: float = 0.0
    """Dropout of the features that enter the classifier."""
    head_init_scale: float = 1.0
    """Factor on the first weights of the classifier; ConvNeXt's fine-tuning begins with a thousandth."""


@dataclass(frozen=True)
class Recipe:
    """One training recipe. `modernet train --recipe NAME --lr 2e-3` overrides a field; it cannot add one."""

    name: str
    """The name under which it is registered."""
    source: str
    """Where its values come from."""
    batch_size: int = 128
    """Images in one optimiser step, over all processes."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Arithmetic of the forward and backward pass; weights stay in fp32."""
    ema_decay: float | None = None
    """Decay of the exponential moving average of the weights, per step; None is no average."""
    images: ImageSizes = field(default_factory=ImageSizes)
    augmentation: Augmentation = field(default_factory=Augmentation)
    optimizer: Optimizer = field(default_factory=Optimizer)
    schedule: Schedule = field(default_factory=Schedule)
    regularization: Regularization = field(default_factory=Regularization)

    def __post_init__(self) -> None:
        values = leaves(self)
        for name, low, high in _RANGES:
            value = values[name]
            if value is not None and not low <= value <= high:
                raise InputError(f"{name} is {value}; it must be {_range_in_words(low, high)}")
        if values["warmup_epochs"] > values["epochs"]:
            raise InputError(
                f"warmup_epochs is {values['warmup_epochs']} but the whole run has {values['epochs']} epochs; "
                f"give warmup_epochs of at most {values['epochs']}"
            )

    def replace(self, **changes: Any) -> Recipe:
        """A copy with some leaves changed, wherever in the tree they are: `recipe.replace(lr=1e-3, epochs=5)`.

        Raises:
            InputError: no leaf is called so, or its value is out of range.
        """
        known = leaves(self)
        for name in changes:
            if name not in known:
                raise unknown_name("field of a recipe", name, known)
        parts: dict[str, Any] = {}
        for part in dataclasses.fields(self):
            value = getattr(self, part.name)
            if dataclasses.is_dataclass(value) and not isinstance(value, type):
                inner = {leaf.name: changes[leaf.name] for leaf in dataclasses.fields(value) if leaf.name in changes}
                parts[part.name] = dataclasses.replace(value, **inner)
            elif part.name in changes:
                parts[part.name] = changes[part.name]
        return dataclasses.replace(self, **parts)

    @property
    def cuts_images(self) -> bool:
        """Whether it shows squares cut out of images, and so needs them as they are, not as squares."""
        sizes = self.images
        resized = sizes.test_size is not None and sizes.test_size != sizes.image_size
        return resized or self.augmentation.crop_scale < 1 or sizes.test_crop < 1

    def lasting(self, epochs: int) -> Recipe:
        """A copy that lasts for another number of epochs; the warm-up keeps its share of the run."""
        share = self.schedule.warmup_epochs / self.schedule.epochs
        return self.replace(epochs=epochs, warmup_epochs=share * epochs)


def leaves(recipe: Recipe) -> dict[str, Any]:
    """Every leaf of the tree by its name, in order of definition."""
    found: dict[str, Any] = {}
    for part in dataclasses.fields(recipe):
        value = getattr(recipe, part.name)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            found |= {leaf.name: getattr(value, leaf.name) for leaf in dataclasses.fields(value)}
        else:
            found[part.name] = value
    return found


_LARGE = 1e9
_RANGES: tuple[tuple[str, float, float], ...] = (
    ("batch_size", 1, _LARGE),
    ("ema_decay", 0, 1),
    ("image_size", 2, _LARGE),
    ("test_size", 2, _LARGE),
    ("test_crop", 1e-3, 1),
    ("flip", 0, 1),
    ("shift", 0, 1),
    ("crop_scale", 1e-3, 1),
    ("color_jitter", 0, _LARGE),
    ("erasing", 0, 1),
    ("cutout", 0, 1),
    ("mixup", 0, _LARGE),
    ("cutmix", 0, _LARGE),
    ("mix_prob", 0, 1),
    ("mix_switch_prob", 0, 1),
    ("repeats", 1, _LARGE),
    ("lr", 0, _LARGE),
    ("lr_batch", 1, _LARGE),
    ("weight_decay", 0, _LARGE),
    ("beta1", 0, 1),
    ("beta2", 0, 1),
    ("eps", 0, 1),
    ("layer_decay", 1e-3, 1),
    ("clip_grad", 1e-9, _LARGE),
    ("epochs", 1, _LARGE),
    ("warmup_epochs", 0, _LARGE),
    ("warmup_lr", 0, _LARGE),
    ("min_lr", 0, _LARGE),
    ("plateaus", 1, _LARGE),
    ("plateau_factor", 0, 1),
    ("label_smoothing", 0, 0.999),
    ("bce_threshold", 0, 1),
    ("drop_path", 0, 0.999),
    ("dropout", 0, 0.999),
    ("head_init_scale", 0, _LARGE),
)


def _range_in_words(low: float, high: float) -> str:
    return f"at least {low:g}" if high == _LARGE else f"from {low:g} to {high:g}"
