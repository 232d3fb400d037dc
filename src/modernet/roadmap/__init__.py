"""The design space between ResNet and ConvNeXt, and the road through it.

`network.build` makes the network of any design; import it from its module: only that module needs torch.
"""

from modernet.roadmap.design import Design
from modernet.roadmap.steps import Step, default_stem_stride, road, select_steps

__all__ = ["Design", "Step", "default_stem_stride", "road", "select_steps"]
