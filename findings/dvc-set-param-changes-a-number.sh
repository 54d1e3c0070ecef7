#!/usr/bin/env bash
#
# `dvc exp run -S` writes numbers with underscores in another way, and then some readers get another type.
#
# Seen with: dvc 3.67.1, ruamel.yaml 0.19.1, PyYAML 6.0.3 and, for comparison, py-yaml12 0.2.0.
#
# `-S alpha=0.8` writes the whole params.yaml again with ruamel.yaml. Numbers it was not asked to change come out as
#
#   -100_000  ->  -_100_000   the sign is counted as a digit, and one more underscore separates it
#   1_000.5   ->  01000.5     the underscore is dropped and its place filled with a zero
#
# ruamel.yaml, and so DVC, reads the same values before and after. Others do not. PyYAML (YAML 1.1) reads -100_000 as a number
# and -_100_000 as a string. py-yaml12, which keeps to the YAML 1.2 core schema (no underscores in numbers), reads 1_000.5 as a
# string and 01000.5 as a number.
#
# Why it matters: a tool that reads params.yaml with anything but ruamel.yaml can get a string where it had a number, or the
# other way round, after an experiment that changed something else. Write numbers in params.yaml without underscores, and
# check the type of what you read.
#
# Needs bash, git, Python 3.11 or newer and a package index. Exits with 1 if the behaviour is not seen any more.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --quiet --disable-pip-version-check \
  'dvc==3.67.1' 'hydra-core==1.3.8' 'omegaconf==2.3.1' 'ruamel.yaml==0.19.1' 'pyyaml==6.0.3' 'py-yaml12==0.2.0'

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
floor: -100_000
scale: 1_000.5
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
import yaml12
from ruamel.yaml import YAML

print(*(f"{name} {version(name)}" for name in ("dvc", "ruamel.yaml", "PyYAML", "py-yaml12")), sep=", ")
before, after = (Path(name).read_text() for name in sys.argv[1:])
print(f"\nparams.yaml before:\n{before}\nparams.yaml after `dvc exp run -S alpha=0.8`:\n{after}")

readers = {"ruamel.yaml": YAML(typ="safe").load, "PyYAML": yaml.safe_load, "py-yaml12": yaml12.parse_yaml}
changed = set()
for name, read in readers.items():
    for key in ("floor", "scale"):
        expected, observed = read(before)[key], read(after)[key]
        same = type(expected) is type(observed) and expected == observed
        print(f"{name:11} {key}: expected {expected!r:10} observed {observed!r:12}", "same" if same else "DIFFERENT")
        if type(expected) is not type(observed):
            changed.add((name, key))
missing = {("PyYAML", "floor"), ("py-yaml12", "scale")} - changed
if missing:
    sys.exit(f"not seen any more: the type stays the same for {sorted(missing)}")
EOF
