#!/usr/bin/env bash
#
# `dvc checkout --quiet` fails without a word if one output is not in the cache, and the file that was there is gone.
#
# Seen with: dvc 3.67.1.
#
# `--quiet` is described as "Do not display any information, print only errors". An output that dvc.lock names and the cache
# lacks, as in a clone before `dvc pull`, makes `dvc checkout` fail: it exits with 255 and says which outputs are missing.
# With `--quiet` it exits with 255 as well, and both standard output and standard error stay empty. With `--force` the output
# that was in the workspace has been removed by then, and nothing says so.
#
# Why it matters: a script that restores the last commit by `git checkout dvc.lock && dvc checkout --quiet --force` ends in a
# clone without a message, and what a run had just written there is deleted. Leave `--quiet` away and send standard output
# elsewhere: the error stays on standard error.
#
# Needs bash, git, Python 3.11 or newer and a package index. Exits with 1 if the behaviour is not seen any more.
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
git config user.email a@example.org
git config user.name A
dvc init --quiet
cat > dvc.yaml <<'EOF'
stages:
  build:
    cmd: echo built > built.txt
    outs: [built.txt]
EOF
dvc repro --quiet
git add --all
git commit --quiet --message built
cd ..
git clone --quiet repository clone
cd clone
pip list --format=freeze | grep -iE '^dvc=='
echo

run() {
  echo mine > built.txt
  code=0
  "$@" > ../output 2> ../errors || code=$?
  echo "$*: exit code $code, $(wc -c < ../output) bytes on standard output, $(wc -c < ../errors) on standard error," \
    "built.txt is $(if [ -e built.txt ]; then echo there; else echo gone; fi)"
}

run dvc checkout --force
if [ "$code" = 0 ] || [ ! -s ../errors ]; then
  echo 'not as described: without --quiet there is no error' >&2
  exit 1
fi
cat ../errors
run dvc checkout --quiet --force
if [ "$code" = 0 ] || [ -s ../output ] || [ -s ../errors ]; then
  echo 'not seen any more: dvc checkout --quiet says what is wrong, or nothing is' >&2
  exit 1
fi
if [ -e built.txt ]; then
  echo 'not as described: the output in the workspace is kept' >&2
  exit 1
fi
