"""What a run of a params file needs and whether it is there: tables, models, the hub, memory, room."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

from pipeline.errors import InputError
from pipeline.params.schema import Params
from pipeline.setup import environment
from pipeline.setup.environment import Finding, free_memory, shown_bytes, standing
from pipeline.storage import workcache

PATIENCE = 4.0
"""Seconds that the hub has to answer."""
TRAINED = 4
"""A model in training in the size of its weights: those, their gradients and two numbers of Adam's for each."""
ACTIVATIONS = 20
"""Numbers of a token's width that each layer keeps for the way back."""
LIBRARIES = 1e9
"""Bytes that Python and the libraries take themselves."""


def examine(path: Path) -> Iterator[Finding]:
    """Look at all that a run of the params file needs, cheap things first."""
    packages = environment.packages()
    yield packages
    yield environment.git()
    yield environment.dvc()
    yield environment.work_cache()
    if packages.mark == "wrong":
        yield Finding("look", "the rest", "not looked at, for it takes those packages")
        return
    yield environment.device()
    yield environment.threads()
    silent = _silence()
    params, finding = _params(path)
    yield finding
    if params is None:
        yield Finding("look", "the rest", "not looked at, for it hangs on the params")
        return
    yield _hub(params, silent)
    with _offline(silent != ""):
        yield _extras(params)
        models = _models(params)
        yield models
        yield from _tables_and_room(params, models_are_there=models.mark == "ok")


def _silence() -> str:
    """Why the hub does not answer; empty if it does."""
    from pipeline.addresses.hub import silence

    said = [f"no answer in {PATIENCE:.0f} s"]
    asking = Thread(target=lambda: said.append(silence("model", "bert-base-uncased")), daemon=True)
    asking.start()
    asking.join(PATIENCE)
    return said[-1]


@contextmanager
def _offline(wanted: bool) -> Iterator[None]:
    """Inside, if wanted, the hub is not asked again: what its cache here has is all there is."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or wanted
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _params(path: Path) -> tuple[Params | None, Finding]:
    from pipeline.params.file import load

    try:
        return load(path), Finding("ok", "params", f"{path}")
    except InputError as error:
        return None, Finding("wrong", "params", str(error), "mend it, or l2a init TABLE")


def _hub(params: Params, silent: str) -> Finding:
    """Models and tables that would be asked for, and whether the hub answers."""
    student = [params.student.model] if params.student.model else []
    tables = [table.path for table in (params.data.target, params.data.source, params.generator.text) if table]
    addresses = dict.fromkeys([params.teacher.model, params.generator.model, *student, *tables])
    named = [address for address in addresses if _is_hub_id(address)]
    if not silent:
        return Finding("ok", "hub", f"answers; params name {', '.join(named) or 'nothing of it'}")
    if named:
        advice = "without it they have to be in its cache here, or name folders or package: addresses"
        return Finding("look", "hub", f"out of reach ({silent}); params name {', '.join(named)}", advice)
    return Finding("ok", "hub", f"out of reach ({silent}); params name nothing of it")


def _is_hub_id(address: str) -> bool:
    local = address.startswith(("package:", ".", "/", "~")) or Path(address).exists() or address.count("/") > 1
    return not local and not any(mark in address for mark in "*?[") and not Path(address).suffix


def _extras(params: Params) -> Finding:
    """Packages and files that only some params ask for."""
    if params.engine == "ray" and find_spec("ray") is None:
        return Finding("wrong", "extras", "engine: ray is not installed", "pip install -e '.[ray]', or engine: local")
    if params.augment.method in ("eda", "rules"):
        from pipeline.augment.methods.wordnet import load_wordnet

        try:
            load_wordnet()
        except InputError as error:
            return Finding("wrong", "extras", str(error))
    adapter = params.generator.adapter
    if adapter and not Path(adapter).is_file():
        return Finding(
            "wrong", "extras", f"generator.adapter: no such file: {adapter}", "null, or a file that is there"
        )
    return Finding("ok", "extras", "all that params ask for")


def _models(params: Params) -> Finding:
    """Whether the models can be had and fit each other; weights are not read."""
    from pipeline.models.compatibility import check_length
    from pipeline.models.loading import load_config, load_encoder_config, load_tokenizer
    from pipeline.models.student import check_student

    try:
        check_student(params)
        config = load_encoder_config(params.teacher.model, "teacher.model")
        check_length(params.max_length, load_tokenizer(params.teacher.model, "teacher.model"), config, "the teacher")
        load_config(params.generator.model, "generator.model")
    except InputError as error:
        return Finding("wrong", "models", str(error), "see teacher, generator and student in the params file")
    said = f"teacher {params.teacher.model}, generator {params.generator.model}, student {params.student.init}"
    return Finding("ok", "models", said)


def _tables_and_room(params: Params, *, models_are_there: bool) -> Iterator[Finding]:
    """What `prepare` gives, tried in a folder that is gone; memory and disk that it and what follows take."""
    from pipeline.data.prepare import prepare
    from pipeline.data.texts import read_texts

    free = f"{shown_bytes(shutil.disk_usage(Path.cwd()).free)} free; how much is needed cannot be told without"
    with TemporaryDirectory() as name:
        folder = Path(name) / "prepared"
        try:
            made = prepare(params, out=folder, metrics=Path(name) / "data.json")
        except InputError as error:
            yield Finding("wrong", "tables", str(error), "see data in the params file")
            yield Finding("look", "disk", f"{free} the tables")
            return
        yield Finding("ok", "tables", made.removesuffix(f", in {folder}"))
        if not models_are_there:
            yield Finding("look", "disk", f"{free} the models")
            return
        from pipeline.setup.disk import estimate

        source, train = (read_texts(folder / f"{split}.parquet") for split in ("source", "train"))
        needed = estimate(params, {"source": source, "target": train})
    yield _memory(params, needed["models/teacher"])
    yield from room(needed)


def _memory(params: Params, weights: int) -> Finding:
    """Whether the teacher can be trained, which takes most; activations as a layer of BERT keeps them."""
    from pipeline.models.loading import load_encoder_config

    config = load_encoder_config(params.teacher.model, "teacher.model")
    numbers = ACTIVATIONS * config.hidden_size + 2 * config.num_attention_heads * params.max_length
    tokens = params.teacher.batch_size * params.max_length
    wanted = LIBRARIES + TRAINED * weights + 4 * tokens * config.num_hidden_layers * numbers
    free, limit = free_memory()
    said = f"{shown_bytes(free)} free{limit and f' ({limit})'}; training the teacher takes about {shown_bytes(wanted)}"
    if wanted > free:
        return Finding("look", "memory", said, "a smaller teacher.batch_size, max_length or teacher.model")
    return Finding("ok", "memory", said)


def room(needed: dict[str, int]) -> Iterator[Finding]:
    """Free disk space against `disk.estimate`, once for each disk that holds the project or the work cache."""
    places = {"disk of the project": (Path.cwd(), sum(size for name, size in needed.items() if name != "work cache"))}
    cache = standing(workcache.root())
    if cache.stat().st_dev == Path.cwd().stat().st_dev:
        places = {"disk": (Path.cwd(), sum(needed.values()))}
    else:
        places["disk of the work cache"] = (cache, needed["work cache"])
    largest = ", ".join(
        f"{name} {shown_bytes(size)}" for name, size in sorted(needed.items(), key=lambda each: -each[1])[:3]
    )
    for what, (place, size) in places.items():
        free = shutil.disk_usage(place).free
        said = f"{shown_bytes(free)} free; a run from the start takes about {shown_bytes(size)} ({largest})"
        advice = "make room, or cache.attention: false with objectives.attention: 0, fewer augment.samples"
        if size > free:
            yield Finding("wrong", what, said, advice)
        else:
            yield Finding("look" if 2 * size > free else "ok", what, said, advice if 2 * size > free else "")
