"""
A stand-in for Elasticsearch's bulk endpoint, over real HTTP, that checks the documented protocol
strictly: what it does not like is in ``complaints``, and answered with 400.
"""

from __future__ import annotations

import json
import re
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_STREAM = re.compile(r"logs-[a-z0-9_.]+-[a-z0-9_.]+")
#: What is done to a request before it is looked at: an answer, or None to go on.
Script = Callable[["Elastic", dict[str, str], list[dict[str, Any]]], "Answer | None"]


class Answer:
    """Status, body and headers; ``items`` overrides the status of single documents."""

    def __init__(self, status: int = 200, body: Any = None, **headers: str) -> None:
        self.status = status
        self.body = {} if body is None else body
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Elastic:
    """
    Stored documents by ``_id`` in ``stored``; *authorization* is the header that it wants.

    ``next`` are scripts for the next requests, one each; ``items`` maps an ``_id`` to errors that
    its next attempts get, one each.
    """

    def __init__(self, authorization: str = "", tls: ssl.SSLContext | None = None) -> None:
        self.authorization = authorization
        self.stored: dict[str, dict[str, Any]] = {}
        self.streams: Counter[str] = Counter()
        self.complaints: list[str] = []
        self.answers: list[int] = []
        self.conflicts = 0
        self.sizes: list[int] = []
        self.most = 100 << 20
        self.next: list[Script] = []
        self.items: dict[str, list[tuple[int, str]]] = {}
        self._lock = threading.Lock()
        self._tls = tls
        self._server: ThreadingHTTPServer | None = None
        self.port = 0

    def __enter__(self) -> Elastic:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen; at the same port as before, if there was one."""
        elastic = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                answer = elastic.answer(self.path, headers, body)
                data = json.dumps(answer.body).encode()
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, *_: object) -> None:
                """Clients go away; certificates are refused."""

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        if self._tls is not None:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Answer nobody any more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def texts(self) -> list[str]:
        """The messages that are stored."""
        return [document["message"] for document in self.stored.values()]

    # -- the protocol --------------------------------------------------------------------------

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        with self._lock:
            answer = self._answer(path, headers, body)
            self.answers.append(answer.status)
            return answer

    def _answer(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if self.authorization and headers.get("authorization") != self.authorization:
            error = {"type": "security_exception", "reason": "unable to authenticate"}
            return Answer(401, {"error": error, "status": 401})
        self.sizes.append(len(body))
        if len(body) > self.most:
            return Answer(413, {})
        try:
            actions = self._parsed(path, headers, body)
        except AssertionError as problem:
            self.complaints.append(str(problem))
            error = {"type": "illegal_argument_exception", "reason": str(problem)}
            return Answer(400, {"error": error, "status": 400})
        if self.next and (told := self.next.pop(0)(self, headers, actions)) is not None:
            return told
        items = [self._store(action) for action in actions]
        errors = any(item["create"]["status"] >= 300 for item in items)
        return Answer(200, {"took": 3, "errors": errors, "items": items})

    def _parsed(self, path: str, headers: dict[str, str], body: bytes) -> list[dict[str, Any]]:
        assert path == "/_bulk", f"path {path}"
        kind = headers.get("content-type", "")
        assert kind in ("application/x-ndjson", "application/json"), f"Content-Type {kind}"
        assert body.endswith(b"\n"), "The bulk request must be terminated by a newline [\\n]"
        lines = body[:-1].split(b"\n")
        assert len(lines) % 2 == 0, "an action without its document"
        return [
            self._pair(action, document)
            for action, document in zip(lines[::2], lines[1::2], strict=True)
        ]

    @staticmethod
    def _pair(action: bytes, document: bytes) -> dict[str, Any]:
        verb, place = next(iter(json.loads(action).items()))
        assert verb == "create", "only write ops with an op_type of create are allowed"
        assert set(place) == {"_index", "_id"}, f"action {place}"
        assert _STREAM.fullmatch(place["_index"]), f"data stream {place['_index']}"
        assert 0 < len(place["_id"].encode()) <= 512, "_id"
        source = json.loads(document)
        assert isinstance(source, dict), "a document is an object"
        return {**place, "document": source}

    def _store(self, action: dict[str, Any]) -> dict[str, Any]:
        name, stream, document = action["_id"], action["_index"], action["document"]
        if self.items.get(name):
            status, kind = self.items[name].pop(0)
            return self._item(action, status, kind)
        origin = document.get("data_stream", {})
        if "@timestamp" not in document:
            return self._item(action, 400, "document_parsing_exception")
        if stream != f"{origin.get('type')}-{origin.get('dataset')}-{origin.get('namespace')}":
            return self._item(action, 400, "document_parsing_exception")
        if name in self.stored:
            self.conflicts += 1
            return self._item(action, 409, "version_conflict_engine_exception")
        self.stored[name] = document
        self.streams[stream] += 1
        return self._item(action, 201, "")

    @staticmethod
    def _item(action: dict[str, Any], status: int, kind: str) -> dict[str, Any]:
        result = {"_index": action["_index"], "_id": action["_id"], "status": status}
        if kind:
            result["error"] = {"type": kind, "reason": f"because of {kind}"}
        return {"create": result}
