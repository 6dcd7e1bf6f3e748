"""Image bytes in, scored inspection out. numpy, OpenCV and ONNX Runtime only."""
