"""The augmented data: shards of neighbours in Parquet, drawn once for the same inputs."""

import json
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.augment.methods.methods import Method, method, originals_of
from pipeline.augment.methods.wordnet import load_wordnet
from pipeline.augment.shards import shard_name
from pipeline.compute.engine import for_each
from pipeline.compute.environment import environment
from pipeline.data.texts import DOMAINS, Texts, read_texts
from pipeline.models.compatibility import check_length
from pipeline.models.loading import load_config, load_tokenizer
from pipeline.params.schema import Params
from pipeline.params.types import Domain
from pipeline.storage.atomic import publish_folder
from pipeline.storage.fingerprint import code_hash, file_hash, fingerprint, folder_hash
from pipeline.storage.parquet import write_table
from pipeline.storage.workcache import is_finished, link_or_copy, work_folder, write_piece

AT_ONCE = 4096
"""Neighbours that are drawn together and batched by length: what bounds a shard's memory, however large it is."""


def schema(task: str) -> pa.Schema:
    """The columns of a row of `augmented`; `label` is a class name or, in regression, a number."""
    return pa.schema(
        [
            ("id", pa.string()),
            ("original_id", pa.string()),
            ("domain", pa.string()),
            ("text", pa.string()),
            ("text_pair", pa.string()),
            ("original_text", pa.string()),
            ("original_text_pair", pa.string()),
            ("label", pa.float64() if task == "regression" else pa.string()),
            ("distance", pa.int32()),
            ("length", pa.int32()),
            ("positions", pa.list_(pa.int32())),
            ("old_words", pa.list_(pa.string())),
            ("new_words", pa.list_(pa.string())),
            ("log_p_distance", pa.float64()),
            ("log_p_positions", pa.float64()),
            ("log_p_words", pa.float64()),
            ("log_p", pa.float64()),
        ]
    )


@dataclass(frozen=True)
class Shard:
    """A unit of work: what the neighbours of a shard's texts are drawn with, and the piece they become."""

    piece: Path
    domain: Domain
    first: int
    """The shard's first text; it has every so many-th from there on."""
    samples: int
    number: int
    """Of the round."""
    prepared: Path
    generator: Path
    model_hash: str
    """Of the generator."""
    params: str
    described: str
    """What stands in the piece's metadata beside counts; JSON, as params."""


def augment(params: Params, *, prepared: Path, generator: Path, out: Path, number: int = 1) -> str:
    """Draw the neighbours of both domains' training texts into Parquet shards (Eq. 10).

    Args:
        number: of the round; each has sample numbers of its own.

    Shards already drawn for the same params, texts and generator are taken from the work cache. A domain without
    texts or samples has shards without rows. Returns what was made, in a few words.
    """
    settings = {
        "seed": params.seed,
        "alpha": params.alpha,
        "temperature": params.temperature,
        "max_length": params.max_length,
        "augment": params.augment.model_dump(exclude={"samples"}),
    }
    model_hash = folder_hash(generator)
    made_by = {"code": code_hash(__name__), **environment()}
    tokenizer = load_tokenizer(generator, "generator")
    check_length(params.max_length, tokenizer, load_config(generator, "generator"), "the generator")
    for file in DOMAINS.values():
        # Found before any work, if they are missing or damaged.
        read_texts(prepared / file)
    # Another WordNet has other synonyms.
    by_rules = params.augment.method in ("eda", "rules")
    wordnet = [file_hash(file) for file in load_wordnet().files()] if by_rules else None
    whole = params.model_dump_json()
    shards: list[Shard] = []
    for domain, file in DOMAINS.items():
        samples = getattr(params.augment.samples, domain)
        print_ = fingerprint(
            made_by=made_by,
            params=settings,
            samples=samples,
            behind=(number - 1) * samples,
            generator=model_hash,
            texts=file_hash(prepared / file),
            wordnet=wordnet,
            train=file_hash(prepared / DOMAINS["target"]) if params.augment.method in ("cbert", "rules") else None,
        )
        folder = work_folder("augment", print_)
        described = {"fingerprint": print_, "params": settings, "samples": samples}
        common = (samples, number, prepared, generator, model_hash, whole, json.dumps(described))
        for first in range(params.augment.shards):
            piece = folder / shard_name(domain, first, params.augment.shards)
            shards.append(Shard(piece, domain, first, *common))
    # CBERT's model learns before it draws: once here, not once in every worker.
    engine = "local" if params.augment.method == "cbert" else params.engine
    try:
        for_each(draw, [shard for shard in shards if not is_finished(shard.piece)], engine, "neighbours")
    finally:
        _method.cache_clear()
        _texts.cache_clear()
    counts: Counter[str] = Counter()
    with publish_folder(out) as folder:
        for shard in shards:
            link_or_copy(shard.piece, folder / shard.piece.name)
            found = json.loads(pq.read_schema(folder / shard.piece.name).metadata[b"l2a"])
            counts.update({name: found[name] for name in ("originals", "not_distinct", "too_short")})
            counts["neighbours"] += pq.read_metadata(folder / shard.piece.name).num_rows
    return (
        f"{counts['neighbours']:,} neighbours of {counts['originals']:,} texts in {len(shards)} shards "
        f"({counts['not_distinct']:,} not distinct, {counts['too_short']:,} texts too short), in {out}"
    )


def draw(shard: Shard) -> None:
    """Draw the neighbours of every so many-th text of a domain and leave them in the work cache."""
    params = Params.model_validate_json(shard.params)
    print_ = shard.piece.parent.name
    texts = _texts(shard.prepared / DOMAINS[shard.domain], print_)
    rows = range(shard.first, len(texts), params.augment.shards) if shard.samples else range(0)
    tokenizer = load_tokenizer(shard.generator, "generator")
    counts = Counter[str](originals=len(rows), not_distinct=0, too_short=0)
    parts = [schema(params.task).empty_table()]
    at_once = max(1, AT_ONCE // max(1, shard.samples))
    for start in range(0, len(rows), at_once):
        originals = originals_of(texts, rows[start : start + at_once], tokenizer, params)
        way = _method(shard.params, shard.generator, shard.prepared, shard.model_hash)
        neighbours, drawn = way(originals, shard.samples, (shard.number - 1) * shard.samples)
        counts.update(drawn)
        parts.append(pa.Table.from_pylist([row | {"domain": shard.domain} for row in neighbours], parts[0].schema))
    # Its name tells later whether a shard is missing, or stands in another's place.
    told = json.loads(shard.described) | counts | {"shard": shard.piece.name}
    metadata = {"l2a": json.dumps(told, sort_keys=True)}
    # In one piece, as it is written.
    table = pa.concat_tables(parts).combine_chunks()
    with write_piece(shard.piece) as temporary:
        write_table(table.replace_schema_metadata(metadata), temporary)


@lru_cache(maxsize=1)
def _texts(path: Path, _: str) -> Texts:
    return read_texts(path)


@lru_cache(maxsize=1)
def _method(params: str, generator: Path, prepared: Path, _: str) -> Method:
    """What draws: a model is loaded once for all shards of a process."""
    tokenizer = load_tokenizer(generator, "generator")
    return method(Params.model_validate_json(params), generator, tokenizer, read_texts(prepared / DOMAINS["target"]))
