"""What a folder says of itself on the hub and to whoever is given it: README.md with metadata in front."""

import re
from collections.abc import Mapping
from pathlib import Path

from huggingface_hub import DatasetCardData, EvalResult, ModelCardData

from pipeline.addresses.licences import licence_of
from pipeline.params.schema import Params

COLUMNS = {
    "id": "the original's id and the sample's number",
    "original_id": "row of `data/prepared/source.parquet` or `train.parquet`",
    "domain": "`source` or `target`",
    "text": "the neighbour z, or the first text of a pair",
    "text_pair": "the second text of a pair",
    "original_text": "the original x, or its first text",
    "original_text_pair": "its second text",
    "label": "the original's label, which a neighbour need not deserve; the teacher has the word",
    "distance": "d, how many words were changed (Eq. 11)",
    "length": "m, how many words the original has",
    "positions": "which of them, from 0; in a pair the second text's words follow the first's",
    "old_words": "the original's words at these positions",
    "new_words": "what stands there now",
    "log_p_distance": "log P(d), in nats (Eq. 11)",
    "log_p_positions": "log P of these positions (Eq. 10)",
    "log_p_words": "log P of these words (Eq. 12)",
    "log_p": r"log P_s(z\|x), the sum of the three",
}
"""Of the augmented data, in their order, in Markdown; other ways to augment than the neighbours' leave some empty."""


def student_card(params: Params, *, labels: list[str], figures: Mapping[str, float | None]) -> str:
    """The card of a student.

    Args:
        labels: the classes in order; empty in regression.
        figures: the task's metrics on the target's test texts.
    """
    target = params.data.target.path
    results = [
        EvalResult(
            task_type="text-classification",
            dataset_type=target if _is_hub_id(target) else "local",
            dataset_name=target,
            dataset_split="test",
            metric_type={"pearson": "pearsonr", "spearman": "spearmanr"}.get(name, name),
            metric_value=value,
        )
        for name, value in figures.items()
        if value is not None
    ]
    begun = {"teacher": params.teacher.model, "encoder": params.teacher.model, "pretrained": params.student.model}
    base = begun.get(params.student.init)
    data = ModelCardData(
        model_name="l2a-student",
        library_name="transformers",
        pipeline_tag="text-classification",
        tags=["l2a", "distillation", "data-augmentation"],
        base_model=base if base and _is_hub_id(base) else None,
        eval_results=results or None,
    )
    kind = f"one of the classes {', '.join(map(_cell, labels))}" if labels else "a number"
    measured = ", ".join(f"{name} {value}" for name, value in figures.items() if value is not None)
    return f"""---
{data.to_yaml()}
---
# A student distilled by l2a

It reads a text or pair of at most {params.max_length} tokens and gives {kind}. It was distilled from a larger,
fine-tuned encoder on texts of the target and what was drawn near them, by *learning to augment for data-scarce
distillation* (Feng et al., AAAI 2021).

**Measured** on the target's test texts: {measured or "nothing that is defined"}.

{_went_in(params, [("teacher", params.teacher.model), ("student", params.student.model)])}

**Limits.** It knows the target's domain and language from a few labelled texts and repeats what its teacher got wrong.
Measure it on texts of yours before you rely on it.
"""


def neighbours_card(params: Params, counts: Mapping[str, int]) -> str:
    """The card of the augmented data, so that `datasets.load_dataset` has the domains as splits.

    Args:
        counts: neighbours of each domain; one without any is left out.
    """
    files = [{"split": domain, "path": f"{domain}-*.parquet"} for domain, rows in counts.items() if rows]
    data = DatasetCardData(
        pretty_name="Neighbours drawn by l2a",
        task_categories=["text-classification"],
        tags=["l2a", "data-augmentation", "synthetic"],
        configs=[{"config_name": "default", "data_files": files}],
    )
    rows = "\n".join(f"| `{name}` | {what} |" for name, what in COLUMNS.items())
    said = ", ".join(f"{count:,} of the {domain}" for domain, count in counts.items())
    return f"""---
{data.to_yaml()}
---
# Neighbours of labelled texts

{said}: texts near real ones, with words changed at random (`augment.method: {params.augment.method}`,
alpha {params.alpha}, temperature {params.temperature}, seed {params.seed}). They were made to ask a teacher about, and
are not what people wrote.

| column | what it is |
|---|---|
{rows}

{_went_in(params, [])}
"""


def _went_in(params: Params, besides: list[tuple[str, str | None]]) -> str:
    """Tables and models with their licences."""
    source = None if params.data.source is None else params.data.source.path
    given = [("source", source), ("target", params.data.target.path)]
    # EDA and rules ask WordNet instead of the generator.
    wordnet = params.augment.method in ("eda", "rules")
    if not wordnet:
        generator = params.generator
        text = generator.text.path if generator.text is not None and generator.steps else None
        given += [
            ("generator", generator.model),
            ("generator's adapter", generator.adapter),
            ("generator's text", text),
        ]
    rows = [
        f"| {what} | {_cell(address)} | {_cell(licence_of(address))} |"
        for what, address in [*given, *besides]
        if address is not None
    ]
    if wordnet:
        rows.append("| words | WordNet | WordNet licence |")
    return "\n".join(["**What went in**\n", "| | | licence |", "|---|---|---|", *rows])


def _cell(text: str) -> str:
    """Text in Markdown, where some signs would end a cell or begin something."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(text.split()))


def _is_hub_id(address: str) -> bool:
    return re.fullmatch(r"[\w.-]+(/[\w.-]+)?", address) is not None and not Path(address).exists()
