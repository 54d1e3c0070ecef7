#!/usr/bin/env bash
#
# `dvc repro` runs the stages before a stage whose parameter params.yaml lacks, and stops only there; `dvc status` names none.
#
# Seen with: dvc 3.67.1.
#
# The second of two stages depends on the parameter `fit.epochs`, which is not in params.yaml. `dvc status` exits with 0 and
# lists the file as new, as it does for the first stage, whose parameter is there. `dvc repro` runs the first stage, writes it
# into dvc.lock, and then fails before it runs the second: "Parameters 'fit.epochs' are missing from 'params.yaml'."
#
# Why it matters: a program that has a default for what the file leaves out invites deleting a line. If an hour of training
# stands before the stage that names it, the run ends after that hour, or over night. Nothing is lost: with the line back,
# `dvc repro` goes on from there. A first stage that compares params.yaml with the parameters named in dvc.yaml tells at once.
#
# Needs bash, Python 3.11 or newer and a package index. Exits with 1 if the behaviour is not seen any more.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --quiet --disable-pip-version-check 'dvc==3.67.1'

# No settings of yours: nothing outside the folder is read or written, and DVC does not call home (CI: no look for updates).
export PATH="$folder/venv/bin:$PATH" HOME="$folder/home" CI=true DVC_NO_ANALYTICS=1 DVC_SITE_CACHE_DIR="$folder/cache"
export DVC_GLOBAL_CONFIG_DIR="$folder/config" DVC_SYSTEM_CONFIG_DIR="$folder/config"
mkdir home project
cd project
dvc init --no-scm --quiet

cat > params.yaml <<'EOF'
rows: 10
EOF
cat > dvc.yaml <<'EOF'
stages:
  prepare:
    cmd: echo texts > texts.txt
    params: [rows]
    outs: [texts.txt]
  fit:
    cmd: echo model > model.txt
    deps: [texts.txt]
    params: [fit.epochs]
    outs: [model.txt]
EOF

pip list --format=freeze | grep -i '^dvc=='
echo
dvc status > ../status
cat ../status
if grep -q 'fit.epochs' ../status; then
  echo 'not seen any more: dvc status names the parameter' >&2
  exit 1
fi
if dvc repro > ../output 2>&1; then
  echo 'not seen any more: dvc repro runs a stage without its parameter' >&2
  exit 1
fi
cat ../output
if ! grep -q "Parameters 'fit.epochs' are missing from 'params.yaml'" ../output; then
  echo 'not as described: dvc repro fails for another reason' >&2
  exit 1
fi
if [ ! -f texts.txt ]; then
  echo 'not seen any more: no stage runs before the parameter is missed' >&2
  exit 1
fi
echo 'the stage before has run, the one that lacks its parameter has not'
