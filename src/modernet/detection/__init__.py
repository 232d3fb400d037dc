"""Object detection: a class, a box and a mask for every object."""

from modernet.detection.config import RCNNConfig, Stage, cascade_mask_rcnn, mask_rcnn
from modernet.detection.detections import Detections
from modernet.detection.network import RCNN
from modernet.detection.padding import pad_images

__all__ = ["RCNN", "Detections", "RCNNConfig", "Stage", "cascade_mask_rcnn", "mask_rcnn", "pad_images"]
