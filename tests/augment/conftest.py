"""A WordNet of a few words, in the format of its files, and a SentencePiece tokenizer of several scripts."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from pipeline.augment.methods.wordnet import WordNet, load_wordnet

SENSES = {
    "noun": [["film", "movie", "motion_picture"], ["plot", "story"], ["joke", "gag"], ["cast"], ["good", "goodness"]],
    "verb": [["film", "shoot"]],
    "adj": [["good", "fine"], ["good"], ["bad", "poor"], ["warm"], ["slow", "dull", "boring"]],
    "adv": [["slowly", "tardily"]],
}
LETTER = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}


def write_wordnet(folder: Path, senses: dict[str, Sequence[Sequence[str]]]) -> None:
    """Write data.*, index.* and *.exc for groups of synonyms by part of speech; earlier senses are commoner."""
    folder.mkdir()
    for kind, groups in senses.items():
        data, places = "", {}
        for group in groups:
            offset = len(data)
            words = " ".join(f"{word} 0" for word in group)
            frames = " 01 + 01 00" if kind == "verb" else ""
            data += f"{offset:08d} 00 {LETTER[kind]} {len(group):02x} {words} 000{frames} | a gloss  \n"
            for word in group:
                places.setdefault(word, []).append(f"{offset:08d}")
        lines = [
            f"{word} {LETTER[kind]} {len(at)} 0 {len(at)} 0 {' '.join(at)}  \n" for word, at in sorted(places.items())
        ]
        (folder / f"data.{kind}").write_text(data)
        (folder / f"index.{kind}").write_text("".join(sorted(lines)))
        (folder / f"{kind}.exc").write_text("")
    (folder / "cntlist.rev").write_text("cast%1:00:00:: 1 2\n")


@pytest.fixture(scope="session", name="write_wordnet")
def _write_wordnet() -> Callable[..., None]:
    return write_wordnet


@pytest.fixture(scope="session")
def wordnet(tmp_path_factory: pytest.TempPathFactory) -> WordNet:
    folder = tmp_path_factory.mktemp("wordnet") / "files"
    write_wordnet(folder, SENSES)
    return load_wordnet(folder)


SENTENCES = [
    "这部电影非常好看。", "我很喜欢这个故事！", "演员的表演很差，情节也很慢。", "这个故事不好看，我不喜欢。",
    "この映画はとても面白い。", "私は映画が好きです。", "とても好きな映画だった。",
    "ภาพยนตร์เรื่องนี้ดีมาก", "เขาชอบภาพยนตร์เรื่องนี้มาก",
    "The parcel, which was late, has arrived!", "this movie was good but slow.", "it is a good parcel and a good movie",
    "He was late, and the movie was slow: it was a good movie.",
]  # fmt: skip
"""What the tokenizer of pieces is trained on."""


@pytest.fixture(scope="session")
def sentence_piece() -> PreTrainedTokenizerFast:
    """A Unigram tokenizer of sentence pieces as XLM-R has it, cased: `▁` begins a word, which ends at a blank."""
    names = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    backend = Tokenizer(models.Unigram())
    backend.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=260, special_tokens=names, unk_token="<unk>", show_progress=False)
    backend.train_from_iterator(SENTENCES * 4, trainer)
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    keys = ("cls_token", "pad_token", "sep_token", "unk_token", "mask_token")
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=64, **dict(zip(keys, names, strict=True)))
