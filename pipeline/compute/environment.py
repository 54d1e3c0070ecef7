"""What decides the last digits of a model's outputs beside code and inputs: the libraries and the kind of device."""

from importlib.metadata import version

from pipeline.compute import distributed

LIBRARIES = ("torch", "transformers", "tokenizers")


def environment() -> dict[str, str]:
    """Versions of the libraries that compute outputs, and the device's type: part of every fingerprint of such work."""
    return {name: version(name) for name in LIBRARIES} | {"device": distributed.device().type}
