"""The parameters of severities 1 to 5 are those of the authors' releases.

Sources: github.com/hendrycks/robustness, ImageNet-C/imagenet_c and ImageNet-C/create_c, for images of 224, 64, 32 and
299 pixels; github.com/facebookresearch/augmentation-corruption, imagenet_c_bar.csv.
"""

from __future__ import annotations

import pytest

from modernet.data.transforms.corruptions import CORRUPTIONS, SEVERITIES

_SIDES = (224, 64, 32, 299)
_PUBLISHED = """
gaussian_noise
.08 .12 .18 .26 .38
.04 .08 .12 .15 .18
.04 .06 .08 .09 .10
.09 .13 .19 .27 .40

shot_noise
60 25 12 5 3
250 100 50 30 15
500 250 100 75 50
50 20 10 5 3

impulse_noise
.03 .06 .09 .17 .27
.01 .02 .05 .08 .14
.01 .02 .03 .05 .07
.04 .07 .10 .18 .28

speckle_noise
.15 .2 .35 .45 .6
.15 .2 .25 .3 .35
.06 .1 .12 .16 .2
.16 .21 .36 .46 .61

gaussian_blur
1 2 3 4 6
.5 .75 1 1.25 1.5
.4 .6 .7 .8 1
1.5 2.5 3.5 4.5 6.5

defocus_blur
3,.1 4,.5 6,.5 8,.5 10,.5
.5,.6 1,.1 1.5,.1 2.5,.01 3,.1
.3,.4 .4,.5 .5,.6 1,.2 1.5,.1
4,.1 5,.5 7,.5 10,.5 12,.5

glass_blur
.7,1,2 .9,2,1 1,2,3 1.1,3,2 1.5,4,2
.1,1,1 .5,1,1 .6,1,2 .7,2,1 .9,2,2
.05,1,1 .25,1,1 .4,1,1 .25,1,2 .4,1,2
.8,1,3 1,3,1 1.1,2,4 1.2,4,2 1.6,5,2

motion_blur
10,3 15,5 15,8 15,12 20,15
10,1 10,1.5 10,2 10,2.5 12,3
6,1 6,1.5 6,2 8,2 9,2.5
12,4 17,6 17,9 17,13 22,16

zoom_blur
1.11,.01 1.16,.01 1.21,.02 1.26,.02 1.31,.03
1.06,.01 1.11,.01 1.16,.01 1.21,.01 1.26,.01
1.06,.01 1.11,.01 1.16,.01 1.21,.01 1.26,.01
1.11,.01 1.16,.01 1.21,.02 1.26,.02 1.31,.03

snow
.1,.3,3,.5,10,4,.8 .2,.3,2,.5,12,4,.7 .55,.3,4,.9,12,8,.7 .55,.3,4.5,.85,12,8,.65 .55,.3,2.5,.85,12,12,.55
.1,.2,1,.6,8,3,.8 .1,.2,1,.5,10,4,.8 .15,.3,1.75,.55,10,4,.7 .25,.3,2.25,.6,12,6,.65 .3,.3,1.25,.65,14,12,.6
.1,.2,1,.6,8,3,.95 .1,.2,1,.5,10,4,.9 .15,.3,1.75,.55,10,4,.9 .25,.3,2.25,.6,12,6,.85 .3,.3,1.25,.65,14,12,.8
.1,.3,3,.5,10,4,.8 .2,.3,2,.5,12,4,.7 .55,.3,4,.9,12,8,.7 .55,.3,4.5,.85,12,8,.65 .55,.3,2.5,.85,12,12,.55

frost
1,.4,1 .8,.6,1 .7,.7,1 .65,.7,1 .6,.75,1
1,.3,.3 .9,.4,.3 .8,.45,.3 .75,.5,.3 .7,.55,.3
1,.2,.2 1,.3,.2 .9,.4,.2 .85,.4,.2 .75,.45,.2
1,.4,1 .8,.6,1 .7,.7,1 .65,.7,1 .6,.75,1

fog
1.5,2,256 2,2,256 2.5,1.7,256 2.5,1.5,256 3,1.4,256
.4,3,64 .7,3,64 1,2.5,64 1.5,2,64 2,1.75,64
.2,3,32 .5,3,32 .75,2.5,32 1,2,32 1.5,1.75,32
1.5,2,512 2,2,512 2.5,1.8,512 2.5,1.6,512 3,1.5,512

brightness
.1 .2 .3 .4 .5
.1 .2 .3 .4 .5
.05 .1 .15 .2 .3
.1 .2 .3 .4 .5

contrast
.4 .3 .2 .1 .05
.4 .3 .2 .1 .05
.75 .5 .4 .3 .15
.4 .3 .2 .1 .05

elastic_transform
244,2,.7,.1 244,2,.08,.2 244,.05,.01,.02 244,.07,.01,.02 244,.12,.01,.02
64,0,0,.08 64,.05,.3,.06 64,.1,.08,.06 64,.1,.03,.03 64,.16,.03,.02
32,0,0,.08 32,.05,.2,.07 32,.08,.06,.06 32,.1,.04,.05 32,.1,.03,.03
360,2,.7,.1 360,2,.08,.2 360,.05,.01,.02 360,.07,.01,.02 360,.12,.01,.02

pixelate
.6 .5 .4 .3 .25
.9 .8 .7 .6 .5
.95 .9 .85 .75 .65
.5 .4 .3 .25 .2

jpeg_compression
25 18 15 10 7
65 58 50 40 25
80 65 58 50 40
23 16 13 8 5

spatter
.65,.3,4,.69,.6,0 .65,.3,3,.68,.6,0 .65,.3,2,.68,.5,0 .65,.3,1,.65,1.5,1 .67,.4,1,.65,1.5,1
.62,.1,.7,.7,.6,0 .65,.1,.8,.7,.6,0 .65,.3,1,.69,.6,0 .65,.1,.7,.68,.6,1 .65,.1,.5,.67,.6,1
.62,.1,.7,.7,.5,0 .65,.1,.8,.7,.5,0 .65,.3,1,.69,.5,0 .65,.1,.7,.69,.6,1 .65,.1,.5,.68,.6,1
.65,.3,4,.69,.9,0 .65,.3,3.5,.68,.9,0 .65,.3,3,.68,.8,0 .65,.3,1.2,.65,1.8,1 .67,.4,1.2,.65,1.8,1

saturate
.3,0 .1,0 2,0 5,.1 20,.2
.3,0 .1,0 2,0 5,.1 30,.2
.3,0 .1,0 1.5,0 2,.1 2.5,.2
.3,0 .1,0 2,0 5,.1 20,.2

caustic_refraction
2.35 3.2 4.9 6.6 9.15

inverse_sparkles
1 2 4 9 10

sparkles
1 2 3 5 6

perlin_noise
4.6 5.2 5.8 7.6 8.8

blue_noise_sample
.8 1.6 2.4 4 5.6

plasma_noise
4.75 7 8.5 9.25 10

checkerboard_cutout
2 3 4 5 6

cocentric_sine_waves
3 5 8 9 10

single_frequency_greyscale
1 1.5 2 4.5 5

brownish_noise
1 2 3 4 5
"""
TABLES = {name: rows for name, *rows in (block.splitlines() for block in _PUBLISHED.strip().split("\n\n"))}


def test_every_corruption_has_its_table() -> None:
    assert TABLES.keys() == set(CORRUPTIONS)
    assert all(len(rows) == len(CORRUPTIONS[name].tables) for name, rows in TABLES.items())


@pytest.mark.parametrize("name", TABLES)
def test_parameters_are_the_published_ones(name: str) -> None:
    for side, row in zip(_SIDES, TABLES[name], strict=False):  # ImageNet-C-bar has the first side alone
        for severity, published in zip(SEVERITIES, row.split(), strict=True):
            expected = tuple(map(float, published.split(",")))
            assert CORRUPTIONS[name].parameters(severity, side) == expected, (side, severity)
