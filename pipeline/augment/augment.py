"""The augment stage's work: the neighbours of all training texts, drawn into shards of Parquet."""

import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from transformers import PreTrainedTokenizerFast

from pipeline.augment.methods.interface import Draw, MethodInputs, build, module_name
from pipeline.augment.methods.wordnet import load_wordnet
from pipeline.augment.originals import encode_rows
from pipeline.augment.shards import shard_name
from pipeline.augment.words import pieces_by_script
from pipeline.compute.engine import for_each
from pipeline.compute.environment import environment
from pipeline.data.scripts import script
from pipeline.data.texts import DOMAINS, as_texts, read_prepared, read_prepared_once, read_texts
from pipeline.errors import InputError
from pipeline.models.compatibility import check_length
from pipeline.models.loading import load_config, load_tokenizer
from pipeline.params.methods import METHODS
from pipeline.params.schema import Params
from pipeline.params.types import Domain
from pipeline.storage.atomic import publish_folder
from pipeline.storage.columns import augmented_schema
from pipeline.storage.fingerprint import code_hash, file_hash, fingerprint, folder_hash
from pipeline.storage.parquet import every_nth, write_table
from pipeline.storage.workcache import is_finished, link_or_copy, work_folder, write_piece

logger = logging.getLogger(__name__)

AT_ONCE = 4096
"""Neighbours that are drawn together and batched by length. They bound the memory, however large a shard is."""


@dataclass(frozen=True)
class ShardJob:
    """One shard to draw, as a worker receives it.

    Args:
        path: of the finished shard in the work cache.
        index: of the shard: it has the texts `index`, `index + shards`, `index + 2·shards`, … of the domain.
        samples: neighbours of each text.
        offset: samples of each text drawn in earlier rounds.
        generator_hash: tells generators in the same folder apart.
        params: JSON.
        metadata: JSON that the shard carries beside its counts.
    """

    path: Path
    domain: Domain
    index: int
    samples: int
    offset: int
    prepared: Path
    generator: Path
    generator_hash: str
    params: str
    metadata: str


def augment(params: Params, *, prepared: Path, generator: Path, out: Path, round_number: int = 1) -> str:
    """Draw the neighbours of all domains' texts into Parquet shards (Eq. 10).

    Args:
        round_number: each round has sample numbers of its own.

    Shards already drawn for the same params, texts, code and generator are taken from the work cache. A domain without
    texts or samples has shards without rows. Returns what was made, in a few words.
    """
    tokenizer = load_tokenizer(generator, "generator")
    check_length(params.max_length, tokenizer, load_config(generator, "generator"), "the generator")
    # Missing or damaged texts stop the stage before any work.
    for file in DOMAINS.values():
        read_prepared(prepared / file)
    check_scripts(read_texts(prepared / DOMAINS["target"]).texts, tokenizer, params.augment.method)
    jobs = _jobs(params, prepared, generator, round_number)
    missing = [job for job in jobs if not is_finished(job.path)]
    logger.info("%d of %d shards from the work cache", len(jobs) - len(missing), len(jobs))
    # A model that the method trains is trained once here, not once in every worker.
    engine = "local" if METHODS[params.augment.method].trains else params.engine
    try:
        for_each(draw_shard, missing, engine, "neighbours")
    finally:
        _method.cache_clear()
        read_prepared_once.cache_clear()
    counts = _publish(jobs, out)
    return (
        f"{counts['neighbours']:,} neighbours of {counts['originals']:,} texts in {len(jobs)} shards "
        f"({counts['not_distinct']:,} not distinct, {counts['too_short']:,} texts too short), in {out}"
    )


def check_scripts(texts: Sequence[str], tokenizer: PreTrainedTokenizerFast, method: str) -> None:
    """Raise InputError if most letters are of a script without blanks, and method or generator do not know it."""
    letters = Counter(script(letter) for text in texts for letter in text if letter.isalpha())
    total, _ = letters.total(), letters.pop("", 0)
    if letters.total() <= total / 2:
        return
    name = letters.most_common(1)[0][0]
    if not METHODS[method].uses_generator:
        known = ", ".join(each for each in METHODS if METHODS[each].uses_generator)
        raise InputError(
            f"augment.method: got {method}, for which words stand between blanks, but most of the target's texts are "
            f"in a script without blanks ({name}); accepted: {known}"
        )
    if len(pieces_by_script(tokenizer).get(name, ())) < 2:
        raise InputError(
            f"generator.model: its vocabulary has no pieces of the script of most of the target's texts ({name}); "
            "accepted: a masked language model of their language, or one of many languages"
        )


def _jobs(params: Params, prepared: Path, generator: Path, round_number: int) -> list[ShardJob]:
    """The shards of all domains. The name of their folder depends on all that decides what is in them."""
    method = METHODS[params.augment.method]
    settings = {
        "seed": params.seed,
        "alpha": params.alpha,
        "temperature": params.temperature,
        "max_length": params.max_length,
        "augment": params.augment.model_dump(exclude={"samples"}),
    }
    generator_hash = folder_hash(generator)
    inputs: dict[str, Any] = {
        "params": settings,
        "generator": generator_hash,
        # Another WordNet has other synonyms.
        "wordnet": [file_hash(file) for file in load_wordnet().files()] if method.needs_wordnet else None,
        "training_texts": file_hash(prepared / DOMAINS["target"]) if method.reads_training_texts else None,
    }
    computed_by = {
        "code": code_hash(__name__),
        "method_code": code_hash(module_name(params.augment.method)),
        "environment": environment(),
    }
    jobs = []
    for domain, file in DOMAINS.items():
        samples = getattr(params.augment.samples, domain)
        offset = (round_number - 1) * samples
        drawn_from = inputs | {"texts": file_hash(prepared / file), "samples": samples, "offset": offset}
        folder = work_folder("augment", fingerprint(**drawn_from, **computed_by))
        # Without the code: if a change of it draws the same neighbours, the bytes are the same and no later stage runs.
        metadata = json.dumps({"fingerprint": fingerprint(**drawn_from), "params": settings, "samples": samples})
        for index in range(params.augment.shards):
            path = folder / shard_name(domain, index, params.augment.shards)
            job = ShardJob(
                path, domain, index, samples, offset, prepared, generator, generator_hash,
                params.model_dump_json(), metadata,
            )  # fmt: skip
            jobs.append(job)
    return jobs


def draw_shard(job: ShardJob) -> None:
    """Draw the neighbours of a shard's texts and write them into the work cache."""
    params = Params.model_validate_json(job.params)
    file = job.prepared / DOMAINS[job.domain]
    table = read_prepared_once(file, job.path.parent.name)
    rows = every_nth(table, job.index, params.augment.shards) if job.samples else table.slice(0, 0)
    texts = as_texts(rows, file)
    counts = Counter[str](originals=len(texts), not_distinct=0, too_short=0)
    schema = augmented_schema(params.task)
    tables = [schema.empty_table()]
    size = max(1, AT_ONCE // max(1, job.samples))
    for start in range(0, len(texts), size):
        tokenizer, draw = _method(job.params, job.generator, job.prepared, job.generator_hash)
        originals = encode_rows(texts, range(len(texts))[start : start + size], tokenizer, params)
        neighbours, drawn_counts = draw(originals, job.samples, offset=job.offset)
        counts.update(drawn_counts)
        tables.append(pa.Table.from_pylist([row | {"domain": job.domain} for row in neighbours], schema))
    # With its name in the metadata, a shard that is missing or renamed can be noticed.
    metadata = json.loads(job.metadata) | counts | {"shard": job.path.name}
    # In one chunk, as it is written.
    shard = pa.concat_tables(tables).combine_chunks()
    with write_piece(job.path) as temporary:
        write_table(shard.replace_schema_metadata({"l2a": json.dumps(metadata, sort_keys=True)}), temporary)


def _publish(jobs: list[ShardJob], out: Path) -> Counter[str]:
    """Put the finished shards into the stage's output and add up their counts."""
    counts: Counter[str] = Counter()
    with publish_folder(out) as folder:
        for job in jobs:
            shard = folder / job.path.name
            link_or_copy(job.path, shard)
            metadata = json.loads(pq.read_schema(shard).metadata[b"l2a"])
            counts.update({name: metadata[name] for name in ("originals", "not_distinct", "too_short")})
            counts["neighbours"] += pq.read_metadata(shard).num_rows
    return counts


@lru_cache(maxsize=1)
def _method(params: str, generator: Path, prepared: Path, _: str) -> tuple[PreTrainedTokenizerFast, Draw]:
    """The generator's tokenizer and the method's function, made once in a process for params and a generator's hash."""
    tokenizer = load_tokenizer(generator, "generator")
    training_texts = read_texts(prepared / DOMAINS["target"])
    return tokenizer, build(MethodInputs(Params.model_validate_json(params), generator, tokenizer, training_texts))
