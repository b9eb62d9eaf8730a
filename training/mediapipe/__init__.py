"""MediaPipe's face networks as ONNX, from the TFLite files in a PyPI package."""
