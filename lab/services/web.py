"""A public web site on the internet's side: a few static pages over HTTPS, and HTTP that leads there."""

from __future__ import annotations

import threading

from lab.services.serving import Application, Request, Response, credentials, make_server, tell_ready

_PAGE = """<!doctype html>
<html lang="vi"><head><meta charset="utf-8"><title>Trang công cộng</title></head>
<body><h1>Trang công cộng</h1>
<p>Một trang web trên Internet, bên ngoài mạng của quận.</p>
<ul>{items}</ul></body></html>
"""
_NEWS = "".join(
    f"<li>Tin số {number}: thông báo của thành phố về dịch vụ công trực tuyến.</li>" for number in range(60)
)
_PAGES = {
    "/": (_PAGE.format(items=_NEWS).encode(), "text/html; charset=utf-8"),
    "/static/one-byte": (b"1", "application/octet-stream"),
}


def site(request: Request) -> Response:
    if request.method not in ("GET", "HEAD"):
        return Response(405, b"only GET\n", "text/plain", (("Allow", "GET, HEAD"),))
    found = _PAGES.get(request.path)
    if found is None:
        return Response(404, b"no such page\n", "text/plain")
    return Response(200, found[0], found[1], (("Cache-Control", "no-store"), ("Server-Timing", "app;dur=0")))


def to_https(request: Request) -> Response:
    """HTTP leads to the same page over HTTPS."""
    host = request.headers.get("host", "").partition(":")[0]
    return Response(308, headers=(("Location", f"https://{host}{request.path}"),))


def serve_both(secure: Application, plain: Application) -> None:
    """Serve HTTPS on 443 with the service's credentials, and HTTP on 80."""
    http = make_server(plain, 80)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    https = make_server(secure, 443, credentials())
    tell_ready()
    https.serve_forever()


if __name__ == "__main__":
    serve_both(site, to_https)
