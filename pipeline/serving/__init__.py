"""Serving the student: export to ONNX, quantisation, timing, and prediction of streams of texts."""
