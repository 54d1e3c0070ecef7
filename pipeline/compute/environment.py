"""The libraries and the device type, which decide the last digits of a model's outputs beside code and inputs."""

from importlib.metadata import version

from pipeline.compute import distributed

LIBRARIES = ("torch", "transformers", "tokenizers")


def environment() -> dict[str, str]:
    """Versions of the libraries that compute outputs, and the device type: part of the fingerprint of computed work."""
    return {name: version(name) for name in LIBRARIES} | {"device": distributed.device().type}
