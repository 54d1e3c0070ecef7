#!/usr/bin/env bash
#
# `dvc freeze` refuses one stage of a foreach, though other commands take its name.
#
# Seen with: dvc 3.67.1, ruamel.yaml 0.19.1, PyYAML 6.0.3.
#
# A stage with `foreach` in dvc.yaml becomes several: build@1, build@2. `dvc repro`, `dvc status` and `dvc commit` take the name
# build@1. `dvc freeze build@1` fails with "cannot dump a parametrized stage". So does a stage of a `matrix`, and any stage
# with `${...}` in it, for instance a value of params.yaml.
#
# Why it matters: where the rounds of a pipeline are a list in params.yaml, `dvc freeze` cannot keep one finished round as it
# is. `frozen: true` below `do:` freezes all of them. When a round has to be accepted as it is after a change that leaves its
# results alone, `dvc commit --force build@1` does that.
# DVC's issues 6070 and 10380 ask for it.
#
# Needs bash, git, Python 3.11 or newer and a package index. Exits with 1 if the behaviour is not seen any more.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --quiet --disable-pip-version-check 'dvc==3.67.1' 'ruamel.yaml==0.19.1' 'pyyaml==6.0.3'

# No settings of yours: nothing outside the folder is read or written, and DVC does not call home (CI: no look for updates).
export PATH="$folder/venv/bin:$PATH" HOME="$folder/home" CI=true DVC_NO_ANALYTICS=1 DVC_SITE_CACHE_DIR="$folder/cache"
export DVC_GLOBAL_CONFIG_DIR="$folder/config" DVC_SYSTEM_CONFIG_DIR="$folder/config" GIT_CONFIG_GLOBAL=/dev/null
mkdir home repository
cd repository
git init --quiet
dvc init --quiet

cat > params.yaml <<'EOF'
rounds: [1, 2]
EOF
cat > dvc.yaml <<'EOF'
stages:
  build:
    foreach: ${rounds}
    do:
      cmd: echo ${item} > ${item}.txt
      outs: ["${item}.txt"]
  plain:
    cmd: echo plain > plain.txt
    outs: [plain.txt]
EOF

pip list --format=freeze | grep -iE '^(dvc|ruamel\.yaml|pyyaml)=='
echo
for command in 'repro build@1' 'status build@1' 'commit build@1' 'freeze plain'; do
  read -r -a words <<< "$command"
  if dvc "${words[@]}" > ../output 2>&1; then
    echo "dvc $command: expected 0, observed 0"
  else
    echo "not as described: dvc $command fails" >&2
    cat ../output >&2
    exit 1
  fi
done
if dvc freeze build@1 > ../output 2>&1; then
  echo 'not seen any more: dvc freeze takes a stage of a foreach' >&2
  exit 1
else
  echo "dvc freeze build@1: expected 0, observed $?"
fi
cat ../output
if ! grep -q 'cannot dump a parametrized stage' ../output; then
  echo 'not as described: dvc freeze fails for another reason' >&2
  exit 1
fi
