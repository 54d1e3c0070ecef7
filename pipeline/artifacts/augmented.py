"""The augmented data: shards of neighbours in Parquet, drawn once for the same inputs."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import models
from pipeline.agreement import check_length
from pipeline.augment.methods import Method, method, originals_of
from pipeline.augment.wordnet import load_wordnet
from pipeline.data.texts import read_texts
from pipeline.errors import InputError
from pipeline.fingerprint import code_hash, environment, file_hash, fingerprint, folder_hash
from pipeline.params import Params
from pipeline.params_types import Domain
from pipeline.progress import track
from pipeline.publishing import publish_folder
from pipeline.tables import read_table, write_table
from pipeline.workcache import finish, is_finished, link_or_copy, work_folder

CODE = (
    "artifacts/augmented.py",
    "augment/cbert.py",
    "augment/distance.py",
    "augment/eda.py",
    "augment/filler.py",
    "augment/methods.py",
    "augment/neighbour.py",
    "augment/originals.py",
    "augment/rules.py",
    "augment/sampler.py",
    "augment/tries.py",
    "augment/wordnet.py",
    "augment/words.py",
    "batching.py",
    "models.py",
    "tables.py",
    "training.py",
)
DOMAINS: dict[Domain, str] = {"source": "source.parquet", "target": "train.parquet"}


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


def shard_name(domain: str, shard: int, shards: int) -> str:
    """`target-00000-of-00008.parquet`."""
    return f"{domain}-{shard:05d}-of-{shards:05d}.parquet"


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
    made_by = {"code": code_hash(*CODE), **environment()}
    tokenizer = models.load_tokenizer(generator, "generator")
    check_length(params.max_length, tokenizer, models.load_config(generator, "generator"), "the generator")
    # Another WordNet has other synonyms.
    by_rules = params.augment.method in ("eda", "rules")
    wordnet = [file_hash(file) for file in load_wordnet().files()] if by_rules else None
    train = read_texts(prepared / DOMAINS["target"])
    way: Method | None = None
    counts: Counter[str] = Counter()
    pieces = []
    for domain, file in DOMAINS.items():
        samples = getattr(params.augment.samples, domain)
        texts = read_texts(prepared / file)
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
        for shard in track(range(params.augment.shards), f"neighbours of {domain}", unit="shard"):
            piece = folder / shard_name(domain, shard, params.augment.shards)
            if not is_finished(piece):
                rows = range(shard, len(texts), params.augment.shards) if samples else range(0)
                originals = originals_of(texts, rows, tokenizer, params)
                neighbours: list[dict[str, object]] = []
                drawn = {"not_distinct": 0, "too_short": 0}
                if originals:
                    way = way or method(params, generator, tokenizer, train)
                    neighbours, drawn = way(originals, samples, (number - 1) * samples)
                described = {"fingerprint": print_, "params": settings, "samples": samples, "originals": len(originals)}
                with finish(piece) as temporary:
                    _write(temporary, neighbours, domain, params.task, described | drawn)
            found = json.loads(pq.read_schema(piece).metadata[b"l2a"])
            counts.update({name: found[name] for name in ("originals", "not_distinct", "too_short")})
            counts["neighbours"] += pq.read_metadata(piece).num_rows
            pieces.append(piece)
    with publish_folder(out) as folder:
        for piece in pieces:
            link_or_copy(piece, folder / piece.name)
    return (
        f"{counts['neighbours']:,} neighbours of {counts['originals']:,} texts in {len(pieces)} shards "
        f"({counts['not_distinct']:,} not distinct, {counts['too_short']:,} texts too short), in {out}"
    )


def _write(path: Path, rows: list[dict[str, object]], domain: str, task: str, described: dict[str, Any]) -> None:
    metadata = {"l2a": json.dumps(described, sort_keys=True)}
    table = pa.Table.from_pylist([row | {"domain": domain} for row in rows], schema=schema(task))
    write_table(table.replace_schema_metadata(metadata), path)


def read_augmented(folder: Path, columns: Sequence[str] = ()) -> pa.Table:
    """All neighbours in the order of the shards' names. Raises InputError if there are none."""
    shards = sorted(folder.glob("*.parquet"))
    if not shards:
        raise InputError(f"{folder}: no shards; run the augment stage first")
    return pa.concat_tables(read_table(shard, columns, "augment") for shard in shards)
