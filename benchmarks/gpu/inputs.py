"""A folder with what a measurement reads: params, prepared texts, a classifier, and a CPU's outputs for them."""

from pathlib import Path

from safetensors.torch import load_file

from pipeline.augment.adapter import save_adapter, with_adapter
from pipeline.errors import InputError
from pipeline.models.loading import load_masked_lm
from pipeline.params.schema import Params

PARAMS, MODEL, PREPARED, REFERENCE = "params.json", "model", "prepared", "reference"
"""What the folder has."""


def read_params(folder: Path) -> Params:
    """The params of a folder, their models that beside them. Raises InputError if it is no such folder."""
    if not (folder / PARAMS).is_file():
        raise InputError(f"{folder}: no {PARAMS}; accepted: a folder that python -m benchmarks.gpu pack has written")
    params = Params.model_validate_json((folder / PARAMS).read_text(encoding="utf-8"))
    model = str((folder / MODEL).absolute())
    return params.model_copy(
        update={
            "teacher": params.teacher.model_copy(update={"model": model}),
            "generator": params.generator.model_copy(update={"model": model}),
        }
    )


def with_rounded_adapter(params: Params, out: Path) -> Params:
    """Params whose generator has its adapter from `out`, where it is as if it had been trained on the rounded encoder.

    Otherwise it would be refused as that of another model. Raises InputError if there is no such file.
    """
    generator = params.generator
    if not generator.adapter:
        return params
    if not Path(generator.adapter).is_file():
        raise InputError(f"{generator.adapter}: no such file; accepted: to run in the folder of the repository")
    weights = load_file(generator.adapter)
    rank = next(weight.shape[0] for name, weight in weights.items() if "lora_A" in name)
    model, _ = load_masked_lm(generator.model, "generator.model")
    adapted = with_adapter(model, rank)
    adapted.load_state_dict(weights, strict=False)
    save_adapter(adapted, out)
    return params.model_copy(update={"generator": generator.model_copy(update={"adapter": str(out)})})
