"""A stand-in of W&B's server on this machine: what its client (0.31) calls for runs, artifacts, workspaces.

It keeps what comes and answers as the client needs it; what it has no answer for stands in ``unknown``.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ENTITY = "team"
_DATE = "2026-01-01T00:00:00Z"


@dataclass
class Server:
    """What has arrived.

    Attributes:
        url: of the server.
        runs: what is known of each run, by its id.
        history: rows of each run.
        exits: exit code of each run that has ended.
        artifacts: what was announced, by id, in order; all of them are whole.
        used: artifacts that runs use, as announced.
        views: workspaces.
        files: content by path of the URL.
        unknown: operations and paths without an answer.
    """

    url: str = ""
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    history: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    exits: dict[str, int] = field(default_factory=dict)
    artifacts: dict[str, dict[str, Any]] = field(default_factory=dict)
    used: list[dict[str, Any]] = field(default_factory=list)
    views: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)

    def answer(self, query: str, given: dict[str, Any]) -> dict[str, Any]:
        """The data of a GraphQL operation."""
        found = re.search(r"(?:query|mutation)\s+(\w+)", query)
        name = found[1] if found else query
        known: dict[str, Callable[[dict[str, Any]], Any]] = {
            "Viewer": lambda _: {"viewer": self._viewer()},
            "GetDefaultEntity": lambda _: {"viewer": self._viewer()},
            "ServerFeaturesQuery": lambda _: {"serverInfo": {"features": []}},
            "OrganizationCoreWeaveOrganizationID": lambda _: {"entity": {"organization": None}},
            "UpsertBucket": self._run,
            "CreateRunFiles": self._run_files,
            "ArtifactType": lambda _: {"project": {"artifact": None}},
            "CreateArtifact": self._artifact,
            "CreateArtifactManifest": self._manifest,
            "CreateArtifactFiles": self._artifact_files,
            "CommitArtifact": lambda given: {
                "commitArtifact": {"artifact": self._brief(given["artifactID"])}
            },
            "ArtifactMembershipByName": self._membership,
            "FetchArtifactManifest": self._fetch_manifest,
            "UseArtifact": self._use,
            "UpsertView2": self._view,
        }
        if name not in known:
            self.unknown.append(name)
            return {}
        data: dict[str, Any] = known[name](given)
        return data

    def stream(self, run: str, sent: dict[str, Any]) -> None:
        """Rows of a run's history, and its end."""
        for line in sent.get("files", {}).get("wandb-history.jsonl", {}).get("content", []):
            self.history.setdefault(run, []).append(json.loads(line))
        if sent.get("complete"):
            self.exits[run] = sent["exitcode"]

    def file(self, path: str) -> bytes | None:
        """A stored file, by the address it was sent to or by that of an artifact's file."""
        *_, artifact, _, name = ["", "", *path.split("/")]
        return self.files.get(path, self.files.get(f"/storage/{artifact}/{name}"))

    def _viewer(self) -> dict[str, Any]:
        who = {"id": "VXNlcjox", "entity": ENTITY, "username": "me", "email": "", "flags": "{}"}
        return {**who, "teams": {"edges": []}}

    def _run(self, given: dict[str, Any]) -> Any:
        run = self.runs.setdefault(given["name"], {})
        run.update({key: value for key, value in given.items() if value is not None})
        project = {
            "id": "UHJvamVjdDox",
            "name": given["project"],
            "entity": {"id": "RW50Og==", "name": ENTITY},
        }
        empty = dict.fromkeys(("displayName", "description", "config", "sweepName"))
        bucket = {**empty, "id": "UnVuOjE=", "name": given["name"], "project": project, "historyLineCount": 0}
        return {"upsertBucket": {"bucket": bucket, "inserted": True}}

    def _run_files(self, given: dict[str, Any]) -> Any:
        files = [{"name": name, "uploadUrl": self._place(given["run"], name)} for name in given["files"]]
        return {"createRunFiles": {"runID": "UnVuOjE=", "uploadHeaders": [], "files": files}}

    def _place(self, owner: str, name: str) -> str:
        return f"{self.url}/storage/{owner}/{name}"

    def _artifact(self, given: dict[str, Any]) -> Any:
        identity = f"a{len(self.artifacts)}"
        self.artifacts[identity] = given["input"]
        sequence = {"latestArtifact": None}
        about = {"id": identity, "state": "PENDING", "artifactSequence": sequence}
        return {"createArtifact": {"artifact": about}}

    def _brief(self, identity: str) -> dict[str, Any]:
        return {"id": identity, "digest": self.artifacts[identity]["digest"]}

    def _upload(self, identity: str, name: str) -> dict[str, Any]:
        target = {"uploadUrl": self._place(identity, name), "uploadHeaders": []}
        return {"id": f"{identity}/{name}", "name": name, "displayName": name, **target}

    def _manifest(self, given: dict[str, Any]) -> Any:
        file = self._upload(given["artifactID"], given["name"])
        return {"createArtifactManifest": {"artifactManifest": {"id": "m", "file": file}}}

    def _artifact_files(self, given: dict[str, Any]) -> Any:
        nodes = []
        for each in given["input"]["artifactFiles"]:
            more = {"uploadMultipartUrls": None, "artifact": {"id": each["artifactID"]}}
            nodes.append(
                {"node": {**self._upload(each["artifactID"], each["name"]), **more, "storagePath": None}}
            )
        return {"createArtifactFiles": {"files": {"edges": nodes}}}

    def _membership(self, given: dict[str, Any]) -> Any:
        name, _, alias = given["name"].partition(":")
        versions = [key for key, a in self.artifacts.items() if a["artifactCollectionName"] == name]
        for version, identity in reversed(list(enumerate(versions))):
            if alias in (f"v{version}", *(each["alias"] for each in self.artifacts[identity]["aliases"])):
                found = self._member(given["project"], name, version, identity)
                return {"project": {"artifactCollectionMembership": found}}
        return {"project": {"artifactCollectionMembership": None}}

    def _member(self, project: str, name: str, version: int, identity: str) -> dict[str, Any]:
        asked = self.artifacts[identity]
        about = {"id": "UHJvamVjdDox", "internalId": "1", "name": project, "entity": {"name": ENTITY}}
        where = {"__typename": "ArtifactSequence", "name": name, "project": about}
        aliases = [
            {
                "__typename": "ArtifactAlias",
                "id": each["alias"],
                "alias": each["alias"],
                "artifactCollection": where,
            }
            for each in asked["aliases"]
        ]
        artifact = {
            "__typename": "Artifact",
            "id": identity,
            "artifactSequence": where,
            "versionIndex": version,
            "artifactType": {"name": asked["artifactTypeName"]},
            "description": None,
            "metadata": asked["metadata"],
            "ttlDurationSeconds": -1,
            "ttlIsInherited": True,
            "tags": [],
            "historyStep": None,
            "state": "COMMITTED",
            "size": 1,
            "digest": asked["digest"],
            "digestAlgorithm": "MANIFEST_MD5",
            "commitHash": "c",
            "fileCount": 1,
            "createdAt": _DATE,
            "updatedAt": None,
            "aliases": aliases,
        }
        member = {"__typename": "ArtifactCollectionMembership", "id": f"x{identity}", "versionIndex": version}
        place = {"createdAt": _DATE, "aliases": aliases, "artifactCollection": where}
        return {**member, **place, "artifact": artifact}

    def _fetch_manifest(self, given: dict[str, Any]) -> Any:
        file = {"directUrl": self._place(given["id"], "wandb_manifest.json")}
        return {"artifact": {"currentManifest": {"file": file}}}

    def _use(self, given: dict[str, Any]) -> Any:
        self.used.append(given)
        return {"useArtifact": {"artifact": {"id": "a0"}}}

    def _view(self, given: dict[str, Any]) -> Any:
        self.views.append(given)
        return {"upsertView": {"view": {"id": "VmlldzoxMjM=", "name": given["name"]}, "inserted": True}}


@contextmanager
def serving() -> Iterator[Server]:
    """The server while the block runs; runs must have ended before, or their client waits for it."""
    state = Server()
    http = _Quiet(("127.0.0.1", 0), _handler(state))
    state.url = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """The client drops connections when it ends."""


def _handler(state: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:  # noqa: N802 - the name that is called
            body = self._body()
            if self.path == "/graphql":
                asked = json.loads(body)
                self._send({"data": state.answer(asked["query"], asked.get("variables") or {})})
                return
            if self.path.endswith("/file_stream"):
                state.stream(self.path.split("/")[-2], json.loads(body))
            elif not self.path.startswith("/sdk/otel/"):  # the client's own measurements
                state.unknown.append(self.path)
            self._send({})

        def do_PUT(self) -> None:  # noqa: N802
            state.files[self.path] = self._body()
            self._send({})

        def do_GET(self) -> None:  # noqa: N802
            content = state.file(self.path)
            if content is None:
                state.unknown.append(self.path)
                self.send_error(404)
            else:
                self._send(content)

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def _send(self, content: Any) -> None:
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    return Handler
