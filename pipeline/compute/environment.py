"""The libraries, the device type and its number format, which decide the last digits of a model's outputs."""

from importlib.metadata import version

from pipeline.compute import distributed
from pipeline.compute.precision import number_format

LIBRARIES = ("torch", "transformers", "tokenizers", "numpy", "peft")


def environment() -> dict[str, str]:
    """Versions of the libraries that compute or draw numbers, the device type, and the number format if not float32.

    They are part of the fingerprint of computed work. Raises InputError if L2A_PRECISION names no number format.
    """
    device = distributed.device()
    number = number_format(device)
    format_ = {} if number == "float32" else {"precision": number}
    return {name: version(name) for name in LIBRARIES} | {"device": device.type} | format_
