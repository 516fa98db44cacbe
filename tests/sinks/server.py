"""A small stand-in for the W&B service on loopback: it keeps what it is sent, as the real one would show it."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import json
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yaml

ENTITY = "somebody"
BROKEN_OFF = -1
"""In place of a status: the connection is broken off without an answer."""
OPERATION = re.compile(r"(?:query|mutation)\s+(\w+)")


@dataclass
class Run:
    """What the service knows of one run."""

    settings: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    exit_code: int | None = None

    @property
    def points(self) -> list[dict[str, Any]]:
        """The history without what W&B adds to each point."""
        return [{key: value for key, value in point.items() if not key.startswith("_")} for point in self.history]


@dataclass
class Artifact:
    """One version of an artifact; the same digest again is the same version."""

    name: str
    type: str
    digest: str
    metadata: dict[str, Any]
    version: int
    files: dict[str, bytes] = field(default_factory=dict)
    committed: bool = False


class Service:
    """The service: runs by project and id, artifacts, and the names of the requests that came.

    A request's name is its GraphQL operation, `file_stream`, `upload` or the first part of its path. `fault` may give
    the HTTP status to answer such a request with, in place of what it asks for, or `BROKEN_OFF`; `delay` the seconds to
    wait before.
    """

    SWEEP = "sweep1"

    def __init__(self) -> None:
        self.runs: dict[tuple[str, str], Run] = {}
        self.artifacts: list[Artifact] = []
        self.views: list[dict[str, Any]] = []
        self.sweep = ""
        self.trials: list[dict[str, Any]] = []
        self.requests: list[str] = []
        self.fault: Callable[[str], int | None] = lambda name: None
        self.delay: Callable[[str], float] = lambda name: 0.0
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Stop answering."""
        self._http.shutdown()
        self._http.server_close()

    def answer(self, path: str, body: bytes) -> tuple[int | None, Any]:
        """The status and the reply, JSON or bytes, to one request; without a status the connection is broken off."""
        kind, *rest = path.strip("/").split("/")
        said = json.loads(body) if kind in ("graphql", "files") else {}
        asked = OPERATION.search(said.get("query", ""))
        name = asked[1] if asked else {"files": "file_stream"}.get(kind, kind)
        time.sleep(self.delay(name))
        with self._lock:
            self.requests.append(name)
            if (status := self.fault(name)) == BROKEN_OFF:
                return None, {}
            if status:
                return status, {"errors": [{"message": f"answer {status}"}]}
            match kind, rest:
                case "graphql", [] if operation := getattr(self, _method(name), None):
                    return 200, {"data": operation(said.get("variables") or {})}
                case "files", [_, project, run, "file_stream"]:
                    return 200, self._stream(self._run(project, run), said)
                case "upload", ["run", project, run, *file]:
                    self._run(project, run).files["/".join(file)] = body
                    return 200, {}
                case "upload", ["artifact", index, *file]:
                    self.artifacts[int(index)].files["/".join(file)] = body
                    return 200, {}
                case "storage", [index, *file]:
                    return 200, self.artifacts[int(index)].files["/".join(file)]
        return 404, {"errors": [{"message": f"no answer to {name}"}]}

    def _run(self, project: str, run: str) -> Run:
        return self.runs.setdefault((project, run), Run())

    def _stream(self, run: Run, said: dict[str, Any]) -> dict[str, Any]:
        files = said.get("files") or {}
        if history := files.get("wandb-history.jsonl"):
            run.history[history["offset"] :] = [json.loads(line) for line in history["content"]]
        if summary := files.get("wandb-summary.json"):
            run.summary = json.loads(summary["content"][-1])
        if said.get("complete"):
            run.exit_code = said["exitcode"]
        return {}

    def _run_resume_status(self, said: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.get((said["project"], said["name"]))
        if run is None:
            return {"model": None}
        bucket = {
            "id": said["name"],
            "name": said["name"],
            "displayName": run.settings["displayName"],
            "tags": run.settings["tags"],
            "notes": run.settings["notes"],
            "config": json.dumps({key: {"value": value} for key, value in run.config.items()}),
            "summaryMetrics": json.dumps(run.summary),
            "historyTail": json.dumps([json.dumps(point) for point in run.history[-1:]]),
            "historyLineCount": len(run.history),
            "eventsTail": "[]",
            "eventsLineCount": 0,
            "logLineCount": 0,
            "wandbConfig": json.dumps({"t": run.config["_wandb"]["t"]}),
        }
        return {"model": {"id": "p", "name": said["project"], "entity": {"id": "e", "name": ENTITY}, "bucket": bucket}}

    def _upsert_bucket(self, said: dict[str, Any]) -> dict[str, Any]:
        new = (said["project"], said["name"]) not in self.runs
        run = self._run(said["project"], said["name"])
        run.settings |= {key: value for key, value in said.items() if value is not None}
        if said["config"]:
            run.config = {key: item["value"] for key, item in json.loads(said["config"]).items()}
        entity = {"id": "e", "name": said["entity"] or ENTITY}
        bucket = {
            "id": said["name"],
            "name": said["name"],
            "displayName": run.settings["displayName"],
            "description": None,
            "config": said["config"],
            "sweepName": None,
            "historyLineCount": len(run.history),
            "project": {"id": "p", "name": said["project"], "entity": entity},
        }
        return {"upsertBucket": {"bucket": bucket, "inserted": new}}

    def _create_run_files(self, said: dict[str, Any]) -> dict[str, Any]:
        folder = f"{self.url}/upload/run/{said['project']}/{said['run']}"
        files = [{"name": file, "uploadUrl": f"{folder}/{file}"} for file in said["files"]]
        return {"createRunFiles": {"runID": said["run"], "uploadHeaders": [], "files": files}}

    def _viewer(self, said: dict[str, Any]) -> dict[str, Any]:
        viewer = {"id": "u", "entity": ENTITY, "username": ENTITY, "email": "", "flags": "{}", "teams": {"edges": []}}
        return {"viewer": viewer}

    def _server_features_query(self, said: dict[str, Any]) -> dict[str, Any]:
        return {"serverInfo": {"features": []}}

    def _artifact_type(self, said: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"artifact": None}}

    def _create_artifact(self, said: dict[str, Any]) -> dict[str, Any]:
        given = said["input"]
        name, digest = given["artifactCollectionName"], given["digest"]
        same = [i for i, a in enumerate(self.artifacts) if (a.name, a.digest) == (name, digest)]
        if not same:
            same = [len(self.artifacts)]
            metadata = json.loads(given.get("metadata") or "{}")
            version = sum(artifact.name == name for artifact in self.artifacts)
            self.artifacts.append(Artifact(name, given["artifactTypeName"], digest, metadata, version))
        state = "COMMITTED" if self.artifacts[same[0]].committed else "PENDING"
        artifact = {"id": str(same[0]), "state": state, "artifactSequence": {"latestArtifact": None}}
        return {"createArtifact": {"artifact": artifact}}

    def _create_artifact_manifest(self, said: dict[str, Any]) -> dict[str, Any]:
        url = f"{self.url}/upload/artifact/{said['artifactID']}/{said['name']}"
        file = {"id": "f", "uploadUrl": url, "uploadHeaders": []}
        return {"createArtifactManifest": {"artifactManifest": {"id": "m", "file": file}}}

    def _create_artifact_files(self, said: dict[str, Any]) -> dict[str, Any]:
        nodes = [
            {
                "storagePath": file["name"],
                "uploadUrl": f"{self.url}/upload/artifact/{file['artifactID']}/{file['name']}",
                "uploadHeaders": [],
                "uploadMultipartUrls": None,
                "artifact": {"id": file["artifactID"]},
            }
            for file in said["input"]["artifactFiles"]
        ]
        return {"createArtifactFiles": {"files": {"edges": [{"node": node} for node in nodes]}}}

    def _commit_artifact(self, said: dict[str, Any]) -> dict[str, Any]:
        artifact = self.artifacts[int(said["artifactID"])]
        artifact.committed = True
        return {"commitArtifact": {"artifact": {"id": said["artifactID"], "digest": artifact.digest}}}

    def _artifact_membership_by_name(self, said: dict[str, Any]) -> dict[str, Any]:
        name, _, version = said["name"].partition(":")
        versions = [(i, a) for i, a in enumerate(self.artifacts) if a.name == name and a.committed]
        found = versions[-1:] if version == "latest" else [(i, a) for i, a in versions if f"v{a.version}" == version]
        if not found:
            return {"project": {"artifactCollectionMembership": None}}
        ((index, artifact),) = found
        project = {"id": "p", "internalId": "p", "name": said["project"], "entity": {"name": said["entity"]}}
        sequence = {"__typename": "ArtifactSequence", "name": name, "project": project}
        shown = {
            "__typename": "Artifact",
            "id": str(index),
            "artifactSequence": sequence,
            "versionIndex": artifact.version,
            "artifactType": {"name": artifact.type},
            "description": None,
            "metadata": json.dumps(artifact.metadata),
            "ttlDurationSeconds": -2,
            "ttlIsInherited": False,
            "tags": [],
            "historyStep": None,
            "state": "COMMITTED",
            "size": sum(map(len, artifact.files.values())),
            "digest": artifact.digest,
            "commitHash": None,
            "fileCount": len(artifact.files),
            "createdAt": "2026-01-01T00:00:00",
            "updatedAt": None,
            "aliases": [],
        }
        membership = {
            "__typename": "ArtifactCollectionMembership",
            "id": "m",
            "versionIndex": artifact.version,
            "createdAt": "2026-01-01T00:00:00",
            "aliases": [],
            "artifactCollection": sequence,
            "artifact": shown,
        }
        return {"project": {"artifactCollectionMembership": membership}}

    def _upsert_sweep(self, said: dict[str, Any]) -> dict[str, Any]:
        self.sweep = said["config"]
        parameters = yaml.safe_load(self.sweep)["parameters"]
        for levels in itertools.product(*(parameter["values"] for parameter in parameters.values())):
            self.trials.append(dict(zip(parameters, ({"value": level} for level in levels), strict=True)))
        project = {"id": "p", "name": said["projectName"], "entity": {"id": "e", "name": ENTITY}}
        return {"upsertSweep": {"sweep": {"name": self.SWEEP, "project": project}, "configValidationWarnings": []}}

    def _sweep_with_runs(self, said: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"sweep": {"id": "s", "name": self.SWEEP, "config": self.sweep, "runs": {"edges": []}}}}

    def _create_agent(self, said: dict[str, Any]) -> dict[str, Any]:
        return {"createAgent": {"agent": {"id": "a"}}}

    def _heartbeat(self, said: dict[str, Any]) -> dict[str, Any]:
        """One trial at a time, and the end when none is left."""
        commands: list[dict[str, Any]] = []
        if not json.loads(said["runState"]):
            trial = self.trials.pop(0) if self.trials else None
            run = {"type": "run", "run_id": f"trial{len(self.trials)}", "program": "", "args": trial}
            commands = [run if trial else {"type": "exit"}]
        return {"agentHeartbeat": {"agent": {"id": "a"}, "commands": json.dumps(commands)}}

    def _get_default_entity(self, said: dict[str, Any]) -> dict[str, Any]:
        viewer = {"id": "u", "entity": ENTITY, "username": ENTITY}
        return {"viewer": viewer}

    def _project_internal_id(self, said: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"id": "p", "internalId": "UHJvamVjdEludGVybmFsSWQ6MQ=="}}

    def _get_projects(self, said: dict[str, Any]) -> dict[str, Any]:
        names = dict.fromkeys(project for project, _ in self.runs)
        project = {
            "id": "p",
            "internalId": "p",
            "entityName": said["entity"],
            "createdAt": "",
            "isBenchmark": False,
            "user": None,
        }
        edges = [{"node": project | {"name": name}, "cursor": name} for name in names]
        page = {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}
        return {"models": {"edges": edges, "pageInfo": page}}

    def _upsert_view2(self, said: dict[str, Any]) -> dict[str, Any]:
        self.views.append(said)
        project = {"id": "p", "name": said["projectName"], "entityName": said["entityName"]}
        kept = {key: said[key] for key in ("name", "type", "displayName", "description", "spec")}
        view = {"id": "v", "project": project, "updatedAt": "2026-01-01T00:00:00", **kept}
        return {"upsertView": {"view": view, "inserted": True}}

    _upsert_view = _upsert_view2

    def _fetch_artifact_manifest(self, said: dict[str, Any]) -> dict[str, Any]:
        url = f"{self.url}/storage/{said.get('id') or said.get('artifactID')}/wandb_manifest.json"
        return {"artifact": {"currentManifest": {"file": {"directUrl": url}}}}

    def _get_artifact_membership_file_urls(self, said: dict[str, Any]) -> dict[str, Any]:
        version = int(said["alias"].removeprefix("v"))
        ((index, artifact),) = (
            (i, a) for i, a in enumerate(self.artifacts) if (a.name, a.version) == (said["collection"], version)
        )
        nodes = [
            {"__typename": "File", "name": name, "directUrl": f"{self.url}/storage/{index}/{name}"}
            for name in artifact.files
            if name != "wandb_manifest.json"
        ]
        files = {
            "pageInfo": {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False},
            "edges": [{"node": node} for node in nodes],
        }
        membership = {"files": files}
        return {"project": {"artifactCollection": {"__typename": "ArtifactSequence", "artifactMembership": membership}}}


def _method(operation: str) -> str:
    """The name of the method that answers a GraphQL operation: `_upsert_bucket` for `UpsertBucket`."""
    return "_" + re.sub("(?<!^)(?=[A-Z])", "_", operation).lower()


def _handler(service: Service) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def handle(self) -> None:
            with contextlib.suppress(ConnectionError):  # wandb breaks off what it kept open
                super().handle()

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            status, reply = service.answer(self.path, body)
            if status is None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            data = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: Any) -> None:
            pass

    for method in ("GET", "POST", "PUT"):
        setattr(Handler, f"do_{method}", Handler._serve)
    return Handler
