#!/usr/bin/env bash
#
# DVC sees no change where a parameter becomes true that was 1, so `dvc repro` runs nothing, whatever the command makes of it.
#
# Seen with: dvc 3.67.1.
#
# A stage that depends on a parameter writes what it reads. The parameter is 1, then true, 1.0, and 1 in quotes:
#
#   keep: 1     the stage runs, and writes int 1
#   keep: true  `dvc status` says that data and pipelines are up to date, `dvc repro` runs nothing: the file still has int 1
#   keep: 1.0   the same
#   keep: "1"   the stage runs, and writes str 1
#
# Values are compared as Python compares them, where 1 == 1.0 == True and 0 == 0.0 == False, inside lists and mappings, too.
#
# Why it matters: `where: {reviewed: 1}` and `where: {reviewed: true}` may select other rows of a table, `dropout: 1` and
# `dropout: true` mean other things to a program. After such a change, outputs that belong to the old value pass for current.
# `dvc repro --force` runs the stage; write such values in quotes, or let a stage depend on params.yaml as a file, write the
# values out as text, and be a dependency of the others.
#
# Needs bash, Python 3.11 or newer, git and a package index. Exits with 1 if the behaviour is not seen any more.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --quiet --disable-pip-version-check 'dvc==3.67.1'

# No settings of yours: nothing outside the folder is read or written, and DVC does not call home (CI: no look for updates).
export PATH="$folder/venv/bin:$PATH" HOME="$folder/home" CI=true DVC_NO_ANALYTICS=1 DVC_SITE_CACHE_DIR="$folder/cache"
export DVC_GLOBAL_CONFIG_DIR="$folder/config" DVC_SYSTEM_CONFIG_DIR="$folder/config" GIT_CONFIG_GLOBAL=/dev/null
mkdir home repository
cd repository
git init --quiet
dvc init --quiet

cat > read.py <<'PY'
from ruamel.yaml import YAML

keep = YAML(typ="safe").load(open("params.yaml"))["keep"]
open("read.txt", "w").write(f"{type(keep).__name__} {keep}")
PY
cat > dvc.yaml <<'YAML'
stages:
  read:
    cmd: python read.py
    params: [keep]
    deps: [read.py]
    outs: [read.txt]
YAML

dvc --version
wrong=0
look() {
  echo "keep: $1" > params.yaml
  status=$(dvc status | tail -1 | tr -s '\t' ' ')
  dvc repro --quiet
  echo "keep: $1: expected $2; observed $(cat read.txt) ($status)"
  [ "$(cat read.txt)" = "$2" ] || wrong=1
}
look 1 'int 1'
look true 'int 1'
look 1.0 'int 1'
look '"1"' 'str 1'
look 0 'int 0'
look false 'int 0'
if [ "$wrong" = 1 ]; then
  echo 'not as described any more: see the lines above' >&2
  exit 1
fi
