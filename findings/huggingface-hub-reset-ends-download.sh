#!/usr/bin/env bash
#
# A download that a connection reset interrupts is not taken up again, unlike one whose connection is closed.
#
# Seen with: huggingface_hub 2.4.0, httpx2 2.16.2.
#
# The docstring of `http_get`, which `hf_hub_download` and `snapshot_download` use, says that a connection error "while streaming
# data from the server […] is most likely a transient error (network outage?)", and that it tries "to resume the download a few
# times before giving up". It does if the server closes the connection early (RemoteProtocolError): the next request has a Range.
# If the connection is reset (ReadError, errno 104), as NAT gateways and overloaded servers do, the error is raised at once, and
# what had arrived is deleted: the next call begins at the first byte.
#
# Why it matters: large weights over an unsteady line. A caller that wants them has to call again on its own; without the
# backend for Xet each call starts anew.
#
# Needs bash, Python 3.11 or newer and a package index; the hub is a server on 127.0.0.1. Exits with 1 if the behaviour is not
# seen any more.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --quiet --disable-pip-version-check 'huggingface_hub==2.4.0' 'httpx2==2.16.2'

cat > download.py <<'EOF'
"""Download a file of 24 MB, of which the first answer holds 12 MB; in the first round the connection is then closed."""

import os
import re
import socket
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DATA = os.urandom(24_000_000)
HALF = 12_000_000
RESETS = sys.argv[1] == "reset"
requests = []


class Handler(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.begin(200, 0)

    def do_GET(self):
        asked = self.headers.get("Range")
        requests.append(asked or "the whole file")
        first = int(re.match(r"bytes=(\d+)", asked)[1]) if asked else 0
        self.begin(206 if asked else 200, first)
        if len(requests) > 1:
            self.wfile.write(DATA[first:])
            return
        self.wfile.write(DATA[:HALF])
        self.close_connection = True
        if RESETS:
            time.sleep(0.5)  # until it is read
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def begin(self, status, first):
        self.send_response(status)
        self.send_header("Content-Length", str(len(DATA) - first))
        self.send_header("ETag", '"of-this-file"')
        self.send_header("X-Repo-Commit", "1" * 40)
        self.end_headers()

    def log_message(self, *_):
        pass

    def finish(self):
        try:
            super().finish()
        except (OSError, ValueError):
            pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ |= {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
from huggingface_hub import hf_hub_download

try:
    path = hf_hub_download("some/model", "model.safetensors")
    with open(path, "rb") as file:
        print("arrived" if file.read() == DATA else "damaged")
except Exception as error:
    print(type(error).__name__, error)
print("requests:", ", ".join(requests))
print("partial files:", sum("incomplete" in name for *_, names in os.walk(os.environ["HF_HOME"]) for name in names))
EOF
# No settings of yours: the cache is in the folder.
export HF_HUB_DISABLE_TELEMETRY=1 NO_PROXY=127.0.0.1
unset HF_TOKEN HF_HUB_OFFLINE HF_HUB_CACHE

venv/bin/pip list --format=freeze | grep -iE '^(huggingface[-_]hub|httpx2)=='
for end in close reset; do
  echo
  HF_HOME="$folder/$end" venv/bin/python download.py "$end" > "output-$end" 2> log || { cat log >&2; exit 1; }
  echo "$end:"
  cat "output-$end"
done
if ! grep -q '^arrived' output-close; then
  echo 'not as described: a closed connection is not resumed' >&2
  exit 1
fi
if ! grep -q '^ReadError .*104' output-reset || ! grep -q '^requests: the whole file$' output-reset; then
  echo 'not seen any more' >&2
  exit 1
fi
