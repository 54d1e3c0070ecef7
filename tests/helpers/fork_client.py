"""Runs `python WORDS` in a fork of the server that listens there: `fork_client.py SOCKET WORDS`.

Options other than -m and -c are for an interpreter of its own.
"""

import json
import os
import socket
import sys

address, *words = sys.argv[1:]
if not words or (words[0].startswith("-") and words[0] not in ("-", "-m", "-c")):
    os.execv(sys.executable, [sys.executable, *words])
request = json.dumps({"words": words, "folder": os.getcwd(), "environment": dict(os.environ)}).encode()  # noqa: PTH109
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(address)
    socket.send_fds(connection, [len(request).to_bytes(8)], [0, 1, 2])
    connection.sendall(request)
    answer = connection.recv(16)
# Without an answer the fork was killed.
sys.exit(int(answer) if answer else 137)
