"""The online-service portal's stand-in: a small real web application, `python -m lab.services.portal`.

Sign-in with a session cookie and a CSRF token, six ward procedures as forms with a scan, status look-up, a
results board. Each answer says in Server-Timing where its time went. Delay and errors are injected through a
control file, as lab.faults does: {"delay_seconds": 0.8, "error_share": 0.5}.
"""

from __future__ import annotations

import hmac
import json
import os
import random
import time
from dataclasses import dataclass, replace
from http.cookies import CookieError, SimpleCookie
from pathlib import Path

from lab.services import portal_pages as pages
from lab.services.portal_forms import BY_ID, PROCEDURES, Procedure, parse_multipart, scan_type
from lab.services.portal_store import Accounts, Session, Sessions, Store, read_accounts
from lab.services.serving import Request, Response, credentials
from lab.services.web import serve_both, to_https

COOKIE = "__Host-phien"
# Stands for the collection of blank forms that offices download; it compresses as little as a scan does.
FORMS = random.Random(1).randbytes(4 << 20)  # noqa: S311 - the same bytes each time, not a secret
CONTROL = Path("/run/wardnet-portal/control.json")
_NAMES = {procedure.id: procedure.name for procedure in PROCEDURES}


@dataclass(frozen=True, slots=True)
class Injected:
    """What the application does to itself. Static files are spared, as a web server in front of it would."""

    delay_seconds: float = 0.0
    error_share: float = 0.0


def parse_control(text: str) -> Injected:
    """Unreadable or senseless content injects nothing."""
    try:
        data = json.loads(text)
        found = Injected(float(data.get("delay_seconds", 0)), float(data.get("error_share", 0)))
    except (ValueError, TypeError, AttributeError):
        return Injected()
    return Injected(min(max(found.delay_seconds, 0.0), 60.0), min(max(found.error_share, 0.0), 1.0))


def read_control(path: Path) -> Injected:
    try:
        return parse_control(path.read_text())
    except OSError:
        return Injected()


class Portal:
    def __init__(self, store: Store, accounts: Accounts, control: Path = CONTROL) -> None:
        self._store = store
        self._accounts = accounts
        self._control = control
        self._sessions = Sessions()

    def answer(self, request: Request) -> Response:
        if request.path == "/static/one-byte":
            return Response(200, b"1", "application/octet-stream", (("Cache-Control", "no-store"),))
        if request.path == "/static/style.css":
            return Response(200, pages.STYLE.encode(), "text/css", (("Cache-Control", "max-age=3600"),))
        if request.path == "/static/forms.bin":
            return Response(200, FORMS, "application/octet-stream", (("Cache-Control", "no-store"),))
        begun = time.monotonic()
        injected = read_control(self._control)
        if injected.delay_seconds:
            time.sleep(injected.delay_seconds)
        worked = time.monotonic()
        if injected.error_share and random.random() < injected.error_share:  # noqa: S311 - chance, not secrecy
            response = Response(503, pages.plain("Tạm ngừng", "Hệ thống đang quá tải, xin thử lại.", None))
        else:
            response = self._route(request)
        ended = time.monotonic()
        timing = f"wait;dur={(worked - begun) * 1000:.1f}, app;dur={(ended - worked) * 1000:.1f}"
        headers = (*response.headers, ("Server-Timing", timing), ("Cache-Control", "no-store"),
                   ("X-Frame-Options", "DENY"), ("X-Content-Type-Options", "nosniff"),
                   ("Content-Security-Policy", "default-src 'self'; style-src 'self' 'unsafe-inline'"))  # fmt: skip
        return replace(response, headers=headers)

    def _session(self, request: Request) -> Session | None:
        try:
            cookie = SimpleCookie(request.headers.get("cookie", ""))
        except CookieError:
            return None
        return self._sessions.find(cookie[COOKIE].value) if COOKIE in cookie else None

    def _route(self, request: Request) -> Response:
        session = self._session(request)
        method = "GET" if request.method == "HEAD" else request.method
        match (method, request.path):
            case ("GET", "/"):
                return Response(200, pages.home(session))
            case ("GET", "/dang-nhap"):
                session = session or self._sessions.open()
                return Response(200, pages.sign_in(session), headers=(_cookie(session),))
            case ("POST", "/dang-nhap"):
                return self._sign_in(request, session)
            case ("POST", "/dang-xuat"):
                return self._sign_out(request, session)
            case ("GET", "/tra-cuu"):
                code = request.query.get("ma", "").strip()
                found = self._store.find(code) if code else None
                status = 404 if code and found is None else 200
                return Response(status, pages.look_up(code, found, _NAMES, session))
            case ("GET", "/bang-ket-qua"):
                return Response(200, pages.board(self._store.counts(), self._store.latest(8), session))
        procedure = BY_ID.get(request.path.removeprefix("/thu-tuc/"))
        if procedure is not None and request.path.startswith("/thu-tuc/"):
            return self._procedure(request, method, procedure, session)
        return Response(404, pages.plain("Không có trang này", "Địa chỉ không đúng.", session))

    def _sign_in(self, request: Request, session: Session | None) -> Response:
        fields = request.form()
        if session is None or not _same(fields.get("csrf", ""), session.csrf):
            return _refused(session)
        user = fields.get("user", "").strip()
        if not self._accounts.accepts(user, fields.get("password", "")):
            return Response(403, pages.sign_in(session, "Sai tên đăng nhập hoặc mật khẩu."))
        # A new id on signing in, so that an id planted before is worth nothing.
        self._sessions.close(session.id)
        return Response(303, headers=(("Location", "/"), _cookie(self._sessions.open(user))))

    def _sign_out(self, request: Request, session: Session | None) -> Response:
        if session is None or not _same(request.form().get("csrf", ""), session.csrf):
            return _refused(session)
        self._sessions.close(session.id)
        return Response(303, headers=(("Location", "/"), ("Set-Cookie", f"{COOKIE}=; Path=/; Secure; Max-Age=0")))

    def _procedure(self, request: Request, method: str, procedure: Procedure, session: Session | None) -> Response:
        if session is None or session.user is None:
            return Response(303, headers=(("Location", "/dang-nhap"),))
        if method == "GET":
            return Response(200, pages.form(procedure, session))
        if method != "POST":
            return Response(405, b"", headers=(("Allow", "GET, HEAD, POST"),))
        upload = parse_multipart(request.headers.get("content-type", ""), request.body)
        if upload is None or not _same(upload.fields.get("csrf", ""), session.csrf):
            return _refused(session)
        values = {name: upload.fields.get(name, "")[:200] for name, _ in procedure.fields}
        empty = [label for name, label in procedure.fields if not values[name]]
        if empty:
            return Response(422, pages.form(procedure, session, f"Chưa điền: {', '.join(empty)}."))
        if scan_type(upload.scan) is None:
            return Response(422, pages.form(procedure, session, "Bản quét phải là tệp PDF, PNG hoặc JPEG."))
        code = self._store.add(procedure.id, values, upload.scan)
        return Response(201, pages.received(procedure, code, session))


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())


def _refused(session: Session | None) -> Response:
    text = "Phiên làm việc đã hết hạn hoặc yêu cầu không hợp lệ. Xin mở lại trang."
    return Response(403, pages.plain("Từ chối", text, session))


def _cookie(session: Session) -> tuple[str, str]:
    return ("Set-Cookie", f"{COOKIE}={session.id}; Path=/; Secure; HttpOnly; SameSite=Lax")


def main() -> None:
    secrets_folder = credentials()
    if secrets_folder is None:
        raise SystemExit("the portal runs as a service that is given its key, certificate and accounts")
    state = Path(os.environ["STATE_DIRECTORY"])
    portal = Portal(Store(state / "portal.sqlite"), read_accounts(secrets_folder / "accounts.json"))
    serve_both(portal.answer, to_https)


if __name__ == "__main__":
    main()
