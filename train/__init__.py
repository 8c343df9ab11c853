"""Train person encoders in PyTorch and export them to the ONNX files that reidsearch runs."""
