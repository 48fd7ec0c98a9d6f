"""A stand-in for Hugging Face's hub on 127.0.0.1: the HTTP interface that its real client asks.

Repositories, LFS objects and commits are kept in memory. It has no Xet, which the client uses for
uploads if it can: tests disable that as users do, by `HF_HUB_DISABLE_XET`.
"""

import base64
import contextlib
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import yaml

TOKEN = "hf_token_of_tests"
OWNER = "tester"
_LFS_SUFFIXES = (".keras", ".h5", ".png")
_REPOSITORY = r"(?P<repo>[^/]+/[^/]+?)"


class HubServer:
    """Repositories by name, and the requests that were made.

    Attributes:
      url: of the server.
      repos: by `user/name`: `private`, and `commits`, a list of pairs (hash, files by path).
      requests: lines `METHOD path`, in order.
      authorizations: what the requests carried, None without.
      refusals: by a pattern of such lines: (status, headers, body) to answer instead.
      interrupt: called when the first large file arrives; None for nothing.
    """

    def __init__(self, url):
        self.url = url
        self.repos, self.objects, self.requests, self.refusals = {}, {}, [], {}
        self.authorizations = set()
        self.interrupt = None

    def add(self, repo, files, *, private=False):
        """Make a repository, or commit files (bytes by path) to it; return the commit's hash."""
        entry = self.repos.setdefault(repo, {"private": private, "commits": []})
        before = dict(entry["commits"][-1][1]) if entry["commits"] else {}
        content = {**before, **files}
        seed = repr((repo, len(entry["commits"]), sorted(content))).encode()
        commit = hashlib.sha1(seed).hexdigest()
        entry["commits"].append((commit, content))
        return commit

    def files(self, repo):
        """The files of the newest commit, bytes by path."""
        return self.repos[repo]["commits"][-1][1]

    def at(self, repo, revision):
        """The commit (hash, files) of a revision; None if there is none."""
        commits = self.repos[repo]["commits"]
        if revision == "main":
            return commits[-1] if commits else ("0" * 40, {})
        return next((entry for entry in commits if entry[0] == revision), None)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        """Print nothing."""

    def do_GET(self):
        self._dispatch("GET")

    def do_HEAD(self):
        self._dispatch("HEAD")

    def do_POST(self):
        self._dispatch("POST")

    def do_PUT(self):
        self._dispatch("PUT")

    def _dispatch(self, method):
        hub = self.server.hub
        path = unquote(urlsplit(self.path).path)
        line = f"{method} {path}"
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        hub.requests.append(line)
        hub.authorizations.add(self.headers.get("Authorization"))
        for pattern, (status, headers, content) in hub.refusals.items():
            if re.search(pattern, line):
                if isinstance(content, bytes):
                    return self._answer(status, headers=headers, raw=content)
                return self._answer(status, content, headers)
        for pattern, name in _ROUTES:
            if match := re.fullmatch(pattern, line):
                return getattr(self, name)(body, **match.groupdict())
        return self._answer(404, {"error": f"no route: {line}"})

    def _answer(self, status, content=None, headers=(), *, raw=None):
        data = raw if raw is not None else json.dumps(content).encode()
        self.send_response(status)
        for key, value in dict(headers).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data)))
        if raw is None:
            self.send_header("Content-Type", "application/json")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    @property
    def _authorized(self):
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _visible(self, repo):
        """The repository's entry, or None after an answer that it is not there."""
        entry = self.server.hub.repos.get(repo)
        if entry is None or (entry["private"] and not self._authorized):
            status = 404 if self._authorized else 401
            message = (
                "Repository not found" if self._authorized else "Invalid username or password."
            )
            self._answer(status, {"error": message}, {"X-Error-Code": "RepoNotFound"})
            return None
        return entry

    def whoami(self, body):
        if not self._authorized:
            return self._answer(401, {"error": "Invalid credentials in Authorization header"})
        return self._answer(200, {"type": "user", "name": OWNER, "auth": {"type": "access_token"}})

    def create(self, body):
        wanted = json.loads(body)
        repo = f"{wanted['organization']}/{wanted['name']}"
        url = f"{self.server.hub.url}/{repo}"
        if not self._authorized:
            return self._answer(401, {"error": "Invalid username or password."})
        if wanted["organization"] != OWNER:
            message = f"You don't have the rights to create a model under {wanted['organization']}"
            return self._answer(403, {"error": message})
        if repo in self.server.hub.repos:
            return self._answer(409, {"error": "You already created this model", "url": url})
        private = wanted.get("visibility") == "private" or wanted.get("private", False)
        self.server.hub.repos[repo] = {"private": private, "commits": []}
        return self._answer(200, {"url": url, "name": repo})

    def validate_yaml(self, body):
        """As the hub: refuse what is no YAML, and a license that it does not know."""
        content = json.loads(body)["content"]
        try:
            fields = yaml.safe_load(content.split("---\n")[1])
            known = fields.get("license", "mit") in ("mit", "cc-by-4.0", "other")
            errors = [] if known else [{"message": '"license" must be one of [apache-2.0, ...]'}]
        except (yaml.YAMLError, IndexError) as error:
            errors = [{"message": str(error)}]
        return self._answer(400 if errors else 200, {"errors": errors, "warnings": []})

    def info(self, body, repo, revision="main"):
        entry = self._visible(repo)
        if entry is None:
            return None
        found = self.server.hub.at(repo, revision)
        if found is None:
            headers = {"X-Error-Code": "RevisionNotFound"}
            return self._answer(404, {"error": f"Invalid rev id: {revision}"}, headers)
        siblings = [{"rfilename": name} for name in found[1]]
        about = {"id": repo, "modelId": repo, "sha": found[0], "private": entry["private"]}
        return self._answer(200, {**about, "siblings": siblings, "tags": [], "downloads": 0})

    def tree(self, body, repo, revision):
        if self._visible(repo) is None:
            return None
        _, files = self.server.hub.at(repo, revision)
        listing = [
            {"type": "file", "path": name, "size": len(data), "oid": _etag(data)}
            for name, data in files.items()
        ]
        return self._answer(200, listing)

    def preupload(self, body, repo, revision):
        if self._visible(repo) is None:
            return None
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(_LFS_SUFFIXES) else "regular",
                "shouldIgnore": False,
            }
            for file in json.loads(body)["files"]
        ]
        return self._answer(200, {"files": files})

    def batch(self, body, repo):
        hub = self.server.hub
        objects = []
        for wanted in json.loads(body)["objects"]:
            upload = {"upload": {"href": f"{hub.url}/lfs/{wanted['oid']}"}}
            objects.append(
                wanted if wanted["oid"] in hub.objects else {**wanted, "actions": upload}
            )
        return self._answer(200, {"transfer": "basic", "objects": objects})

    def put_object(self, body, oid):
        interrupt, self.server.hub.interrupt = self.server.hub.interrupt, None
        if interrupt is not None:
            interrupt()
        if hashlib.sha256(body).hexdigest() != oid:
            return self._answer(400, {"error": "checksum"})
        self.server.hub.objects[oid] = body
        return self._answer(200, {})

    def commit(self, body, repo, revision):
        if self._visible(repo) is None:
            return None
        if not self._authorized:
            return self._answer(403, {"error": "no write access"})
        files = {}
        for line in body.splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                files[value["path"]] = self.server.hub.objects[value["oid"]]
        commit = self.server.hub.add(repo, files)
        url = f"{self.server.hub.url}/{repo}/commit/{commit}"
        return self._answer(200, {"success": True, "commitOid": commit, "commitUrl": url})

    def resolve(self, body, repo, revision, name):
        if self._visible(repo) is None:
            return None
        found = self.server.hub.at(repo, revision)
        if found is None or name not in found[1]:
            code = "RevisionNotFound" if found is None else "EntryNotFound"
            return self._answer(404, {"error": code}, {"X-Error-Code": code})
        data = found[1][name]
        headers = {"ETag": f'"{_etag(data)}"', "X-Repo-Commit": found[0]}
        return self._answer(200, raw=data, headers=headers)


def _etag(data):
    return hashlib.sha256(data).hexdigest()


_ROUTES = (
    (r"GET /api/whoami-v2", "whoami"),
    (r"POST /api/repos/create", "create"),
    (r"POST /api/validate-yaml", "validate_yaml"),
    (rf"GET /api/models/{_REPOSITORY}", "info"),
    (rf"GET /api/models/{_REPOSITORY}/revision/(?P<revision>[^/]+)", "info"),
    (rf"GET /api/models/{_REPOSITORY}/tree/(?P<revision>[^/]+)", "tree"),
    (rf"POST /api/models/{_REPOSITORY}/preupload/(?P<revision>[^/]+)", "preupload"),
    (rf"POST /{_REPOSITORY}\.git/info/lfs/objects/batch", "batch"),
    (r"PUT /lfs/(?P<oid>\w+)", "put_object"),
    (rf"POST /api/models/{_REPOSITORY}/commit/(?P<revision>[^/]+)", "commit"),
    (rf"(?:GET|HEAD) /{_REPOSITORY}/resolve/(?P<revision>[^/]+)/(?P<name>.+)", "resolve"),
)


@contextlib.contextmanager
def serve_hub():
    """Yield a server that runs until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.hub = HubServer(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def use_hub(monkeypatch, url, cache, *, token=TOKEN):
    """Let the client ask a server, as `HF_ENDPOINT` and others would if set before its import."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(cache / "no-token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
    if token is None:
        monkeypatch.delenv("HF_TOKEN", raising=False)
    else:
        monkeypatch.setenv("HF_TOKEN", token)
