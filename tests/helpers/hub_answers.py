"""What the hub of the tests answers, as the real one does: its API, files, and the storage of large files."""

import hashlib
import json
import re
import socket
import struct
import sys
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import sleep
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

_API = re.compile(
    r"/api/(?P<kind>model|dataset)s/(?P<id>[\w.-]+(/[\w.-]+)?)"
    r"(/(?P<what>revision|tree|refs|auth-check)(/(?P<revision>[^/]+)(/(?P<path>.+))?)?)?"
)
_FILE = re.compile(r"/(?P<kind>datasets/)?(?P<id>[\w.-]+(/[\w.-]+)?)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
_LARGE = (".safetensors", ".bin", ".parquet")
"""Suffixes of files in large file storage, which another host serves."""


class Server(ThreadingHTTPServer):
    """Answers for `hub` on a port of 127.0.0.1."""

    daemon_threads = True

    def __init__(self, port: int, hub: Any) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.hub = hub

    def handle_error(self, *where: Any) -> None:
        """Print nothing about a client that has gone."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(*where)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        self._respond()

    def do_HEAD(self) -> None:
        self._respond()

    def _respond(self) -> None:
        self.hub = self.server.hub
        line = f"{self.command} {unquote(self.path)} {self.headers.get('Range', '')}".rstrip()
        self.hub.requests.append(line)
        if token := self.headers.get("Authorization"):
            self.hub.tokens.append((self.headers["Host"] + self.path, token))
        self.fault = next((fault for fault in self.hub.faults if re.search(fault.request, line) and fault.times), None)
        if self.fault is not None:
            self.fault.times -= 1
            sleep(self.fault.seconds)
            if self.fault.status is not None:
                return self._send(self.fault.status, b"", self.fault.headers)
        path = urlsplit(self.path).path
        if path.startswith("/cdn/"):
            return self._send_bytes(self._stored(path.removeprefix("/cdn/")), {})
        for pattern, answer in ((_API, self._answer_api), (_FILE, self._answer_file)):
            match = pattern.fullmatch(path)
            if match is not None:
                new = self.hub.renamed.get(match["id"])
                if new is not None:
                    start, end = match.span("id")
                    return self._send(307, b"", {"Location": f"{self.path[:start]}{new}{self.path[end:]}"})
                return answer(match)
        return self._send(404, b"")

    def _repository(self, match: re.Match[str], *, content: bool) -> tuple[Any, str] | None:
        """The repository and commit that a request is for; None if an error was sent."""
        kind = "dataset" if (match["kind"] or "").startswith("dataset") else "model"
        repository = self.hub.repositories.get((kind, match["id"]))
        if repository is None:
            if self.headers.get("Authorization"):
                self._send_error(404, "RepoNotFound", "Repository not found")
            else:
                self._send_error(401, None, "Invalid username or password.")
            return None
        granted = self.headers.get("Authorization") == f"Bearer {self.hub.TOKEN}"
        if content and repository.refusal is not None and not granted:
            self._send_error(repository.refusal, "GatedRepo", "Access to it is restricted.")
            return None
        revision = unquote(match["revision"] or "main")
        commit = repository.refs.get(revision, revision)
        if commit not in repository.commits:
            self._send_error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return None
        return repository, commit

    def _answer_api(self, match: re.Match[str]) -> None:
        found = self._repository(match, content=match["what"] == "auth-check")
        if found is None:
            return None
        repository, commit = found
        files = repository.commits[commit]
        match match["what"]:
            case "tree":
                folder = unquote(match["path"] or "")
                recursive = parse_qs(urlsplit(self.path).query).get("recursive", ["false"])[0].lower() == "true"
                return self._send_json([_entry(path, files) for path in _listing(files, folder, recursive)])
            case "refs":
                branches = [{"name": ref, "ref": f"refs/heads/{ref}", "targetCommit": commit}
                            for ref, commit in repository.refs.items()]  # fmt: skip
                return self._send_json({"branches": branches, "tags": [], "converts": []})
            case "auth-check":
                return self._send_json({})
        gated = "manual" if repository.refusal is not None else False
        info = {"id": match["id"], "sha": commit, "gated": gated, "private": False, "tags": [], "likes": 0}
        return self._send_json(info | {"downloads": 0, "siblings": [{"rfilename": path} for path in files]})

    def _answer_file(self, match: re.Match[str]) -> None:
        found = self._repository(match, content=True)
        if found is None:
            return None
        repository, commit = found
        path = unquote(match["path"])
        data = repository.commits[commit].get(path)
        if data is None:
            return self._send_error(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": commit})
        if path.endswith(_LARGE):
            sha = hashlib.sha256(data).hexdigest()
            linked = {"X-Linked-Size": str(len(data)), "X-Linked-Etag": f'"{sha}"', "X-Repo-Commit": commit}
            # Another origin, as that of the hub's storage is.
            return self._send(302, b"", linked | {"Location": f"http://localhost:{self.server.server_port}/cdn/{sha}"})
        return self._send_bytes(data, {"ETag": f'"{_git_hash(data)}"', "X-Repo-Commit": commit})

    def _stored(self, sha: str) -> bytes:
        return next(
            data
            for repository in self.hub.repositories.values()
            for files in repository.commits.values()
            for data in files.values()
            if hashlib.sha256(data).hexdigest() == sha
        )

    def _send_bytes(self, data: bytes, headers: Mapping[str, str]) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is None:
            return self._send(200, data, {"Accept-Ranges": "bytes", **headers})
        first, last = int(asked[1]), int(asked[2] or len(data) - 1)
        part = {"Content-Range": f"bytes {first}-{last}/{len(data)}", **headers}
        return self._send(206, data[first : last + 1], part)

    def _send_json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send_error(self, status: int, code: str | None, text: str, headers: Mapping[str, str] | None = None) -> None:
        codes = {"X-Error-Code": code} if code else {}
        self._send(status, json.dumps({"error": text}).encode(), {"X-Error-Message": text, **codes, **(headers or {})})

    def _send(self, status: int, data: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), "Connection": "close", **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
        if self.command == "HEAD":
            return
        cut = None if self.fault is None else self.fault.cut_after
        self.wfile.write(data[:cut])
        if cut is not None:
            self.wfile.flush()
            if self.fault.reset:
                sleep(0.1)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()


def _listing(files: Mapping[str, bytes], folder: str, recursive: bool) -> list[str]:
    """Files and folders in a folder, at any depth or directly."""
    prefix = f"{folder}/" if folder else ""
    inside = [path.removeprefix(prefix) for path in files if path.startswith(prefix)]
    folders = {"/".join(path.split("/")[:depth]) for path in inside for depth in range(1, path.count("/") + 1)}
    return sorted(prefix + path for path in {*inside, *folders} if recursive or "/" not in path)


def _entry(path: str, files: Mapping[str, bytes]) -> dict[str, object]:
    if path not in files:
        return {"type": "directory", "path": path, "oid": hashlib.sha1(path.encode()).hexdigest(), "size": 0}
    data = files[path]
    entry: dict[str, object] = {"type": "file", "path": path, "oid": _git_hash(data), "size": len(data)}
    if path.endswith(_LARGE):
        entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
    return entry


def _git_hash(data: bytes) -> str:
    return hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()
