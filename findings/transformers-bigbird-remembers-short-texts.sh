#!/usr/bin/env bash
#
# A BigBird answers one text in two ways: a short text changes its attention for good, so that the order of texts counts.
#
# Seen with: transformers 5.23.0, torch 2.13.0.
#
# In evaluation mode, without dropout, one text of 1,024 tokens is given to a BigBird with its default block-sparse attention
# (block_size: 64, num_random_blocks: 3), then a text of 16 tokens, then the first text again. The two outputs for it differ.
# Texts of 704 tokens or fewer cannot have sparse attention; the forward pass then calls set_attention_type("original_full") on
# the model itself, which no later pass undoes. A warning says that the attention type changes, not that it stays changed. A
# second model, with attention_type: original_full in its config, gives what the first gives after the short text.
#
# Why it matters: a score depends on which texts came before, on how they were put into batches, and on where a run was resumed;
# a cache of a teacher's outputs has a mixture of both. Memory changes, too: from the first short batch on, long texts
# are computed with all pairs of tokens. Set attention_type="original_full" when the model is opened, or pad all texts
# to more than 704 tokens.
#
# Needs bash, Python 3.11 or newer and a package index. Exits with 1 if the behaviour is not seen any more.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --quiet --disable-pip-version-check 'torch==2.13.0'
venv/bin/pip install --quiet --quiet --disable-pip-version-check 'transformers==5.23.0'
export HF_HOME="$folder/hub" HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error

cat > look.py <<'EOF_PY'
import sys

import torch
import transformers
from transformers import BigBirdConfig, BigBirdModel

print(f"transformers {transformers.__version__}, torch {torch.__version__.partition('+')[0]}")
sizes = dict(vocab_size=60, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64)


def model(attention):
    config = BigBirdConfig(attention_type=attention, max_position_embeddings=1024, initializer_range=0.2, **sizes)
    torch.manual_seed(0)
    return BigBirdModel(config).eval()


long, short = (torch.arange(tokens).remainder(50).add(5)[None] for tokens in (1024, 16))
sparse, full = model("block_sparse"), model("original_full")
with torch.no_grad():
    first = sparse(input_ids=long).last_hidden_state
    again = sparse(input_ids=long).last_hidden_state
    sparse(input_ids=short)
    after = sparse(input_ids=long).last_hidden_state
    expected = full(input_ids=long).last_hidden_state
same, moved, left = ((one - other).abs().max().item() for one, other in ((first, again), (first, after), (after, expected)))
print(f"the long text twice: expected a difference of 0; observed {same:.2g}")
print(f"the long text before and after a short one: expected above 0.1; observed {moved:.2g}")
print(f"after it, and with full attention from the start: expected below 0.00001; observed {left:.2g}")
sys.exit(not (same == 0 and moved > 0.1 and left < 1e-5))
EOF_PY
if ! venv/bin/python look.py 2> warnings.txt; then
  cat warnings.txt >&2
  echo 'not as described any more: see the lines above' >&2
  exit 1
fi
