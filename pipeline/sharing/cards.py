"""Model and dataset cards: README.md files with YAML metadata, as the Hugging Face hub reads them."""

import re
from collections.abc import Mapping

from huggingface_hub import DatasetCardData, EvalResult, ModelCardData

from pipeline.addresses.commits import recorded, with_commit
from pipeline.addresses.licences import licence_of
from pipeline.addresses.resolve import kind_of, split_revision
from pipeline.params.methods import METHODS
from pipeline.params.schema import Params
from pipeline.storage.columns import AUGMENTED

DOMAINS = {"source": "source", "target": "target", "unlabelled": "target's texts without labels"}
METRIC_TYPES = {"mcc": "matthews_correlation", "r2": "r_squared", "pearson": "pearsonr", "spearman": "spearmanr"}
"""The hub's names of metrics, where they differ."""


def student_card(
    params: Params,
    *,
    labels: list[str],
    scores: Mapping[str, float | None],
    library: str = "transformers",
    module: str | None = None,
) -> str:
    """The model card of the student.

    Args:
        labels: the classes in order; empty in regression.
        scores: the task's metrics on the target's test texts.
        library: the hub's name of what opens the model.
        module: the module of this project without which transformers does not open it.
    """
    target = params.data.target.path
    dataset, revision = split_revision(target) if kind_of(target) == "hub" else ("local", None)
    revision = recorded("data.target", target) or revision
    results = [
        EvalResult(
            task_type="text-classification",
            dataset_type=dataset,
            dataset_name=target,
            dataset_revision=revision,
            dataset_split="test",
            metric_type=METRIC_TYPES.get(name, name),
            metric_value=value,
        )
        for name, value in scores.items()
        if value is not None
    ]
    random = params.student.init in ("fresh", "bilstm")
    base = None if random else params.student.model or params.teacher.model
    data = ModelCardData(
        model_name="l2a-student",
        library_name=library,
        pipeline_tag="text-classification",
        tags=["l2a", "distillation", "data-augmentation"],
        base_model=split_revision(base)[0] if base and kind_of(base) == "hub" else None,
        eval_results=results or None,
    )
    kind = f"one of the classes {', '.join(map(_cell, labels))}" if labels else "a number"
    measured = ", ".join(f"{name} {value}" for name, value in scores.items() if value is not None)
    opened = "" if module is None else f"`transformers` opens it only after `import {module}`, a module of l2a.\n\n"
    measured_as = "" if library == "transformers" else ", before its conversion to ONNX"
    return f"""---
{data.to_yaml()}
---
# A student distilled by l2a

The model reads a text or pair of at most {params.max_length} tokens and predicts {kind}. It was distilled from a
larger, fine-tuned encoder on texts of the target domain and augmented neighbours of them, by *learning to augment for
data-scarce distillation* (Feng et al., AAAI 2021).

{opened}**Results** on the target's test texts{measured_as}: {measured or "no metric is defined"}.

{_ingredients(params, models=True)}

**Limitations.** The model has learnt the target's domain and language from a few labelled texts and repeats its
teacher's mistakes. Evaluate it on your own texts before you rely on it.
"""


def neighbours_card(params: Params, counts: Mapping[str, int]) -> str:
    """The dataset card of the augmented data, with which `datasets.load_dataset` has the domains as splits.

    Args:
        counts: number of neighbours by domain; a domain without any is left out.
    """
    files = [{"split": domain, "path": f"{domain}-*.parquet"} for domain, rows in counts.items() if rows]
    data = DatasetCardData(
        pretty_name="Neighbours sampled by l2a",
        task_categories=["text-classification"],
        tags=["l2a", "data-augmentation", "synthetic"],
        configs=[{"config_name": "default", "data_files": files}],
    )
    rows = "\n".join(f"| `{column.name}` | {column.meaning} |" for column in AUGMENTED)
    totals = ", ".join(
        f"{count:,} of the {DOMAINS[domain]}" for domain, count in counts.items() if count or domain != "unlabelled"
    )
    return f"""---
{data.to_yaml()}
---
# Neighbours of real texts

{totals}: variants of real texts with randomly replaced words (`augment.method: {params.augment.method}`, alpha
{params.alpha}, temperature {params.temperature}, seed {params.seed}). They are synthetic inputs for a teacher model in
distillation; no person wrote them.

| column | meaning |
|---|---|
{rows}

{_ingredients(params, models=False)}
"""


def _ingredients(params: Params, *, models: bool) -> str:
    """A Markdown table of the data and models that were used, with their commits on the hub and their licences.

    Args:
        models: whether teacher and student are among them.
    """
    data, generator = params.data, params.generator
    addresses = [
        ("source", "data.source", None if data.source is None else data.source.path),
        ("target", "data.target", data.target.path),
        ("texts without labels", "data.unlabelled", None if data.unlabelled is None else data.unlabelled.path),
    ]
    method = METHODS[params.augment.method]
    if method.uses_generator:
        text = generator.text.path if generator.text is not None and generator.steps else None
        addresses += [
            ("generator", "generator.model", generator.model),
            ("generator's adapter", "generator.adapter", generator.adapter),
            ("generator's text", "generator.text", text),
        ]
    if models:
        addresses += [("teacher", "teacher.model", params.teacher.model)]
        addresses += [("student", "student.model", params.student.model)]
    rows = [
        f"| {kind} | {_cell(with_commit(key, address))} | {_cell(licence_of(address))} |"
        for kind, key, address in addresses
        if address is not None
    ]
    if method.needs_wordnet:
        rows.append("| words | WordNet | WordNet licence |")
    return "\n".join(["**Data and models used**\n", "| | | licence |", "|---|---|---|", *rows])


def _cell(text: str) -> str:
    """Text as a Markdown cell, with the characters escaped that have a meaning in Markdown."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(text.split()))
