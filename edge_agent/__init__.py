"""edge-agent: inspects every part that a KEYENCE CV-X images and drives a fail-safe pass/reject output."""

import os

# ONNX Runtime reads this when it is imported, never later: else it keeps a device id in the user's cache folder and
# looks up a host of its maker. Every entry point and calibration come by here before they import it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
