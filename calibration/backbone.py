"""The default backbone by its functions."""

from __future__ import annotations

from calibration.backbones.efficientnet_lite0 import (
    INPUT_OFFSET,
    INPUT_SCALE,
    WEIGHTS_SHA256,
    backbone_onnx,
    feature_grid_onnx,
    load_backbone,
)

__all__ = ["INPUT_OFFSET", "INPUT_SCALE", "WEIGHTS_SHA256", "backbone_onnx", "feature_grid_onnx", "load_backbone"]
