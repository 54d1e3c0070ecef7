#!/usr/bin/env bash
#
# `dvc exp run -S` takes the quotes off strings it was not asked to change.
#
# Seen with: dvc 3.67.1, ruamel.yaml 0.19.1, PyYAML 6.0.3.
#
# `-S alpha=0.8` writes the whole params.yaml again, not only `alpha`. DVC writes YAML 1.2, where `no`, `yes` and `12:30` are
# strings without quotes, so it drops the quotes. That is right in YAML 1.2. PyYAML reads YAML 1.1: there the same words are
# False, True and 750 (12 times 60 plus 30).
#
# Why it matters: a tool that reads params.yaml with PyYAML gets other values after an experiment that changed one number.
# Nothing fails and nothing is logged. Read params.yaml as YAML 1.2, for instance with ruamel.yaml.
# DVC's issues 5971 and 11018 are about this rewriting.
#
# Needs bash, git, Python 3.11 or newer and a package index. Exits with 1 if the behaviour is not seen any more.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --quiet --disable-pip-version-check \
  'dvc==3.67.1' 'hydra-core==1.3.8' 'omegaconf==2.3.1' 'ruamel.yaml==0.19.1' 'pyyaml==6.0.3'

# No settings of yours: nothing outside the folder is read or written, and DVC does not call home (CI: no look for updates).
export PATH="$folder/venv/bin:$PATH" HOME="$folder/home" CI=true DVC_NO_ANALYTICS=1 DVC_SITE_CACHE_DIR="$folder/cache"
export DVC_GLOBAL_CONFIG_DIR="$folder/config" DVC_SYSTEM_CONFIG_DIR="$folder/config" GIT_CONFIG_GLOBAL=/dev/null
mkdir home repository
cd repository
git init --quiet
git config user.name finding
git config user.email finding@example.com
dvc init --quiet

cat > params.yaml <<'EOF'
alpha: 0.5
labels: {0: 'no', 1: 'yes'}
times: ['12:30']
EOF
cat > dvc.yaml <<'EOF'
stages:
  train:
    cmd: echo trained
    params: [alpha]
EOF
git add .
git commit --quiet --message start
cp params.yaml ../before.yaml
dvc exp run --quiet -S alpha=0.8 > /dev/null

python - ../before.yaml params.yaml <<'EOF'
import sys
from importlib.metadata import version
from pathlib import Path

import yaml
from ruamel.yaml import YAML

print(*(f"{name} {version(name)}" for name in ("dvc", "ruamel.yaml", "PyYAML")), sep=", ")
before, after = (Path(name).read_text() for name in sys.argv[1:])
print(f"\nparams.yaml before:\n{before}\nparams.yaml after `dvc exp run -S alpha=0.8`:\n{after}")


def untouched(params):
    return {key: params[key] for key in ("labels", "times")}


expected = untouched(yaml.safe_load(before))
old, new = untouched(yaml.safe_load(after)), untouched(YAML(typ="safe").load(after))
print("expected, both readers before:", expected)
print("observed, YAML 1.1 (PyYAML):  ", old)
print("observed, YAML 1.2 (ruamel):  ", new)
if new != expected:
    sys.exit("not as described: the YAML 1.2 reader gets other values as well")
if old != {"labels": {0: False, 1: True}, "times": [750]}:
    sys.exit("not seen any more: PyYAML does not read False, True and 750 after `dvc exp run -S`")
EOF
