#!/usr/bin/env bash
#
# Without the hub, `load_dataset(name, revision=…)` returns another revision than the one asked for.
#
# Seen with: datasets 5.2.0, huggingface_hub 2.4.0, pyarrow 26.0.1.
#
# The documentation has `revision` as the "version of the dataset to load": a branch, a tag or a commit. If the hub cannot be
# reached, the dataset comes from the cache, but from its newest folder: the revision is not looked at, though the folders are
# named by commits, and both revisions are there. Nothing but a line in the log says that something is "the latest cached version".
#
# Why it matters: a pinned dataset makes a result reproducible. A run on a machine without a network, or while the hub has an
# outage, then trains on other texts without an error. What helps: a `cache_dir` of its own for each revision.
# Issue 7928 of datasets describes the same for a revision that does not exist.
#
# Needs bash, Python 3.11 or newer and a package index; the hub is a server on 127.0.0.1. Exits with 1 if the behaviour is not
# seen any more.
set -euo pipefail

folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2> /dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --quiet --disable-pip-version-check 'datasets==5.2.0' 'huggingface_hub==2.4.0' 'pyarrow==26.0.1'

cat > server.py <<'EOF'
"""One dataset with two revisions, v1 and v2, of one CSV file."""

import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

COMMITS = {"v1": "1" * 40, "v2": "2" * 40}
FILES = {"1" * 40: b"text\nold\n", "2" * 40: b"text\nnew\n"}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        path = urlsplit(self.path).path
        revision = re.search(r"/(?:revision|tree|resolve)/([^/]+)", path)
        commit = COMMITS.get(revision[1], revision[1]) if revision else "2" * 40
        data = FILES[commit] if commit in FILES else b""
        if "/resolve/" in path and path.endswith("/train.csv"):
            self.send(200, data, {"ETag": f'"{commit[:8]}"', "X-Repo-Commit": commit})
        elif "/resolve/" in path:
            self.send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
        elif path.endswith(f"/tree/{commit}"):
            self.send(200, [{"type": "file", "path": "train.csv", "size": len(data), "oid": commit}])
        elif "/tree/" in path:
            self.send(404, b"", {"X-Error-Code": "EntryNotFound"})
        else:
            self.send(200, {"id": "some/texts", "sha": commit, "siblings": [{"rfilename": "train.csv"}]})

    do_HEAD = do_GET

    def send(self, status, data, headers={}):
        data = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
Path("port").write_text(str(server.server_port))
server.serve_forever()
EOF
cat > load.py <<'EOF'
import sys

import datasets

datasets.disable_progress_bars()
print(datasets.load_dataset("some/texts", revision=sys.argv[1], split="train")["text"][0])
EOF

venv/bin/python server.py &
server=$!
until [ -s port ]; do sleep 0.1; done
# No settings of yours: the cache is in the folder, and the hub is the server.
export HF_HOME="$folder/cache" HF_ENDPOINT="http://127.0.0.1:$(cat port)" HF_HUB_DISABLE_TELEMETRY=1 NO_PROXY=127.0.0.1
unset HF_TOKEN HF_HUB_OFFLINE HF_DATASETS_OFFLINE HF_DATASETS_CACHE HF_HUB_CACHE

venv/bin/pip list --format=freeze | grep -iE '^(datasets|huggingface[-_]hub|pyarrow)=='
echo
for revision in v1 v2; do
  text=$(venv/bin/python load.py "$revision" 2> log)
  echo "with the hub, revision $revision: $text"
  case "$revision $text" in
    'v1 old' | 'v2 new') ;;
    *) echo 'not as described' >&2; cat log >&2; exit 1 ;;
  esac
done
kill "$server"
wait "$server" 2> /dev/null || true
server=
ls -d cache/datasets/some___texts/*/*/*[0-9]
text=$(venv/bin/python load.py v1 2> log) || { cat log >&2; text='an error'; }
echo "without it, revision v1: expected old, observed $text"
tail -2 log
if [ "$text" != new ]; then
  echo 'not seen any more' >&2
  exit 1
fi
