"""A folder over HTTP: the package mirror. `python -m lab.services.files FOLDER`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from urllib.parse import unquote

from lab.services.serving import Request, Response, make_server, tell_ready


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
    except OSError:
        return Response(404, b"no such file\n", "text/plain")


if __name__ == "__main__":
    server = make_server(partial(serve_file, Path(sys.argv[1])), 80)
    tell_ready()
    server.serve_forever()
