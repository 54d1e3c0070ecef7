"""Tiny tokenizers of the families of encoders: each cuts words, takes spaces and joins pairs as its family does."""

from functools import cache
from string import ascii_lowercase, ascii_uppercase

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

SENTENCES = [
    "The film is a very good one, and the cast is lovely.",
    "this movie was never funny; its plot is slow and dull!",
    "Not the best story of all time, but a warm and clever joke.",
    "An unbelievably boring ending, poor acting, awful scenes.",
]
BERT = ("[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]")
ROBERTA = ("<s>", "</s>", "<pad>", "<unk>", "<mask>")
FAMILIES = ("bert", "bert_cased", "mpnet", "roberta", "modernbert", "xlm_roberta", "albert")
SEPARATORS = {family: 2 if family in ("mpnet", "roberta", "xlm_roberta") else 1 for family in FAMILIES}
"""Special tokens between the texts of a pair; all have one before them and one at the end."""
LETTERS = [*ascii_lowercase, *ascii_uppercase, *",.;!?", "é", "你", "好"]


@cache
def tiny_tokenizer(family: str) -> PreTrainedTokenizerFast:
    """The tokenizer of one of `FAMILIES`."""
    names = ROBERTA if SEPARATORS[family] == 2 else BERT
    cls, sep, _, unknown, _ = names
    if family in ("bert", "bert_cased", "mpnet"):
        pieces = [*LETTERS, *(f"##{letter}" for letter in LETTERS), "film", "the", "The", "un", "##ie", "##ing", "good"]
        tokenizer = Tokenizer(
            models.WordPiece({piece: i for i, piece in enumerate([*names, *pieces])}, unk_token=unknown)
        )
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=family != "bert_cased")
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    elif family in ("roberta", "modernbert"):
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        alphabet, special = pre_tokenizers.ByteLevel.alphabet(), list(names)
        trainer = trainers.BpeTrainer(
            vocab_size=310, initial_alphabet=alphabet, special_tokens=special, show_progress=False
        )
        tokenizer.train_from_iterator(SENTENCES, trainer)
    else:
        pieces = [("▁", -5.0), *((letter, -6.0) for letter in LETTERS)]
        pieces += [(piece, -3.0) for piece in ("▁the", "▁fi", "lm", "▁a", "ing", "▁un", "believ", "▁jo", "oo")]
        tokenizer = Tokenizer(models.Unigram([*((name, 0.0) for name in names), *pieces], names.index(unknown)))
        lower = [normalizers.Lowercase()] if family == "albert" else []
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.NFKC(), *lower, normalizers.Replace(Regex(" {2,}"), " ")]
        )
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    ids = [(name, tokenizer.token_to_id(name)) for name in (cls, sep)]
    if family == "roberta":
        # It alone leaves the space before a word out of the word's span.
        tokenizer.post_processor = processors.RobertaProcessing(ids[1], ids[0], add_prefix_space=False)
    else:
        between = " ".join([sep] * SEPARATORS[family])
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{cls} $A {sep}", pair=f"{cls} $A {between} $B:1 {sep}:1", special_tokens=ids
        )
    types = ["token_type_ids"] if family in ("bert", "bert_cased", "albert") else []
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=64,
        model_input_names=["input_ids", *types, "attention_mask"],
        **dict(zip(("cls_token", "sep_token", "pad_token", "unk_token", "mask_token"), names, strict=True)),
    )
