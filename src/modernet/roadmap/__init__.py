"""The design space between ResNet and ConvNeXt, and the road through it.

`network.build` builds the network of any design. Import it from its module, the only one here that needs torch.
"""

from modernet.roadmap.decisions import DEFAULT_DECISIONS, Decision, road_decisions, select_decisions, switched
from modernet.roadmap.design import Design
from modernet.roadmap.steps import Step, default_stem_stride, road, select_steps

__all__ = [
    "DEFAULT_DECISIONS",
    "Decision",
    "Design",
    "Step",
    "default_stem_stride",
    "road",
    "road_decisions",
    "select_decisions",
    "select_steps",
    "switched",
]
