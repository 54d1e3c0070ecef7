#!/usr/bin/env bash
#
# AutoTokenizer of transformers 5 cuts texts otherwise than the tokenizer.json that it opens: a family's class makes rules anew.
#
# Seen with: transformers 5.23.0 and, for comparison, 4.57.6, with the versions of tokenizers that they take.
#
# A folder has a cased WordPiece tokenizer.json that splits at white space alone, the config.json of a BERT, and a
# tokenizer_config.json that names BertTokenizerFast, or no class. "Paris half-bad" becomes
#
#                                        as it is           with do_lower_case: false in tokenizer_config.json
#   tokenizers, the file alone           Paris half-bad
#   transformers 4.57.6                  paris half-bad     Paris half-bad
#   transformers 5.23.0                  paris half - bad   Paris half - bad
#
# With tokenizer_class: PreTrainedTokenizerFast both cut as the file alone.
# Version 4 keeps the file's pre-tokeniser and sets its normaliser to lower-case, by default; version 5 takes vocabulary and
# special tokens from the file, and normaliser and pre-tokeniser are what BertTokenizer makes of its arguments. Nothing is logged.
#
# Why it matters: a model trained or served with the file (tokenizers, other languages) reads other tokens in transformers: a
# cased model loses its capitals, one of chemical names or code the signs inside its words; fine-tuning goes on, only worse. When
# a model is opened, compare tokenize with Tokenizer.from_file on a few texts with capitals, accents and hyphens.
#
# Needs bash, Python 3.11 or newer and a package index. Exits with 1 if the behaviour is not seen any more.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for version in 5.23.0 4.57.6; do
  python3 -m venv "$version"
  "$version/bin/pip" install --quiet --quiet --disable-pip-version-check "transformers==$version"
done
export HF_HOME="$folder/hub" HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error

cat > make.py <<'PY'
import json
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "Paris", "paris", "half-bad", "half", "-", "bad"]
tokenizer = Tokenizer(models.WordPiece({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
tokenizer.decoder = decoders.WordPiece()
tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
special = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "mask_token": "[MASK]"}
named = {"BertTokenizerFast": {"tokenizer_class": "BertTokenizerFast"}, "no class": {}}
named["cased BertTokenizerFast"] = named["BertTokenizerFast"] | {"do_lower_case": False}
named["PreTrainedTokenizerFast"] = {"tokenizer_class": "PreTrainedTokenizerFast"}
for name, settings in named.items():
    folder = Path(name)
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(special | settings))
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "vocab_size": len(words)}))
PY
cat > look.py <<'PY'
import sys

import tokenizers
import transformers

print(f"transformers {transformers.__version__}, tokenizers {tokenizers.__version__}")
text = "Paris half-bad"
cut = "half - bad" if transformers.__version__.startswith("5") else "half-bad"
expected = {
    "BertTokenizerFast": f"paris {cut}",
    "no class": f"paris {cut}",
    "cased BertTokenizerFast": f"Paris {cut}",
    "PreTrainedTokenizerFast": text,
}
wrong = False
for name, tokens in expected.items():
    file = " ".join(tokenizers.Tokenizer.from_file(f"{name}/tokenizer.json").encode(text, add_special_tokens=False).tokens)
    observed = " ".join(transformers.AutoTokenizer.from_pretrained(name).tokenize(text))
    print(f"{name}: the file alone {file}; expected {tokens}; observed {observed}")
    wrong |= observed != tokens or file != text
sys.exit(wrong)
PY
5.23.0/bin/python make.py
wrong=0
for version in 4.57.6 5.23.0; do
  "$version/bin/python" look.py 2> errors.txt || wrong=1
  grep -v 'PyTorch' errors.txt >&2 || true
done
if [ "$wrong" = 1 ]; then
  echo 'not as described any more: see the lines above' >&2
  exit 1
fi
