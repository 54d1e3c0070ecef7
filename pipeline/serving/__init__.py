"""The student put to work: as ONNX, smaller, timed, and asked about texts that come in."""
