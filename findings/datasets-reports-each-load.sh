#!/usr/bin/env bash
#
# `load_dataset` tells a storage service outside the hub what is loaded, whatever HF_ENDPOINT is, and for local files, too.
#
# Seen with: datasets 5.2.0, huggingface_hub 2.4.0, pyarrow 26.0.1.
#
# Each load asks https://s3.amazonaws.com for the headers of an address that ends in the id of the dataset or the name of the
# format; the answer is not used. Here a local file is read, so that it is `csv`; a dataset of the hub, or of a mirror of one's
# own, is told by its id. Neither the documentation of `load_dataset` nor that of HF_ENDPOINT tells of it. The request may take
# three seconds, which each load waits where a network drops what it does not know.
#
# Why it matters: whoever names a mirror expects that nobody else is told what is loaded. What helps: the environment variable
# HF_UPDATE_DOWNLOAD_COUNTS=0 before the import, or offline mode.
#
# Needs bash, Python 3.11 or newer and a package index. Exits with 1 if the behaviour is not seen any more.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --quiet --disable-pip-version-check 'datasets==5.2.0' 'huggingface_hub==2.4.0' 'pyarrow==26.0.1'
export HF_ENDPOINT=http://127.0.0.1:9 HF_HOME="$folder/hub"
unset HF_HUB_OFFLINE HF_UPDATE_DOWNLOAD_COUNTS

cat > load.py <<'EOF'
import sys
from pathlib import Path

looked_up = set()
sys.addaudithook(lambda event, arguments: looked_up.add(arguments[0]) if event == "socket.getaddrinfo" else None)
import datasets

asked = []
session = datasets.load.get_session


class Recorded:
    def head(self, address, **options):
        asked.append(address)
        return session().head(address, **options)


datasets.load.get_session = Recorded
datasets.disable_progress_bars()
Path("texts.csv").write_text("text\na film\n")
rows = datasets.load_dataset("csv", data_files="texts.csv", split="train")
print(f"datasets {datasets.__version__}: read {len(rows)} row of a local file")
print("asked:", *asked)
print("hosts that were looked up:", *sorted(map(str, looked_up)))
sys.exit(not any(address.startswith("https://s3.amazonaws.com/") for address in asked))
EOF
echo "With HF_ENDPOINT=$HF_ENDPOINT:"
venv/bin/python load.py
echo "With HF_UPDATE_DOWNLOAD_COUNTS=0:"
if HF_UPDATE_DOWNLOAD_COUNTS=0 venv/bin/python load.py; then exit 1; fi
