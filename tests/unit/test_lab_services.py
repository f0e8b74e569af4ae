"""The lab's own services: what the portal, the scanner, the mirror and the web answer, over real sockets where the
wire matters."""

from __future__ import annotations

import http.client
import json
import re
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from lab import mirror
from lab.services import clock, escl, paper
from lab.services.files import serve_file
from lab.services.portal import COOKIE, Injected, Portal, parse_control
from lab.services.portal_forms import PROCEDURES, Procedure, parse_multipart, scan_type
from lab.services.portal_store import Accounts, Sessions, Store, hash_password
from lab.services.serving import AT_ONCE, MAX_BODY, Application, Request, Response, make_server
from lab.services.web import site, to_https

PNG = paper.png(paper.draw(75))
PASSWORD = "a password of a test"


@contextmanager
def served(application: Application) -> Iterator[int]:
    """The application on a free port of both loopbacks."""
    server = make_server(application, 0)
    thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def echo(request: Request) -> Response:
    return Response(200, f"{request.method} {request.path} {dict(request.query)} {len(request.body)}".encode())


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_both_families_are_served_on_one_connection_that_stays_open(address: str) -> None:
    with served(echo) as port:
        connection = http.client.HTTPConnection(address, port, timeout=5)
        for _ in range(3):
            connection.request("GET", "/a?b=c&b=d")
            answer = connection.getresponse()
            assert answer.read() == b"GET /a {'b': 'c'} 0"
        connection.request("POST", "/p", body=b"x" * 100_000)
        assert connection.getresponse().read() == b"POST /p {} 100000"
        connection.request("HEAD", "/a")
        answer = connection.getresponse()
        assert answer.read() == b""
        assert answer.getheader("Content-Length") == "12"
        connection.close()


def raw(port: int, text: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(text)
        connection.shutdown(socket.SHUT_WR)
        found = b""
        while data := connection.recv(65536):
            found += data
    return found


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"411"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", b"411"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1), b"413"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"PATCH / HTTP/1.1\r\nHost: x\r\n\r\n", b"501"),
    ],
)
def test_what_cannot_be_served_gets_its_status(head: bytes, status: bytes) -> None:
    with served(echo) as port:
        assert status in raw(port, head)[:400]


def test_what_is_larger_than_one_write_arrives_whole() -> None:
    body = bytes(range(256)) * (AT_ONCE // 100)
    with served(lambda _request: Response(200, body, "application/octet-stream")) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for _ in range(2):
            connection.request("GET", "/")
            assert connection.getresponse().read() == body
        connection.close()


def test_a_bug_in_the_application_is_a_500_and_not_the_end_of_the_server() -> None:
    def broken(request: Request) -> Response:
        raise RuntimeError(request.path)

    with served(broken) as port:
        assert b" 500 " in raw(port, b"GET / HTTP/1.0\r\n\r\n")
        assert b" 500 " in raw(port, b"GET / HTTP/1.0\r\n\r\n")


class Browser:
    """Keeps the session's cookie, as a browser does."""

    def __init__(self, portal: Portal) -> None:
        self.portal = portal
        self.cookie = ""

    def send(self, method: str, path: str, body: bytes = b"", content_type: str = "") -> Response:
        path, _, query = path.partition("?")
        fields = dict(pair.split("=", 1) for pair in query.split("&")) if query else {}
        headers = {"cookie": self.cookie, "content-type": content_type}
        response = self.portal.answer(Request(method, path, fields, headers, body))
        for key, value in response.headers:
            if key == "Set-Cookie":
                self.cookie = value.partition(";")[0]
        return response

    def csrf(self, path: str) -> str:
        found = re.search(rb'name="csrf" value="([^"]+)"', self.send("GET", path).body)
        assert found is not None
        return found[1].decode()

    def sign_in(self, password: str = PASSWORD) -> Response:
        body = f"csrf={self.csrf('/dang-nhap')}&user=canbo&password={password}".encode()
        return self.send("POST", "/dang-nhap", body)


@pytest.fixture
def control(tmp_path: Path) -> Path:
    return tmp_path / "control.json"


@pytest.fixture
def portal(control: Path) -> Portal:
    accounts = Accounts({"canbo": {"salt": "s", "hash": hash_password(PASSWORD, "s")}})
    return Portal(Store(":memory:"), accounts, control)


@pytest.fixture
def browser(portal: Portal) -> Browser:
    return Browser(portal)


def multipart(fields: dict[str, str], scan: bytes) -> tuple[bytes, str]:
    mark = "----mark"
    parts = [
        f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = (
        f'--{mark}\r\nContent-Disposition: form-data; name="scan"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    )
    body = b"".join(parts) + head.encode() + scan + f"\r\n--{mark}--\r\n".encode()
    return body, f"multipart/form-data; boundary={mark}"


def test_there_are_six_procedures_and_the_first_page_names_them_all(browser: Browser) -> None:
    page = browser.send("GET", "/")
    assert page.status == 200
    assert len(PROCEDURES) == 6
    assert all(procedure.name.encode() in page.body for procedure in PROCEDURES)


def test_who_has_not_signed_in_is_sent_to_do_so(browser: Browser) -> None:
    response = browser.send("GET", "/thu-tuc/khai-sinh")
    assert (response.status, ("Location", "/dang-nhap") in response.headers) == (303, True)


def test_a_wrong_password_and_an_unknown_user_are_refused(browser: Browser) -> None:
    assert browser.sign_in("wrong").status == 403
    body = f"csrf={browser.csrf('/dang-nhap')}&user=nobody&password={PASSWORD}".encode()
    assert browser.send("POST", "/dang-nhap", body).status == 403


def test_signing_in_needs_the_forms_token_and_changes_the_session(browser: Browser) -> None:
    browser.csrf("/dang-nhap")
    before = browser.cookie
    assert browser.send("POST", "/dang-nhap", b"csrf=wrong&user=canbo&password=x").status == 403
    assert browser.sign_in().status == 303
    assert browser.cookie != before
    assert browser.cookie.startswith(f"{COOKIE}=")


@pytest.mark.parametrize("procedure", PROCEDURES, ids=lambda one: one.id)
def test_a_procedure_goes_from_its_form_to_its_status(browser: Browser, procedure: Procedure) -> None:
    assert browser.sign_in().status == 303
    path = f"/thu-tuc/{procedure.id}"
    fields = {name: "Nguyễn Văn <Thử>" for name, _ in procedure.fields}
    response = browser.send("POST", path, *multipart(fields | {"csrf": browser.csrf(path)}, PNG))
    assert response.status == 201
    code = re.search(rb'id="code">([^<]+)<', response.body)
    assert code is not None
    status = browser.send("GET", f"/tra-cuu?ma={code[1].decode()}")
    assert status.status == 200
    assert "Đã tiếp nhận".encode() in status.body
    assert code[1] in browser.send("GET", "/bang-ket-qua").body


@pytest.mark.parametrize(
    ("change", "scan", "status", "message"),
    [
        ({"csrf": "forged"}, PNG, 403, "Từ chối"),
        ({"ho_ten": ""}, PNG, 422, "Chưa điền: Họ và tên."),
        ({}, b"MZ not a scan", 422, "Bản quét phải là"),
        ({}, b"", 422, "Bản quét phải là"),
    ],
)
def test_a_form_that_is_not_whole_is_not_taken(
    browser: Browser, change: dict[str, str], scan: bytes, status: int, message: str
) -> None:
    browser.sign_in()
    path = "/thu-tuc/cu-tru"
    fields = {"ho_ten": "A", "so_dinh_danh": "1", "dia_chi": "B", "csrf": browser.csrf(path)}
    response = browser.send("POST", path, *multipart(fields | change, scan))
    assert response.status == status
    assert message.encode() in response.body
    assert b"HS-" not in browser.send("GET", "/bang-ket-qua").body


def test_signing_out_ends_the_session_on_the_server(browser: Browser) -> None:
    browser.sign_in()
    cookie = browser.cookie
    token = browser.csrf("/")
    assert browser.send("POST", "/dang-xuat", b"csrf=wrong").status == 403
    assert browser.send("POST", "/dang-xuat", f"csrf={token}".encode()).status == 303
    browser.cookie = cookie
    assert browser.send("GET", "/thu-tuc/khai-sinh").status == 303


def test_what_a_visitor_wrote_is_escaped(browser: Browser) -> None:
    response = browser.send("GET", "/tra-cuu?ma=<script>alert(1)</script>")
    assert response.status == 404
    assert b"<script>" not in response.body


@pytest.mark.parametrize(("method", "path"), [("GET", "/nope"), ("GET", "/thu-tuc/nope"), ("POST", "/")])
def test_pages_that_are_not_there(browser: Browser, method: str, path: str) -> None:
    assert browser.send(method, path).status == 404


def test_every_page_says_where_its_time_went(browser: Browser) -> None:
    timing = dict(browser.send("GET", "/").headers)["Server-Timing"]
    assert re.fullmatch(r"wait;dur=\d+\.\d, app;dur=\d+\.\d", timing)


def test_an_injected_delay_is_in_the_pages_and_not_in_the_static_byte(browser: Browser, control: Path) -> None:
    control.write_text(json.dumps({"delay_seconds": 0.2}))
    waited = dict(browser.send("GET", "/").headers)["Server-Timing"]
    assert float(waited.partition("dur=")[2].partition(",")[0]) >= 200
    byte = browser.send("GET", "/static/one-byte")
    assert byte.body == b"1"
    assert "Server-Timing" not in dict(byte.headers)
    control.unlink()
    healed = dict(browser.send("GET", "/").headers)["Server-Timing"]
    assert float(healed.partition("dur=")[2].partition(",")[0]) < 100


def test_injected_errors_are_errors(browser: Browser, control: Path) -> None:
    control.write_text(json.dumps({"error_share": 1}))
    assert browser.send("GET", "/").status == 503
    control.write_text(json.dumps({"error_share": 0}))
    assert browser.send("GET", "/").status == 200


@pytest.mark.parametrize("text", ["", "{", "[]", '{"delay_seconds": "x"}', '{"delay_seconds": null}', "5"])
def test_a_senseless_control_file_injects_nothing(text: str) -> None:
    assert parse_control(text) == Injected()


def test_the_control_file_is_held_within_bounds() -> None:
    assert parse_control('{"delay_seconds": 1e9, "error_share": 7}') == Injected(60.0, 1.0)


def test_sessions_do_not_pile_up() -> None:
    sessions = Sessions()
    first = sessions.open()
    ids = {sessions.open().id for _ in range(100)}
    assert len(ids) == 100
    assert sessions.find(first.id) is first
    sessions.close(first.id)
    assert sessions.find(first.id) is None


@pytest.mark.parametrize(
    ("body", "content_type"),
    [(b"x", "text/plain"), (b"", "multipart/form-data"), (b"x", ""), (b"\xff", "multipart/\xff")],
)
def test_what_is_no_form_is_none(body: bytes, content_type: str) -> None:
    assert parse_multipart(content_type, body) is None


def test_scans_are_known_by_their_first_octets() -> None:
    assert scan_type(PNG) == "image/png"
    assert scan_type(b"%PDF-1.7") == "application/pdf"
    assert scan_type(b"\xff\xd8\xff\xe0") == "image/jpeg"
    assert scan_type(b"<html>") is None


def ask(scanner: escl.Scanner, method: str, path: str, body: bytes = b"") -> Response:
    return scanner.answer(Request(method, path, {}, {"host": "scanner"}, body))


def test_a_scan_job_gives_one_page_and_no_more() -> None:
    scanner = escl.Scanner()
    assert b"ScannerCapabilities" in ask(scanner, "GET", "/eSCL/ScannerCapabilities").body
    assert b"Idle" in ask(scanner, "GET", "/eSCL/ScannerStatus").body
    assert ask(scanner, "POST", "/eSCL/ScanJobs", b"nothing").status == 400
    settings = b"<scan:ScanSettings><scan:XResolution>75</scan:XResolution></scan:ScanSettings>"
    made = ask(scanner, "POST", "/eSCL/ScanJobs", settings)
    assert made.status == 201
    assert ask(scanner, "POST", "/eSCL/ScanJobs", settings).status == 503  # one at a time
    job = dict(made.headers)["Location"].removeprefix("http://scanner")
    assert b"Processing" in ask(scanner, "GET", "/eSCL/ScannerStatus").body
    page = ask(scanner, "GET", f"{job}/NextDocument")
    assert (page.status, page.content_type) == (200, "image/jpeg")
    assert scan_type(page.body) == "image/jpeg"
    assert ask(scanner, "GET", f"{job}/NextDocument").status == 404
    assert ask(scanner, "DELETE", job).status == 200
    assert ask(scanner, "DELETE", job).status == 404


@pytest.mark.parametrize(
    "path",
    ["/../secret", "/%2e%2e/secret", "/pool/../../secret", "/pool/%2e%2e%2f%2e%2e%2fsecret", "/link", "/nope"],
)
def test_the_mirror_gives_no_file_from_outside_its_folder(tmp_path: Path, path: str) -> None:
    folder = tmp_path / "mirror"
    (folder / "pool").mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    assert serve_file(folder, Request("GET", path, {}, {}, b"")).status == 404


def test_the_mirror_gives_files_and_lists_folders(tmp_path: Path) -> None:
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool" / "a b+c.deb").write_bytes(b"deb")
    get = partial(Request, "GET", query={}, headers={}, body=b"")
    assert serve_file(tmp_path, get(path="/pool/a%20b+c.deb")).body == b"deb"
    assert serve_file(tmp_path, get(path="/")).body == b"pool/\n"
    assert serve_file(tmp_path, Request("POST", "/", {}, {}, b"")).status == 405


def test_the_public_web_leads_from_http_to_https() -> None:
    answer = to_https(Request("GET", "/x", {}, {"host": "www.congcong.example:80"}, b""))
    assert (answer.status, answer.headers[0]) == (308, ("Location", "https://www.congcong.example/x"))
    assert site(Request("GET", "/", {}, {}, b"")).status == 200
    assert site(Request("POST", "/", {}, {}, b"")).status == 405
    assert site(Request("GET", "/nope", {}, {}, b"")).status == 404


def test_the_clock_answers_a_client_with_its_own_time_stamp_in_front() -> None:
    question = struct.pack("!BBbb9I2I", 4 << 3 | 3, 0, 6, 0, *[0] * 9, 77, 88)
    told = clock.answer(question, received=1_000_000_000.25, now=lambda: 1_000_000_000.5)
    assert told is not None
    first, stratum, poll, _, *words = struct.unpack("!BBbb11I", told)
    assert (first, stratum, poll) == (4 << 3 | 4, 1, 6)
    assert words[5:7] == [77, 88]  # the client tells its own question by it
    assert words[7:] == [3_208_988_800, 1 << 30, 3_208_988_800, 1 << 31]


@pytest.mark.parametrize("question", [b"", b"\x23" * 47, struct.pack("!B47x", 4 << 3 | 4)])
def test_the_clock_answers_nothing_but_a_clients_packet(question: bytes) -> None:
    assert clock.answer(question, received=0.0) is None


def test_packages_that_exclude_each_other_are_fetched_apart() -> None:
    packages = mirror.read_packages(workplaces=True)
    groups = mirror.installable(packages)
    assert sorted(name for group in groups for name in group) == sorted(packages)
    assert not any({"chrony", "systemd-timesyncd"} <= set(group) for group in groups)
    assert mirror.installable(["chrony"]) == [["chrony"]]
