import shlex
from typing import Any

import pytest

from modernet.catalogue.fields import parse_fields
from modernet.data.sequences.opening import SEQUENCE_NAMES
from modernet.errors import InputError
from modernet.models import MODELS
from modernet.recipes import RECIPES, SequenceRecipe, default_recipe, get_recipe, leaves
from modernet.sequences.s4 import S4Config
from modernet.sequences.zoo import sequence_config

PUBLISHED: list[tuple[str, str, dict[str, Any]]] = [
    ("resnet_classic", "resnet50", {"epochs": 90, "lr": 0.1, "lr_batch": 256, "weight_decay": 1e-4, "beta1": 0.9}),
    ("resnet_classic", "resnet50", {"nesterov": False, "decay_norms": True, "plateaus": 3, "plateau_factor": 0.1}),
    ("resnet_strikes_back_a1", "resnet50", {"epochs": 600, "lr": 5e-3, "weight_decay": 0.01, "mixup": 0.2}),
    ("resnet_strikes_back_a1", "resnet50", {"optimizer": "lamb", "loss": "bce", "repeats": 3, "drop_path": 0.05}),
    ("resnet_strikes_back_a2", "resnet50", {"epochs": 300, "lr": 5e-3, "weight_decay": 0.02, "mixup": 0.1}),
    ("resnet_strikes_back_a2", "resnet50", {"rand_augment": "rand-m7-mstd0.5-inc1", "cutmix": 1.0, "test_crop": 0.95}),
    ("resnet_strikes_back_a3", "resnet50", {"epochs": 100, "lr": 8e-3, "weight_decay": 0.02, "image_size": 160}),
    ("resnet_strikes_back_a3", "resnet50", {"test_size": 224, "repeats": 1, "drop_path": 0.0, "batch_size": 2048}),
    ("resnet_rs", "resnet50d", {"epochs": 350, "lr": 0.1, "lr_batch": 256, "batch_size": 4096, "weight_decay": 4e-5}),
    ("resnet_rs", "resnet50d", {"image_size": 160, "rand_augment": "rand-m10-n2", "dropout": 0.25, "drop_path": 0.0}),
    ("resnet_rs", "resnet200d", {"image_size": 256, "rand_augment": "rand-m15-n2", "dropout": 0.25, "drop_path": 0.1}),
    ("mobilenet_v2", "mobilenet_v2", {"epochs": 300, "lr": 0.045, "weight_decay": 4e-5, "plateau_factor": 0.98}),
    ("deit", "deit_small", {"lr": 1e-3, "batch_size": 1024, "min_lr": 1e-5, "warmup_lr": 1e-6, "warmup_epochs": 5.0}),
    ("deit", "deit_tiny", {"drop_path": 0.1, "ema_decay": 0.99996, "repeats": 3, "weight_decay": 0.05, "epochs": 300}),
    ("swin", "swin_tiny", {"lr": 5e-4, "lr_batch": 512, "min_lr": 5e-6, "warmup_lr": 5e-7, "clip_grad": 5.0}),
    ("swin", "swin_small", {"drop_path": 0.3, "warmup_epochs": 20.0, "erasing": 0.25}),
    ("swin", "swin_base", {"drop_path": 0.5}),
    ("levit", "levit_256", {"epochs": 1000, "weight_decay": 0.025, "clip_grad": 0.01, "clip_mode": "agc"}),
    ("levit", "levit_384", {"drop_path": 0.1}),
    ("convnext", "convnext_tiny", {"lr": 4e-3, "lr_batch": 4096, "batch_size": 4096, "drop_path": 0.1, "epochs": 300}),
    ("convnext", "convnext_small", {"drop_path": 0.4, "ema_decay": 0.9999, "warmup_epochs": 20.0, "min_lr": 1e-6}),
    ("convnext", "convnext_large", {"drop_path": 0.5, "mixup": 0.8, "cutmix": 1.0, "label_smoothing": 0.1}),
    ("convnext_22k", "convnext_tiny", {"drop_path": 0.0, "epochs": 90, "warmup_epochs": 5.0, "ema_decay": None}),
    ("convnext_22k", "convnext_xlarge", {"drop_path": 0.2, "lr": 4e-3}),
    ("convnext_finetune_384", "convnext_base", {"drop_path": 0.8, "layer_decay": 0.7, "lr": 5e-5, "image_size": 384}),
    ("convnext_finetune_384", "convnext_large", {"drop_path": 0.95, "weight_decay": 1e-8, "test_crop": 1.0}),
    ("convnext_22k_to_1k", "convnext_tiny", {"drop_path": 0.0, "layer_decay": 0.8, "mixup": 0.0, "cutmix": 0.0}),
    ("convnext_22k_to_1k", "convnext_large", {"drop_path": 0.3, "ema_decay": None, "layer_decay_groups": "paper"}),
    ("convnext_22k_to_1k", "convnext_xlarge", {"drop_path": 0.4, "ema_decay": 0.9999, "head_init_scale": 0.001}),
    ("convnext_iso", "convnext_isotropic_small", {"drop_path": 0.1, "warmup_epochs": 50.0}),
    ("convnext_iso", "convnext_isotropic_large", {"drop_path": 0.5, "lr": 4e-3}),
    ("convnext_v2_finetune", "convnextv2_atto", {"lr": 8e-4, "weight_decay": 0.3, "mixup": 0.0, "epochs": 600}),
    ("convnext_v2_finetune", "convnextv2_femto", {"weight_decay": 0.05, "mixup": 0.3, "drop_path": 0.0}),
    ("convnext_v2_finetune", "convnextv2_tiny", {"lr": 3.2e-3, "drop_path": 0.2, "layer_decay_groups": "single"}),
    ("convnext_v2_finetune", "convnextv2_base", {"lr": 2.5e-3, "layer_decay": 0.6, "layer_decay_groups": "paper"}),
    ("convnext_v2_finetune", "convnextv2_huge", {"epochs": 50, "warmup_epochs": 10.0, "layer_decay": 0.75}),
    ("mae", "vit_base_patch16", {"lr": 1.5e-4 * 4096 / 256, "lr_batch": 4096, "batch_size": 4096, "beta2": 0.95}),
    ("mae", "vit_base_patch16", {"epochs": 800, "warmup_epochs": 40.0, "min_lr": 0.0, "weight_decay": 0.05}),
    ("mae", "vit_base_patch16", {"mask_ratio": 0.75, "norm_pixels": True, "decoder_depth": 8, "decoder_dim": 512}),
    ("mae", "vit_base_patch16", {"crop_scale": 0.2, "flip": 0.5, "interpolation": "bicubic", "clip_grad": None}),
    ("mae_finetune", "vit_base_patch16", {"lr": 5e-4 * 4, "lr_batch": 1024, "layer_decay": 0.65, "epochs": 100}),
    ("mae_finetune", "vit_base_patch16", {"drop_path": 0.1, "head_init_scale": 0.001, "global_pool": "avg"}),
    ("mae_finetune", "vit_large_patch16", {"lr": 1e-3 * 4, "layer_decay": 0.75, "drop_path": 0.2, "epochs": 50}),
    ("mae_finetune", "vit_huge_patch14", {"lr": 1e-3 * 4, "layer_decay": 0.75, "drop_path": 0.3, "epochs": 50}),
    ("mae_finetune", "vit_huge_patch14", {"warmup_epochs": 5.0, "mixup": 0.8, "cutmix": 1.0, "label_smoothing": 0.1}),
    ("fcmae", "convnextv2_atto", {"lr": 1.5e-4 * 4096 / 256, "batch_size": 4096, "beta2": 0.95, "weight_decay": 0.05}),
    ("fcmae", "convnextv2_atto", {"mask_ratio": 0.6, "decoder_depth": 1, "decoder_dim": 512, "warmup_epochs": 40.0}),
    ("replknet", "replknet_31b", {"lr": 4e-3, "batch_size": 2048, "lr_batch": 2048, "warmup_epochs": 10.0}),
    ("replknet", "replknet_31b", {"drop_path": 0.5, "ema_decay": 0.9999}),
    ("linear_probe", "vit_base_patch16", {"optimizer": "lars", "lr": 0.1, "lr_batch": 256, "batch_size": 16384}),
    ("linear_probe", "vit_base_patch16", {"epochs": 90, "warmup_epochs": 10.0, "weight_decay": 0.0, "frozen": True}),
    ("linear_probe", "vit_large_patch16", {"epochs": 50, "crop_scale": 0.08, "min_lr": 0.0, "label_smoothing": 0.0}),
    ("upernet_convnext", "convnext_tiny", {"lr": 1e-4, "weight_decay": 0.05, "batch_size": 16, "drop_path": 0.4}),
    ("upernet_convnext", "convnext_small", {"layer_decay": 0.9, "layer_decay_groups": "stage", "drop_path": 0.3}),
    ("upernet_convnext", "convnext_base", {"decay": "linear", "min_lr": 0.0, "image_size": 512, "drop_path": 0.4}),
    (
        "upernet_convnext",
        "convnext_large",
        {"scale_min": 0.5, "scale_max": 2.0, "class_share": 0.75, "image_size": 640},
    ),
    ("upernet_convnext", "convnext_xlarge", {"lr": 8e-5, "image_size": 640, "photometric": True, "flip": 0.5}),
    ("upernet_convnext", "convnext_tiny", {"head": "upernet", "head_width": 512, "auxiliary_weight": 0.4}),
    ("upernet_convnext", "convnext_tiny", {"loss_over": "all"}),
    (
        "lra_listops",
        "transformer",
        {"batch_size": 32, "weight_decay": 0.1, "beta2": 0.98, "eps": 1e-9, "decay": "rsqrt"},
    ),
    ("lra_text", "transformer", {"batch_size": 32, "dropout": 0.1, "attention_dropout": 0.1, "decay_norms": True}),
    ("lra_retrieval", "transformer", {"batch_size": 32, "weight_decay": 0.1, "warmup_epochs": 1.0, "epochs": 1}),
    ("lra_image", "transformer", {"batch_size": 256, "lr": 5e-4, "dropout": 0.3, "attention_dropout": 0.2}),
    ("lra_image", "transformer", {"epochs": 200, "weight_decay": 0.0, "warmup_epochs": 1.0, "decay": "cosine"}),
    ("lra_pathfinder", "transformer", {"batch_size": 512, "lr": 1e-3, "dropout": 0.2, "attention_dropout": 0.1}),
    ("lra_pathx", "transformer", {"batch_size": 64, "lr": 1e-3, "clip_grad": 1.0, "dropout": 0.1}),
    ("s4", "s4d_lin", {"lr": 0.01, "dynamics_lr": 1e-3, "weight_decay": 0.01, "dropout": 0.1, "batch_size": 64}),
    ("s4_listops", "s4", {"lr": 0.01, "dynamics_lr": 1e-3, "weight_decay": 0.05, "batch_size": 32, "epochs": 40}),
    ("s4_text", "s4", {"lr": 0.01, "batch_size": 16, "epochs": 32, "dropout": 0.0, "beta2": 0.999}),
    ("s4_retrieval", "s4", {"lr": 0.01, "batch_size": 64, "epochs": 20}),
    ("s4_image", "s4", {"lr": 0.01, "batch_size": 50, "epochs": 200, "dropout": 0.1, "warmup_epochs": 20.0}),
    ("s4_pathfinder", "s4", {"lr": 0.004, "batch_size": 64, "epochs": 200, "warmup_epochs": 20.0}),
    ("s4_pathx", "s4", {"lr": 0.001, "batch_size": 16, "epochs": 50, "warmup_epochs": 5.0}),
    ("ascn", "ascn", {"lr": 1e-3, "weight_decay": 0.0, "batch_size": 16, "epochs": 250, "points": 1024}),
    ("ascn", "ascn", {"tilt": 0.06, "scale": 0.2, "shift_points": 0.1, "jitter": 0.01, "turn": True}),
    ("ascn", "ascn", {"decay": "step", "plateau_factor": 0.7, "warmup_epochs": 0.0}),
    ("ascn_parts", "ascn", {"batch_size": 16, "epochs": 250, "turn": False, "jitter": 0.0, "plateau_factor": 0.5}),
    ("ascn_scenes", "ascn", {"batch_size": 24, "epochs": 50, "turn": False, "plateau_factor": 0.5}),
    ("self_pretraining_listops", "s4", {"masked_share": 0.1}),
    ("self_pretraining_text", "s4", {"masked_share": 0.15}),
    ("self_pretraining_image", "s4", {"masked_share": 0.5}),
]


@pytest.mark.parametrize(("name", "model", "values"), PUBLISHED)
def test_values_are_those_of_the_publication(name: str, model: str, values: dict[str, Any]) -> None:
    recipe = leaves(get_recipe(name, model=model))

    assert {leaf: recipe[leaf] for leaf in values} == values


@pytest.mark.parametrize("name", list(RECIPES))
def test_every_named_recipe_says_what_it_is_and_where_it_comes_from(name: str) -> None:
    named = RECIPES[name]

    assert named.recipe.name == name
    assert min(len(named.recipe.source), len(named.purpose)) > 10
    assert f"--recipe {name}" in named.command
    assert all(0 < top1 < 100 for top1 in named.expected.values())


@pytest.mark.parametrize("name", list(RECIPES))
def test_a_recipe_for_a_network_differs_in_the_listed_fields(name: str) -> None:
    named = RECIPES[name]

    assert {*named.models, *named.expected} <= set(MODELS)
    for model, values in named.models.items():
        recipe = leaves(get_recipe(name, model=model))
        assert recipe == {**leaves(named.recipe), **values}
        assert recipe != leaves(named.recipe)
    assert get_recipe(name) == get_recipe(name, model="alexnet") == named.recipe


def test_an_unknown_recipe_is_named_with_close_ones() -> None:
    with pytest.raises(InputError, match="no recipe is called 'quik'; did you mean quick"):
        get_recipe("quik")


def test_every_data_set_has_a_recipe() -> None:
    assert default_recipe("digit_scenes") == "quick"
    assert default_recipe("some/folder") in RECIPES


def test_a_renamed_recipe_is_found_by_its_former_name() -> None:
    assert get_recipe("small_pictures") == get_recipe("small_images")


def test_the_epochs_of_the_segmenters_are_the_published_steps_on_ade20k() -> None:
    recipe = get_recipe("upernet_convnext")
    steps_per_epoch = 20_210 / recipe.batch_size

    assert recipe.schedule.epochs * steps_per_epoch == pytest.approx(160_000, rel=0.005)
    assert recipe.schedule.warmup_epochs * steps_per_epoch == pytest.approx(1_500, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "examples", "steps", "warmup"),
    [
        ("lra_text", 25_000, 20_000, 8_000),
        ("lra_image", 45_000, 35_000, 175),
        ("lra_pathfinder", 160_000, 62_400, 312),
        ("lra_pathx", 160_000, 500_000, 2_500),
        ("s4_listops", 96_000, 120_000, 12_000),
        ("s4_text", 25_000, 50_000, 5_000),
        ("s4_image", 45_000, 180_000, 18_000),
        ("s4_pathfinder", 160_000, 500_000, 50_000),
        ("s4_pathx", 160_000, 500_000, 50_000),
    ],
)
def test_the_epochs_of_sequence_models_are_the_published_steps(
    name: str, examples: int, steps: int, warmup: int
) -> None:
    recipe = get_recipe(name)
    per_epoch = examples / recipe.batch_size

    assert recipe.schedule.epochs * per_epoch == pytest.approx(steps, rel=0.02)
    assert recipe.schedule.warmup_epochs * per_epoch == pytest.approx(warmup, rel=0.01)


def command_of(name: str) -> tuple[str, str, dict[str, Any]]:
    """Return data, model and fields of the command of a recipe."""
    words = shlex.split(RECIPES[name].command)
    data, model = (words[words.index(option) + 1] for option in ("--data", "--model"))
    fields = words[words.index("--model-fields") + 1 :] if "--model-fields" in words else []
    return data, model, parse_fields(fields)


SEQUENCE_RECIPES = [name for name, named in RECIPES.items() if isinstance(named.recipe, SequenceRecipe)]


@pytest.mark.parametrize("name", SEQUENCE_RECIPES)
def test_the_command_of_a_sequence_recipe_has_data_and_fields_that_there_are(name: str) -> None:
    data, model, fields = command_of(name)
    assert data.partition(":")[0].removesuffix("-nano") in SEQUENCE_NAMES
    assert all(getattr(sequence_config(model, **fields), field) == value for field, value in fields.items())


@pytest.mark.parametrize(
    ("task", "data", "width", "state", "prenorm", "dt_min", "systems"),
    [
        ("listops", "listops_s4", 256, 4, False, 0.001, 1),
        ("text", "text_s4", 256, 4, True, 0.001, 1),
        ("retrieval", "retrieval_s4:path/to/tsv", 256, 4, True, 0.001, 1),
        ("image", "image", 512, 64, False, 0.001, 1),
        ("pathfinder", "pathfinder32", 256, 64, True, 0.001, None),
        ("pathx", "pathx", 256, 64, True, 0.0001, None),
    ],
)
def test_the_networks_of_s4_are_those_of_its_newest_configs(
    task: str, data: str, width: int, state: int, prenorm: bool, dt_min: float, systems: int | None
) -> None:
    found, model, fields = command_of(f"s4_{task}")
    config = sequence_config(model, **fields)
    assert (found, model) == (data, "s4")
    assert config == S4Config(
        depth=6,
        width=width,
        state=state,
        prenorm=prenorm,
        norm="batch",
        start="legs",
        causal=False,
        pool="mean",
        dt_min=dt_min,
        dt_max=0.1,
        systems=systems,
        tie_dropout=task == "image",  # the others have no dropout
    )
    recipe = leaves(get_recipe(f"s4_{task}"))
    assert (recipe["dynamics_lr"], recipe["weight_decay"], recipe["min_lr"]) == (0.001, 0.05, 0.0)


@pytest.mark.parametrize(("name", "each"), [("ascn", 200_000 / 9_843), ("ascn_parts", 20)])
def test_the_plateaus_of_a_scn_are_about_as_long_as_published(name: str, each: float) -> None:
    schedule = get_recipe(name).schedule

    assert schedule.epochs / schedule.plateaus == pytest.approx(each, rel=0.05)


def test_the_rate_of_the_arenas_retrieval_is_where_its_warm_up_ends() -> None:
    assert get_recipe("lra_retrieval").optimizer.lr == pytest.approx(3.49e-4 * 4_597 / 5_000, rel=0.002)
