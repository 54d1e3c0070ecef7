"""A saved classifier, PyTorch or ONNX, opened for inference; torch is imported for PyTorch alone."""

from pathlib import Path

from pipeline.errors import InputError
from pipeline.serving.onnx_model import ONNX, open_onnx
from pipeline.serving.predict import Classifier
from pipeline.storage.layout import check_filled


def open_folder(folder: Path, key: str) -> Classifier:
    """Open a model folder of PyTorch, or one of ONNX that the stage `export` wrote.

    An ONNX model truncates texts to the maximum length of the run that exported it, a PyTorch model to its own.

    Raises InputError if there is no model, the stage has left it out, or it is damaged or not a classifier.
    """
    check_filled(folder, key)
    if (folder / ONNX).is_file():
        return open_onnx(folder, key)
    if not folder.is_dir():
        raise InputError(f"{key}: no such model folder: {folder}")
    from pipeline.serving.torch_model import open_torch

    return open_torch(folder, key)
