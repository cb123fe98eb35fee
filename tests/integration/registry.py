#!/usr/bin/env python3
"""A read-only image registry for tests: the pulling half of the Docker Registry HTTP API v2, on loopback, with a password.

    registry.py PORT USER PASSWORD ROOT NAME TAG...

serves the files below ROOT as the image 127.0.0.1:PORT/NAME with those tags. Each tag has a layer of its own with the tag in /etc/tag,
so that each has a digest of its own. What it was asked for goes to standard output, a line each: status, user or "-", method, path."""
import base64
import gzip
import hashlib
import io
import json
import os
import platform
import re
import sys
import tarfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def tar_of(fill):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        fill(archive)
    return out.getvalue()


def folder_tar(root):
    return tar_of(lambda archive: [archive.add(os.path.join(root, name), name) for name in sorted(os.listdir(root))])


def file_tar(path, content):
    info = tarfile.TarInfo(path)
    info.size = len(content)
    return tar_of(lambda archive: archive.addfile(info, io.BytesIO(content)))


class Images:
    """Blobs by digest; manifests by digest and by "name:tag"."""

    def __init__(self):
        self.blobs, self.manifests = {}, {}

    def put(self, data, kind):
        self.blobs[digest(data)] = data
        return {"mediaType": kind, "size": len(data), "digest": digest(data)}

    def add(self, name, tag, layers, environment):
        machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
        config = json.dumps({
            "architecture": machine, "os": "linux", "created": "2024-01-01T00:00:00Z",
            "config": {"Cmd": ["sh"], "Env": environment},
            "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
            "history": [{"created": "2024-01-01T00:00:00Z", "created_by": "registry.py"} for _ in layers]}).encode()
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": self.put(config, CONFIG),
            "layers": [self.put(gzip.compress(layer, 1, mtime=0), LAYER) for layer in layers]}).encode()
        self.manifests[f"{name}:{tag}"] = self.manifests[f"{name}:{digest(manifest)}"] = manifest


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    images = Images()
    authorization = ""

    def do_GET(self):
        authorized = self.headers.get("Authorization", "") == self.authorization
        if not authorized:
            return self.fail(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": 'Basic realm="registry.py"'})
        if self.path == "/v2/":
            return self.answer(200, b"{}", "application/json")
        found = re.fullmatch(r"/v2/([a-z0-9/._-]+)/(manifests|blobs)/([A-Za-z0-9._:-]+)", self.path)
        if not found:
            return self.fail(404, "UNSUPPORTED", "no such path")
        name, kind, reference = found.groups()
        data = self.images.manifests.get(f"{name}:{reference}") if kind == "manifests" else self.images.blobs.get(reference)
        if data is None:
            return self.fail(404, "MANIFEST_UNKNOWN" if kind == "manifests" else "BLOB_UNKNOWN", f"{kind[:-1]} unknown")
        return self.answer(200, data, MANIFEST if kind == "manifests" else "application/octet-stream", {"Docker-Content-Digest": digest(data)})

    do_HEAD = do_GET

    def fail(self, status, code, message, headers=None):
        self.answer(status, json.dumps({"errors": [{"code": code, "message": message}]}).encode(), "application/json", headers)

    def answer(self, status, body, kind, headers=None):
        self.send_response(status)
        for key, value in {"Content-Type": kind, "Content-Length": str(len(body)), "Docker-Distribution-Api-Version": "registry/2.0", **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        user = base64.b64decode(self.headers.get("Authorization", "Basic LTo=").split(" ")[-1]).decode("utf-8", "replace").split(":")[0]
        print(status, user, self.command, self.path, flush=True)

    def log_message(self, *_):
        pass


def main():
    port, user, password, root, name, *tags = sys.argv[1:]
    base = folder_tar(root)
    for tag in tags:
        Handler.images.add(name, tag, [base, file_tar("etc/tag", tag.encode())], ["PATH=/bin"])
    Handler.authorization = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    ThreadingHTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main()
