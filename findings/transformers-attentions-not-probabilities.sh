#!/usr/bin/env bash
#
# What `output_attentions=True` returns is not attention probabilities in every encoder family of transformers.
#
# Seen with: transformers 5.23.0, torch 2.13.0.
#
# The documentation of `attentions` says: attention weights after the softmax, (texts, heads, tokens, tokens). With models made
# from small configs of these families it is something else:
#   squeezebert  the scores before the softmax: rows do not sum to one, and padding has about -3e38
#   convbert     half as many heads as config.num_attention_heads (head_ratio: 2), because the others became convolutions
#   yoso         no (texts, heads, tokens, tokens) at all, but vectors: (texts, tokens, width)
#   mra          None
#   longformer   (texts, heads, tokens, window + 1 + global tokens): what a token pays to those near it and to the first, not to all
# BERT, MPNet and DeBERTa-v2 return what is documented, but in evaluation mode only: in training, with
# attention_probs_dropout_prob: 0.1, a tenth of the entries are 0 and the others are divided by 0.9, so that rows sum to
# anything around one, and two passes over one text return two attentions.
#
# Why it matters: attention transfer in distillation (TinyBERT, MiniLM, L2A) compares these tensors. With SqueezeBERT the
# comparison runs, and compares something else; with a student in training it compares noise of the size of what is to be
# learnt. Check that the rows of real tokens sum to one before you use them, and take those from before dropout.
#
# Needs bash, Python 3.11 or newer and a package index. Exits with 1 if the behaviour is not seen any more.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --quiet --disable-pip-version-check 'torch==2.13.0'
venv/bin/pip install --quiet --quiet --disable-pip-version-check 'transformers==5.23.0'
export HF_HOME="$folder/hub" HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=critical

cat > look.py <<'EOF'
import sys
import warnings

import torch
import transformers
from transformers import AutoConfig, AutoModelForSequenceClassification

warnings.simplefilter("ignore")
print(f"transformers {transformers.__version__}, torch {torch.__version__.partition('+')[0]}")
sizes = dict(vocab_size=60, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64)
more = {"squeezebert": {"embedding_size": 32}, "convbert": {"embedding_size": 32}, "longformer": {"attention_window": 8}}
tokens = torch.tensor([[5, 6, 7, 8, 9, 10, 11, 12], [9, 10, 11, 0, 0, 0, 0, 0]])
mask = (tokens > 0).long()


def seen(family, training=False):
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, pad_token_id=0, **sizes, **more.get(family, {}))
    model = AutoModelForSequenceClassification.from_config(config, attn_implementation="eager").train(training)
    with torch.no_grad():
        attentions = model(input_ids=tokens, attention_mask=mask, output_attentions=True).attentions
    if attentions is None:
        return "None"
    last = attentions[-1]
    if last.dim() != 4 or last.shape[-1] != tokens.shape[1]:
        return f"shape {tuple(last.shape)}"
    sums = last[1, :, :3].sum(-1)
    one = torch.allclose(sums, torch.ones_like(sums), atol=1e-4)
    return f"{last.shape[1]} heads, rows {'sum to one' if one else 'do not sum to one'}"


expected = {
    "bert": "4 heads, rows sum to one",
    "mpnet": "4 heads, rows sum to one",
    "deberta-v2": "4 heads, rows sum to one",
    "squeezebert": "4 heads, rows do not sum to one",
    "convbert": "2 heads, rows sum to one",
    "yoso": "shape (2, 8, 32)",
    "mra": "None",
    "longformer": "shape (2, 4, 8, 10)",
}
wrong = False
for family, what in expected.items():
    observed = seen(family)
    print(f"{family}: expected {what}; observed {observed}")
    wrong |= observed != what
for family in ("bert", "roberta", "mpnet", "deberta-v2"):
    what, observed = "4 heads, rows do not sum to one", seen(family, training=True)
    print(f"{family} in training: expected {what}; observed {observed}")
    wrong |= observed != what
sys.exit(wrong)
EOF
if ! venv/bin/python look.py; then
  echo 'not as described any more: see the lines above' >&2
  exit 1
fi
