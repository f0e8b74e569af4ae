"""Folders over HTTP, or HTTPS where the service has a certificate: the package mirrors.

`python -m lab.services.files FOLDER [NAME=FOLDER ...]`: the first at the root, the others each below its name.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import unquote

from lab.services.serving import Request, Response, credentials, make_server, tell_ready


def serve_file(folder: Path, request: Request) -> Response:
    """The file that the path names under `folder`, never one outside it."""
    if request.method not in ("GET", "HEAD"):
        return Response(405, b"only GET\n", "text/plain", (("Allow", "GET, HEAD"),))
    root = folder.resolve()
    path = (root / unquote(request.path).lstrip("/")).resolve()
    if not path.is_relative_to(root):
        return Response(404, b"no such file\n", "text/plain")
    if path.is_dir():
        names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in path.iterdir() if entry.name[0] != ".")
        return Response(200, ("\n".join(names) + "\n").encode(), "text/plain; charset=utf-8")
    try:
        return Response(200, path.read_bytes(), "application/octet-stream")
    except (FileNotFoundError, NotADirectoryError):
        return Response(404, b"no such file\n", "text/plain")
    except OSError as error:  # it may be there: no answer for who asks whether it is
        return Response(500, f"{error.strerror}\n".encode(), "text/plain")


def serve_folders(root: Path, others: dict[str, Path], request: Request) -> Response:
    """The file in the folder whose name the path begins with, else below the root."""
    name, _slash, rest = request.path.lstrip("/").partition("/")
    if name in others:
        return serve_file(others[name], replace(request, path=rest))
    return serve_file(root, request)


if __name__ == "__main__":
    named = dict(word.split("=", 1) for word in sys.argv[2:])
    folders = {name: Path(folder) for name, folder in named.items()}
    tls = credentials()
    server = make_server(partial(serve_folders, Path(sys.argv[1]), folders), 443 if tls else 80, tls)
    tell_ready()
    server.serve_forever()
