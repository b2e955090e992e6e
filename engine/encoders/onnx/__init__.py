"""ONNX networks that people have: prepared, held against the reference, and run."""
