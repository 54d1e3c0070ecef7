"""Checks of what a run of a params file needs: environment, hub, models, tables, memory and disk space."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import TYPE_CHECKING

from pipeline.errors import InputError
from pipeline.params.methods import METHODS
from pipeline.params.schema import Params
from pipeline.setup import environment
from pipeline.setup.environment import Finding, format_bytes, free_memory, nearest_existing

if TYPE_CHECKING:
    from pipeline.addresses.hub import RepoType

PATIENCE = 5.0
"""Timeout of the hub, in seconds."""
TRAINED = 4
"""Memory of a model in training relative to its weights: these, their gradients and two numbers of Adam for each."""
ACTIVATIONS = 20
"""Activations of a token's width that each layer keeps for the backward pass."""
LIBRARIES = 1e9
"""Bytes that Python and the libraries take."""


def examine(path: Path) -> Iterator[Finding]:
    """Check everything that a run of the params file needs, quick checks first."""
    packages = environment.packages()
    yield packages
    yield environment.git()
    yield environment.dvc()
    yield environment.work_cache()
    if packages.mark == "wrong":
        yield Finding("look", "the rest", "not checked, because it needs those packages")
        return
    yield environment.device()
    yield environment.threads()
    outage = _outage()
    params, finding = _params(path)
    yield finding
    if params is None:
        yield Finding("look", "the rest", "not checked, because it depends on the params")
        return
    yield from _hub(params, outage)
    with _offline(outage != ""):
        yield _extras(params)
        yield from _archives(params)
        models = _models(params)
        yield models
        yield from _tables_and_room(params, has_models=models.mark == "ok")


def _outage() -> str:
    """Why the hub does not answer; empty if it does."""
    from pipeline.addresses.hub import ask

    outages = [f"the hub cannot be reached (no answer in {PATIENCE:.0f} s)"]
    thread = Thread(target=lambda: outages.append(ask("model", "bert-base-uncased").outage), daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return outages[-1]


@contextmanager
def _offline(offline: bool) -> Iterator[None]:
    """Within this context, if `offline`, the hub is not asked again and only its local cache is used."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or offline
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _params(path: Path) -> tuple[Params | None, Finding]:
    from pipeline.params.file import check_whole, load

    params = None
    try:
        params = load(path)
        check_whole(path)
    except InputError as error:
        return params, Finding("wrong", "params", str(error), "fix it, or l2a init TABLE")
    return params, Finding("ok", "params", f"{path}")


def _hub(params: Params, outage: str) -> Iterator[Finding]:
    """The models and tables on the hub that params name, whether the hub answers, and where it has moved on."""
    from pipeline.addresses.record import addresses
    from pipeline.addresses.resolve import kind_of

    named = {
        (kind, address): key
        for key, (kind, address) in addresses(params).items()
        if address is not None and kind_of(address) == "hub"
    }
    names = dict.fromkeys(address for _, address in named)
    found = f"{outage or 'it answers'}; params name {', '.join(names) or 'nothing on it'}"
    if outage and named:
        advice = "they must be in its local cache; or name folders or package: addresses"
        yield Finding("look", "hub", found, advice)
        return
    yield Finding("ok", "hub", found)
    for (kind, address), key in named.items():
        yield from _moved(kind, address, key)


def _moved(kind: "RepoType", address: str, key: str) -> Iterator[Finding]:
    """Where a branch or tag is now, if that is not the commit that stages read."""
    from pipeline.addresses.commits import COMMIT, recorded
    from pipeline.addresses.hub import ask
    from pipeline.addresses.resolve import split_revision

    hub_id, revision = split_revision(address)
    pinned = revision if revision and COMMIT.fullmatch(revision) else None
    commit = recorded(key, address) or pinned
    now = ask(kind, hub_id, None if pinned else revision).commit
    if commit and now and commit != now:
        found = f"{key}: stages read {hub_id} at {commit[:7]}; {'main' if pinned else revision or 'main'} is at {now}"
        advice = "" if pinned else f"to take it: {key}{'' if kind == 'model' else '.path'}: {hub_id}@{now}"
        yield Finding("ok" if pinned else "look", "hub moved", found, advice)


def _named_models(params: Params) -> list[str]:
    """The addresses of the models that params name."""
    return [model for model in (params.teacher.model, params.generator.model, params.student.model) if model]


def _extras(params: Params) -> Finding:
    """Packages and files that only some params need."""
    if params.engine == "ray" and find_spec("ray") is None:
        return Finding("wrong", "extras", "engine: ray is not installed", "pip install -e '.[ray]', or engine: local")
    if METHODS[params.augment.method].needs_wordnet:
        from pipeline.augment.methods.wordnet import load_wordnet

        try:
            load_wordnet()
        except InputError as error:
            return Finding("wrong", "extras", str(error))
    generator = params.generator
    if generator.adapter and not Path(generator.adapter).is_file():
        found = f"generator.adapter: no such file: {generator.adapter}"
        return Finding("wrong", "extras", found, "null, or a file that exists")
    tables = {"generator.text": generator.text if generator.steps else None, "generator.heldout": generator.heldout}
    for key, table in tables.items():
        if table is not None:
            from pipeline.data.loading import load_table

            try:
                load_table(table, key, labelled=False)
            except InputError as error:
                return Finding("wrong", "extras", str(error), f"see {key} in the params file")
    return Finding("ok", "extras", "everything that params need")


def _archives(params: Params) -> Iterator[Finding]:
    """The archives that params name: where each is, or will be as soon as its model is read, and its size."""
    from pipeline.addresses.archives import ARCHIVES, archive_folder, is_archive

    for address in dict.fromkeys(filter(is_archive, _named_models(params))):
        folder, size = archive_folder(address), ARCHIVES[address.removeprefix("package:")].size
        if folder.is_dir():
            yield Finding("ok", "archive", f"{address}: {format_bytes(size)} in {folder}")
            continue
        free = shutil.disk_usage(nearest_existing(folder)).free
        found = f"{address}: will be assembled in {folder}; takes {format_bytes(size)} of {format_bytes(free)} free"
        yield Finding("look" if free < size else "ok", "archive", found)


def _models(params: Params) -> Finding:
    """Whether the models can be loaded and fit each other; weights are not read."""
    from pipeline.models.compatibility import check_length, check_wordpiece
    from pipeline.models.frozen import check_frozen
    from pipeline.models.loading import load_encoder_config, load_tokenizer
    from pipeline.models.student import check_student

    try:
        check_student(params)
        config = load_encoder_config(params.teacher.model, "teacher.model")
        check_length(params.max_length, load_tokenizer(params.teacher.model, "teacher.model"), config, "the teacher")
        if params.teacher.frozen:
            check_frozen(config, params.teacher.frozen, "teacher.frozen")
        generator, key = params.generator, "generator.model"
        config, tokenizer = load_encoder_config(generator.model, key), load_tokenizer(generator.model, key)
        check_length(params.max_length, tokenizer, config, "the generator")
        check_length(generator.max_length, tokenizer, config, "the generator", key="generator.max_length")
        if params.export.vocabulary == "seen":
            check_wordpiece(load_tokenizer(params.student.model or params.teacher.model, "student.model"))
    except InputError as error:
        return Finding("wrong", "models", str(error), "see teacher, generator and student in the params file")
    student = params.student.model or params.student.init
    found = f"teacher {params.teacher.model}, generator {params.generator.model}, student {student}"
    return Finding("ok", "models", found)


def _tables_and_room(params: Params, *, has_models: bool) -> Iterator[Finding]:
    """The tables, tried by running `prepare` in a temporary folder; the memory and disk space of a run."""
    from pipeline.data.prepare import prepare
    from pipeline.data.texts import DOMAINS, TEACHER_SOURCE, read_texts

    free = f"{format_bytes(shutil.disk_usage(Path.cwd()).free)} free; how much is needed is unknown without"
    with TemporaryDirectory() as name:
        folder = Path(name) / "prepared"
        try:
            prepared = prepare(params, out=folder, metrics=Path(name) / "data.json")
        except InputError as error:
            yield Finding("wrong", "tables", str(error), "see data in the params file")
            yield Finding("look", "disk", f"{free} the tables")
            return
        yield Finding("ok", "tables", prepared.removesuffix(f", in {folder}"))
        if not has_models:
            yield Finding("look", "disk", f"{free} the models")
            return
        from pipeline.setup.disk import estimate, room

        texts = {domain: read_texts(folder / file) for domain, file in DOMAINS.items()}
        needed = estimate(params, texts, read_texts(folder / TEACHER_SOURCE))
    yield _memory(params, needed["models/teacher"])
    yield from room(needed)


def _memory(params: Params, weights: int) -> Finding:
    """Whether memory suffices to train the teacher, which takes most; activations as in a layer of BERT."""
    from pipeline.models.attention import attention_heads
    from pipeline.models.loading import load_encoder_config

    config = load_encoder_config(params.teacher.model, "teacher.model")
    numbers = ACTIVATIONS * config.hidden_size + 2 * attention_heads(config) * params.max_length
    tokens = params.teacher.batch_size * params.max_length
    needed = LIBRARIES + TRAINED * weights + 4 * tokens * config.num_hidden_layers * numbers
    free, limit = free_memory()
    found = (
        f"{format_bytes(free)} free{limit and f' ({limit})'}; training the teacher takes about {format_bytes(needed)}"
    )
    if needed > free:
        return Finding("look", "memory", found, "a smaller teacher.batch_size, max_length or teacher.model")
    return Finding("ok", "memory", found)
