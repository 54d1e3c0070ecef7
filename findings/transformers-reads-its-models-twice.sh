#!/usr/bin/env bash
#
# A program that opens a model with transformers reads the source of all models, some 1,700 files, not once but twice.
#
# Seen with: transformers 5.23.0.
#
# `import transformers` reads every file under transformers/models to find out what its lazy module offers, and the first model,
# config or tokenizer class imports `transformers.models`, which reads them again. The function that reads a folder has an
# `lru_cache`, which would spare the second time, but of 128 entries, the default: there are over 500 folders, so that each is
# forgotten before it is asked for.
#
# Why it matters: the second time takes 0.6 s on a slow core, a tenth of what a program with a model takes to start, and more
# where the files come from a network. A pipeline of small processes pays it in each. What helps: fewer, longer processes.
#
# Needs bash, Python 3.11 or newer and a package index. Exits with 1 if the behaviour is not seen any more.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --quiet --disable-pip-version-check 'transformers==5.23.0'
export HF_HOME="$folder/hub" HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=critical

cat > count.py <<'EOF'
import sys
from collections import Counter

read = Counter()


def count(event, arguments):
    path = str(arguments[0]) if event == "open" else ""
    if "transformers/models/" in path and path.endswith(".py"):
        read[path] += 1


sys.addaudithook(count)
import transformers

once = Counter(read)
print(f"transformers {transformers.__version__}: import transformers reads {once.total():,} files of its models")
transformers.BertConfig
print(f"the first class reads {(read - once).total():,}, of which {sum(file in once for file in read - once):,} again")
other = next(file for file in read if file.endswith("gpt2/modeling_gpt2.py"))
print(f"{other.partition('transformers/')[2]}, which is not imported: {read[other]} times")
sys.exit(not (once[other] == 1 and read[other] == 2 and "transformers.models.gpt2.modeling_gpt2" not in sys.modules))
EOF
venv/bin/python count.py
