"""Recipes for point clouds: those of the release of A-SCN, and ours."""

from __future__ import annotations

from modernet.recipes.base import Optimizer, Schedule
from modernet.recipes.named.catalogue import NamedRecipe, register_recipe
from modernet.recipes.points import PointAugmentation, PointRecipe, PointSegmentationRecipe

_ASCN = "Xie et al. 2018 (CVPR, Attentional ShapeContextNet), as in the authors' release"
_NORMS = "the momentum of batch norms is 0.1, where the release lets it fall from 0.5 to 0.01; "
_REPORTED = "the network of the last epoch is reported, where the release reports the best test epoch"
_ADAM = Optimizer(lr=1e-3, weight_decay=0.0)
_MOVED = PointAugmentation(turn=True, tilt=0.06, scale=0.2, shift_points=0.1, jitter=0.01)
_STILL = PointAugmentation(turn=False)

register_recipe(
    NamedRecipe(
        PointRecipe(
            name="ascn",
            source=_ASCN,
            batch_size=16,
            points=1024,
            cloud_augmentation=_MOVED,
            optimizer=_ADAM,
            schedule=Schedule(epochs=250, warmup_epochs=0.0, decay="step", plateaus=12, plateau_factor=0.7),
        ),
        purpose="classes of shapes: A-SCN on ModelNet40",
        command="modernet train --recipe ascn --data path/to/modelnet40_ply_hdf5_2048 --model ascn",
        model="ascn",
        published="ModelNet40, overall and mean class accuracy: A-SCN 90.0 % and 87.6 %, PointNet 89.2 % and 86.2 %, "
        "PointNet++ 91.9 %, DGCNN 92.2 % and 90.2 % (as collected in Zhao et al. 2021, arXiv 2012.09164)",
        differs="twelve plateaus of equal length, where the release has one for each 200,000 clouds, which are 12.3 of "
        "ModelNet40; " + _NORMS + _REPORTED,
    )
)

register_recipe(
    NamedRecipe(
        PointSegmentationRecipe(
            name="ascn_parts",
            source=_ASCN,
            batch_size=16,
            points=1024,
            cloud_augmentation=_STILL,
            optimizer=_ADAM,
            schedule=Schedule(epochs=250, warmup_epochs=0.0, decay="step", plateaus=12, plateau_factor=0.5),
        ),
        purpose="parts of shapes: A-SCN on ShapeNet-part",
        command="modernet train --recipe ascn_parts --data path/to/hdf5_data --model ascn",
        model="ascn",
        differs="twelve plateaus of equal length, where the release has one for each 20 epochs of 16,881 shapes; "
        + _NORMS
        + _REPORTED,
    )
)

register_recipe(
    NamedRecipe(
        PointSegmentationRecipe(
            name="ascn_scenes",
            source=_ASCN,
            batch_size=24,
            points=1024,
            cloud_augmentation=_STILL,
            optimizer=_ADAM,
            schedule=Schedule(epochs=50, warmup_epochs=0.0, decay="step", plateaus=3, plateau_factor=0.5),
        ),
        purpose="what indoor scenes consist of: A-SCN on blocks of S3DIS",
        command="modernet train --recipe ascn_scenes --data path/to/indoor3d_sem_seg_hdf5_data --model ascn",
        model="ascn",
        differs="three plateaus of equal length, where the release has one for each 300,000 blocks; one area is held "
        "out (:area1 to :area6 after the folder), where the release reports all six; " + _NORMS + _REPORTED,
    )
)

_OURS = Optimizer(lr=2e-3, weight_decay=0.05, clip_grad=1.0)

register_recipe(
    NamedRecipe(
        PointRecipe(
            name="points",
            source="ours: one budget for all networks, so that their results compare",
            batch_size=32,
            points=1024,
            cloud_augmentation=_MOVED,
            label_smoothing=0.1,
            optimizer=_OURS,
            schedule=Schedule(epochs=100, warmup_epochs=5.0, min_lr=0.0),
        ),
        purpose="classes of point clouds, by any network",
        command="modernet train --recipe points --data my_scans --model ascn",
    )
)

register_recipe(
    NamedRecipe(
        PointRecipe(
            name="points_nano",
            source="ours: as `points`, with fewer points and epochs, for one or two cores",
            batch_size=16,
            points=128,
            cloud_augmentation=PointAugmentation(turn=True, scale=0.1),
            optimizer=_OURS,
            schedule=Schedule(epochs=20, warmup_epochs=2.0, min_lr=0.0),
        ),
        purpose="point clouds within minutes",
        command="modernet train --recipe points_nano --data solids --model ascn_nano",
    )
)

register_recipe(
    NamedRecipe(
        PointSegmentationRecipe(
            name="point_segmentation",
            source="ours: as `points`, for the class of each point",
            batch_size=32,
            points=2048,
            cloud_augmentation=_MOVED,
            optimizer=_OURS,
            schedule=Schedule(epochs=100, warmup_epochs=5.0, min_lr=0.0),
        ),
        purpose="classes of points: parts of shapes, or scenes",
        command="modernet train --recipe point_segmentation --data my_labelled_scans --model ascn",
    )
)

register_recipe(
    NamedRecipe(
        PointSegmentationRecipe(
            name="point_segmentation_nano",
            source="ours: as `points_nano`, for the class of each point",
            batch_size=16,
            points=256,
            cloud_augmentation=PointAugmentation(turn=True, scale=0.1, jitter=0.01),
            optimizer=_OURS,
            schedule=Schedule(epochs=10, warmup_epochs=1.0, min_lr=0.0),
        ),
        purpose="classes of points within minutes",
        command="modernet train --recipe point_segmentation_nano --data solids-parts --model ascn_nano",
    )
)
