"""MediaPipe's networks as ONNX, from the TFLite files in PyPI packages."""
