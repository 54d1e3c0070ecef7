"""Tiny random models that every test may open: session-scoped `save_pretrained` folders, never to be changed."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import fork_server
from helpers.hub import Hub
from helpers.prepared import complete
from helpers.tiny_project import Repo, lay_out
from tokenizers import Tokenizer, decoders, pre_tokenizers, processors, trainers
from tokenizers.models import BPE
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
    BertTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from pipeline.augment.augment import augment
from pipeline.data.texts import Texts, write_texts
from pipeline.distill.cache_teacher import cache_teacher
from pipeline.models.loading import quiet
from pipeline.params.schema import Params
from pipeline.params.types import Domain

# Workers beside each other, and the stages they start, would take each other's cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(1)
# Most tests compare numbers to more digits than bfloat16 has, in which some processors would compute.
os.environ.setdefault("L2A_PRECISION", "float32")

SUBJECTS = ["film", "movie", "plot", "story", "cast", "actor", "scene", "ending", "joke"]
ADVERBS = ["very", "so", "too", "never", "always"]
PRAISE = ["good", "great", "fine", "warm", "funny", "clever", "lovely"]
BLAME = ["bad", "poor", "dull", "cold", "slow", "awful", "boring"]
COMMON = ["a", "the", "of", "and", "but", "is", "was", "this", "that", "it", "not", "time", ",", ".", "!", "?"]
WORDS = [*COMMON, *SUBJECTS, *ADVERBS, *PRAISE, *BLAME]
"""What the tiny tokenizer knows as whole words; letters alone and `##` pieces make the others."""


LONGEST = ["test_docs.py", "test_pipeline.py", "test_full_disk.py"]
"""Files whose tests take longest. They begin, and the others fill what time the other workers have left."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture(scope="session", autouse=True)
def user_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Put the work cache where tests may write; nobody's own is touched."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("user_cache")
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture
def work_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty work cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "l2a"


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """A WordPiece tokenizer of about 100 tokens, lower-casing."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *letters[1:], *(f"##{piece}" for piece in letters)]
    pieces += ["##ly", "##ing", "##ed", "##er"]
    return BertTokenizer(vocab={piece: index for index, piece in enumerate(pieces)}, model_max_length=64)


@pytest.fixture(scope="session")
def byte_level() -> PreTrainedTokenizerFast:
    """A byte-level tokenizer as RoBERTa has it, cased: `Ġ` begins a word, bytes stand for what it does not know."""
    tokens = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    texts = [f"The {word} {word} It was café 😀" for word in [*WORDS, "The", "It"]]
    backend = Tokenizer(BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.train_from_iterator(
        texts * 2,
        trainers.BpeTrainer(
            vocab_size=500,
            special_tokens=tokens,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    backend.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    names = dict(zip(("cls_token", "pad_token", "sep_token", "unk_token", "mask_token"), tokens, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=64, **names)


@pytest.fixture(scope="session")
def saved(tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Save a random BERT with its tokenizer and return the folder: `saved(BertModel, layers=2)`."""

    def save(kind: type[PreTrainedModel], **sizes: Any) -> Path:
        torch.manual_seed(0)
        folder = tmp_path_factory.mktemp("model")
        with quiet():
            kind(tiny_config(tokenizer, **sizes)).save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        return folder

    return save


def tiny_config(tokenizer: PreTrainedTokenizerFast, **changes: Any) -> BertConfig:
    """Three layers, width 32, four heads, at most 64 tokens; weights large enough to learn from few texts."""
    sizes: dict[str, Any] = {
        "num_hidden_layers": 3,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_attention_heads": 4,
        "max_position_embeddings": 64,
        "initializer_range": 0.1,
    }
    names = {"id2label": {0: "negative", 1: "positive"}, "label2id": {"negative": 0, "positive": 1}}
    return BertConfig(vocab_size=len(tokenizer), **{**sizes, **names, **changes})


@pytest.fixture(scope="session")
def tiny_classifier(saved: Callable[..., Path]) -> Path:
    """A random classifier of `negative` and `positive`."""
    return saved(BertForSequenceClassification)


@pytest.fixture(scope="session")
def tiny_encoder(saved: Callable[..., Path]) -> Path:
    """A random encoder without a head."""
    return saved(BertModel)


@pytest.fixture(scope="session")
def tiny_masked_lm(saved: Callable[..., Path]) -> Path:
    """A random masked language model."""
    return saved(BertForMaskedLM)


@pytest.fixture
def hub() -> Iterator[Hub]:
    """The hub, with nothing on it yet, and with an empty cache."""
    served = Hub()
    served.empty_cache()
    served.forget()
    served.start()
    yield served
    served.stop()
    served.forget()


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with `python`, `dvc` and `l2a` that run in forks of one process with the libraries imported."""
    with fork_server.start(tmp_path_factory.mktemp("fork_server")) as folder:
        yield folder


@pytest.fixture(scope="session")
def project(
    programs: Path, reviews: Callable[..., Texts], tiny_encoder: Path, tiny_masked_lm: Path
) -> Callable[..., Repo]:
    """Lay a copy of this project out, tiny, and not yet run: `project(folder, distill={"epochs": 3})`."""
    return partial(lay_out, programs=programs, reviews=reviews, encoder=tiny_encoder, masked_lm=tiny_masked_lm)


@pytest.fixture(scope="session")
def reviews() -> Callable[..., Texts]:
    """Make up reviews with three words of praise or blame each, half of them positive: `reviews(rows, seed)`."""

    def make(rows: int, seed: int = 0) -> Texts:
        draw = np.random.default_rng(seed)
        labels = np.arange(rows) % 2
        texts = []
        for label in labels:
            one, two, three = draw.choice(PRAISE if label else BLAME, 3)
            texts.append(f"the {draw.choice(SUBJECTS)} is {one} , {two} and {draw.choice(ADVERBS)} {three} .")
        return Texts([f"t{row}" for row in range(rows)], texts, None, labels, ["negative", "positive"])

    return make


@pytest.fixture(scope="session")
def prepared(reviews: Callable[..., Texts], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `prepare` leaves: 48 source, 16 train, 20 validation and 30 test texts."""
    folder = tmp_path_factory.mktemp("prepared")
    write_texts(folder / "source.parquet", reviews(48, seed=1), "source")
    for seed, (name, rows) in enumerate({"train": 16, "validation": 20, "test": 30}.items(), start=2):
        write_texts(folder / f"{name}.parquet", reviews(rows, seed), "target")
    complete(folder)
    return folder


@pytest.fixture(scope="session")
def make_params(tiny_encoder: Path) -> Callable[..., Params]:
    """Params over the tiny encoder; sections given by name are added: `make_params(student={"layers": 2})`."""

    def make(**sections: Any) -> Params:
        given: dict[str, Any] = {
            "data": {"target": {"path": "target.csv", "rows": 8}},
            "max_length": 16,
            "teacher": {"model": str(tiny_encoder)},
            "student": {"layers": 2},
            "distill": {"least_steps": 0},
        }
        for name, section in sections.items():
            given[name] = {**given[name], **section} if isinstance(given.get(name), dict) else section
        return Params.model_validate(given)

    return make


@pytest.fixture(scope="session")
def uneven(reviews: Callable[..., Texts], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Like `prepared`, with texts of 5 to 10 words and an id for each text that no other file has."""
    folder = tmp_path_factory.mktemp("uneven")
    for seed, (name, rows) in enumerate({"source": 48, "train": 16, "validation": 20, "test": 30}.items(), start=1):
        whole = reviews(rows, seed)
        texts = [" ".join(text.split()[row % 6 :]) for row, text in enumerate(whole.texts)]
        ids = [f"{name}-{row:03d}" for row in range(rows)]
        domain: Domain = "source" if name == "source" else "target"
        write_texts(folder / f"{name}.parquet", replace(whole, ids=ids, texts=texts), domain)
    complete(folder)
    return folder


@pytest.fixture(scope="session")
def sampled_params(tiny_encoder: Path) -> Params:
    """What `augmented` and `cached` were made with: one neighbour of each source text, three of each target text."""
    return Params.model_validate(
        {
            "data": {"target": {"path": "target.csv", "rows": 8}},
            "max_length": 16,
            "teacher": {"model": str(tiny_encoder)},
            "student": {"layers": 2},
            "augment": {"samples": {"source": 1, "target": 3}, "shards": 2},
        }
    )


@pytest.fixture(scope="session")
def augmented(sampled_params: Params, uneven: Path, tiny_masked_lm: Path, tmp_path_factory: Any) -> Path:
    """What `augment` leaves for `uneven`: 48 neighbours of source texts and 48 of target texts."""
    out: Path = tmp_path_factory.mktemp("augmented") / "augmented"
    augment(sampled_params, prepared=uneven, generator=tiny_masked_lm, out=out)
    return out


@pytest.fixture(scope="session")
def cached(sampled_params: Params, uneven: Path, augmented: Path, tiny_classifier: Path, tmp_path_factory: Any) -> Path:
    """What `cache_teacher` leaves for `augmented` and the target's originals."""
    out: Path = tmp_path_factory.mktemp("cached") / "teacher"
    cache_teacher(sampled_params, prepared=uneven, augmented=augmented, teacher=tiny_classifier, out=out)
    return out
