"""wardnet-pull believes nothing before it is checked: signature, host, time, serial, size, and who the mirror is."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.unit.plugins_support import load

published = load("module_utils", "wardnet_published")
signature = load("module_utils", "wardnet_signature")
fetch = load("module_utils", "wardnet_fetch")
state = load("module_utils", "wardnet_pull_state")
from_where = load("module_utils", "wardnet_pull_mirrors")
pull = load("module_utils", "wardnet_pull")
wardnet_host = load("module_utils", "wardnet_host")

Refused = published.BundleRefusedError
NAME = socket.gethostname()
NOW = 1_800_000_000
Attempt = Callable[[], dict[str, Any]]


def bundle(**changes: Any) -> Any:
    given = {
        "host": "pc-1", "serial": 7, "published": NOW, "valid_until": NOW + 1000, "as_of": "2026-11-30",
        "model_sha256": "a" * 64, "arguments": {"confirm_within": 60, "settle": 30, "probes": []},
        "steps": [{"role": "r", "part": "files", "files": [{"path": "/etc/x", "content": "Tiếng Việt\n"}]}],
    }  # fmt: skip
    return published.Published(**{**given, **changes})


# ---- what a bundle is ----


def test_the_same_content_has_the_same_bytes_and_is_read_again() -> None:
    data = published.write_bundle(bundle())
    assert data == published.write_bundle(bundle())
    assert b"\n" not in data[:-1]
    assert published.read_bundle(data) == bundle()


def test_the_hash_is_of_the_content_and_not_of_when_it_was_published() -> None:
    assert bundle().content_sha256 == bundle(serial=8, published=1, valid_until=2, as_of="2026-12-01").content_sha256
    assert bundle().content_sha256 != bundle(steps=[]).content_sha256
    assert bundle().content_sha256 != bundle(arguments={"settle": 31}).content_sha256


def test_what_is_too_large_is_not_written() -> None:
    steps = [{"role": "r", "part": "files", "files": [{"path": "/x", "content": "x" * published.LARGEST}]}]
    with pytest.raises(ValueError, match=r"the bundle of pc-1 has \d+ bytes"):
        published.write_bundle(bundle(steps=steps))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "wardnet-bundle-2"}, "has the format 'wardnet-bundle-2', and this wardnet-pull reads"),
        ({"serial": "7"}, "serial is not of the kind"),
        ({"serial": True}, "serial is not of the kind"),
        ({"steps": ["x"]}, "steps are not what a candidate is made of"),
        ({"host": "../etc"}, "host or as_of is not written as one"),
        ({"as_of": "soon"}, "host or as_of is not written as one"),
        ({"model_sha256": "x"}, "model_sha256 is not a hash"),
        ({"more": 1}, "has keys that this wardnet-pull does not know: more"),
        ({"content_sha256": "b" * 64}, "content_sha256 is not that of its content"),
        ({"arguments": {"confirm_within": 0}}, "confirm_within and settle must be from 1 to 3600"),
        ({"arguments": {"reach": []}}, "argument reach is none that"),
    ],
)
def test_another_shape_is_refused(change: dict[str, Any], said: str) -> None:
    record = {**json.loads(published.write_bundle(bundle())), **change}
    with pytest.raises(Refused) as caught:
        published.read_bundle(json.dumps(record).encode())
    assert said in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff"])
def test_what_is_no_bundle_is_refused(data: bytes) -> None:
    with pytest.raises(Refused):
        published.read_bundle(data)


@pytest.mark.parametrize(
    ("host", "now", "newest", "said"),
    [
        ("pc-2", NOW, 0, "the bundle is for pc-1, and this machine is pc-2"),
        ("pc-1", NOW + 1000, 0, "was valid until 2027-01-15T08:16:40Z"),
        ("pc-1", NOW - 601, 0, "set the clock"),
        ("pc-1", NOW, 8, "has serial 7, and this host has taken 8: the mirror holds an old one"),
    ],
)
def test_for_another_host_time_or_serial_it_is_refused(host: str, now: float, newest: int, said: str) -> None:
    with pytest.raises(Refused) as caught:
        published.check_bundle(bundle(), host, now, newest)
    assert said in str(caught.value)
    published.check_bundle(bundle(), "pc-1", NOW, 7)


def test_the_serial_grows_whatever_the_clock_and_the_folder_say() -> None:
    assert published.next_serial(0, NOW) == NOW
    assert published.next_serial(NOW, NOW) == NOW + 1
    assert published.next_serial(NOW + 99, NOW) == NOW + 100


# ---- whose it is ----


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    for name in ("good", "other"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", folder / "locked"], check=True)
    return folder


def signers(keys: Path, options: str = 'namespaces="wardnet-bundle"') -> bytes:
    words = (keys / "good.pub").read_text().split()[:2]
    return f"publisher {options} {' '.join(words)}\n".encode()


def test_a_signature_of_an_allowed_signer_is_believed(keys: Path) -> None:
    made = signature.sign(b"data", keys / "good")
    assert signature.verify(b"data", made, signers(keys)) == "publisher"
    assert signature.is_signed_with(b"data", made, keys / "good")
    assert not signature.is_signed_with(b"data", made, keys / "other")


def test_any_other_signature_is_refused(keys: Path, tmp_path: Path) -> None:
    made = signature.sign(b"data", keys / "good")
    (tmp_path / "data").write_bytes(b"data")
    command = ["ssh-keygen", "-q", "-Y", "sign", "-n", "file", "-f", keys / "good", tmp_path / "data"]
    subprocess.run(command, check=True, capture_output=True)
    for data, given, allowed in (
        (b"datA", made, signers(keys)),
        (b"data", signature.sign(b"data", keys / "other"), signers(keys)),
        (b"data", (tmp_path / "data.sig").read_bytes(), signers(keys, "")),  # made for another purpose
        (b"data", made, signers(keys, 'namespaces="git"')),
        (b"data", made, signers(keys, 'valid-before="20200101"')),
        (b"data", b"", signers(keys)),
        (b"data", made, b""),
    ):
        with pytest.raises(Refused, match="not one of a signer that this host allows"):
            signature.verify(data, given, allowed)


def test_a_key_that_asks_for_a_passphrase_says_so_and_asks_nobody(keys: Path) -> None:
    with pytest.raises(signature.SignatureError, match="does not sign"):
        signature.sign(b"data", keys / "locked")


# ---- what is kept and told ----


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read"),
        ("[]", "must be an object"),
        ('{"url": "http://m/", "host": "a", "signers": "/s"}', "url must begin with https://"),
        ('{"url": "https://m/", "host": "a"}', "signers must be a text"),
        ('{"url": "https://m/", "host": "A b", "signers": "/s"}', "host is not the name of a machine"),
        ('{"url": "https://m/", "host": "a", "signers": "/s", "insecure": true}', "has no insecure"),
    ],
)
def test_a_wrong_configuration_is_refused_with_its_file(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "pull.json"
    path.write_text(text)
    with pytest.raises(state.ConfigError) as caught:
        state.read_config(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_what_was_taken_is_kept_and_what_is_damaged_counts_as_none(tmp_path: Path) -> None:
    taken = state.Taken(9, "h")
    taken.went_bad("c", NOW, "no answer")
    state.write_taken(tmp_path, taken)
    assert state.read_taken(tmp_path) == taken
    (tmp_path / state.TAKEN).write_text('{"serial": ')
    assert state.read_taken(tmp_path) == state.Taken()


def test_the_same_serial_with_other_bytes_is_refused() -> None:
    state.Taken(7, "h").check_bytes(7, "h")
    state.Taken(7, "h").check_bytes(8, "i")
    with pytest.raises(Refused, match="is another"):
        state.Taken(7, "h").check_bytes(7, "i")


def test_what_cut_the_host_off_is_tried_more_and_more_seldom() -> None:
    taken = state.Taken(7, "h")
    assert taken.waits("c", NOW) == ""
    for times, hours in ((1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 24), (7, 24)):
        taken.went_bad("c", NOW, "no answer")
        assert taken.bad["times"] == times
        assert "no answer" in taken.waits("c", NOW + hours * 3600 - 1)
        assert taken.waits("c", NOW + hours * 3600) == ""
    assert taken.waits("d", NOW) == "", "something else is tried at once"
    assert taken.waits("c", NOW - 1) == "", "a clock that was set back holds up nothing"


# ---- the mirror ----


class Mirror:
    """An HTTPS server on the loopback; `answers` gives (status, headers, body) by path, and may break off."""

    def __init__(self, folder: Path) -> None:
        self.certificate = folder / "mirror.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
             "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", folder / "mirror.key",
             "-out", self.certificate], check=True, capture_output=True,
        )  # fmt: skip
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.asked: list[str] = []
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                mirror.asked.append(f"{self.path} {self.headers['User-Agent']}")
                status, headers, body = mirror.answers.get(self.path, (404, {}, b""))
                self.send_response(status)
                for key, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = True

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
                """Nothing."""

        class Server(HTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that does not believe the certificate hangs up."""

        self.server = Server(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, folder / "mirror.key")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://localhost:{self.server.server_address[1]}/bundles/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def hold(self, name: str, body: bytes, status: int = 200, **headers: str) -> None:
        self.answers[f"/bundles/{name}"] = (
            status,
            {key.replace("_", "-"): value for key, value in headers.items()},
            body,
        )


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirror]:
    made = Mirror(tmp_path)
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_file_comes_whole(mirror: Mirror) -> None:
    mirror.hold("x", b"content")
    assert fetch.Server(mirror.url, mirror.certificate).fetch("x", 7) == b"content"


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        ((200, {}, b"12345678"), fetch.AnswerRefusedError, "x has 8 bytes, and 7 are allowed"),
        ((200, {"Content-Length": "7"}, b"123"), fetch.NotReachedError, "broke off|IncompleteRead|not reached"),
        ((404, {}, b""), fetch.NotThereError, "localhost has no x"),
        (
            (302, {"Location": "https://elsewhere/x"}, b""),
            fetch.AnswerRefusedError,
            "redirects x to https://elsewhere/x",
        ),
        ((403, {}, b""), fetch.AnswerRefusedError, "answers 403"),
        ((503, {}, b""), fetch.NotReachedError, "answers 503"),
    ],
)
def test_any_other_answer_is_told_apart(
    mirror: Mirror, answer: tuple[int, dict[str, str], bytes], error: type[Exception], said: str
) -> None:
    mirror.answers["/bundles/x"] = answer
    with pytest.raises(error, match=said):
        fetch.Server(mirror.url, mirror.certificate).fetch("x", 7)


def test_a_mirror_whose_certificate_does_not_hold_is_not_believed(mirror: Mirror) -> None:
    mirror.hold("x", b"content")
    with pytest.raises(fetch.AnswerRefusedError, match="localhost is not believed"):
        fetch.Server(mirror.url).fetch("x", 7)
    with pytest.raises(fetch.AnswerRefusedError, match="is not believed"):
        fetch.Server(mirror.url.replace("localhost", "127.0.0.1"), mirror.certificate).fetch("x", 7)


@pytest.mark.parametrize("url", ["http://localhost/", "https:///x", "https://a:b@localhost/", "https://localhost/?x"])
def test_only_a_folder_over_https_is_a_mirror(url: str) -> None:
    with pytest.raises(ValueError, match="must be a folder as https://"):
        fetch.Server(url)


# ---- a whole attempt, up to the engine ----


@pytest.fixture
def attempt(mirror: Mirror, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Attempt:
    """One attempt of this very machine in check mode for files below a folder, with its state kept below it."""
    monkeypatch.setattr(pull, "PAUSE", 0.0)
    monkeypatch.setattr(from_where.mirrors, "__defaults__", (tmp_path / "told.json",))
    (tmp_path / "signers").write_bytes(signers(keys))
    config = state.Config(mirror.url, NAME, tmp_path / "signers", mirror.certificate)
    host = wardnet_host.Host(state=tmp_path / "state", lock=tmp_path / "run" / "lock")
    (tmp_path / "state").mkdir()
    done = {"changed": False, "armed": False, "parts": {}, "drift": [], "actions": []}
    monkeypatch.setattr(pull, "commit", lambda *_: done)
    return lambda: dict(pull.pull(config, host, metrics=tmp_path / "metrics"))


def put(mirror: Mirror, keys: Path, key: str = "good", **changes: Any) -> bytes:
    now = int(time.time())
    made = bundle(**{"host": NAME, "published": now, "valid_until": now + 1000, **changes})
    data: bytes = published.write_bundle(made)
    mirror.hold(f"{NAME}.bundle", data)
    mirror.hold(f"{NAME}.bundle.sig", signature.sign(data, keys / key))
    return data


def test_what_is_published_is_taken_and_remembered(
    mirror: Mirror, keys: Path, tmp_path: Path, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "metrics").mkdir()
    put(mirror, keys)
    record = attempt()
    assert (record["result"], record["serial"], record["signer"]) == ("converged", 7, "publisher")
    assert json.loads((tmp_path / "state" / "pull.json").read_text()) == record
    assert state.read_taken(tmp_path / "state").serial == 7
    assert 'wardnet_pull_result{result="converged"} 1' in (tmp_path / "metrics" / "wardnet-pull.prom").read_text()
    attempt()
    assert mirror.asked[-1].endswith("wardnet-pull/1 (7 converged)"), "the mirror's log tells how the host is"
    done = {"changed": False, "armed": False, "parts": {}, "drift": [], "actions": [], "updates_at": NOW}
    monkeypatch.setattr(pull, "commit", lambda *_: done)
    attempt()
    assert f"wardnet_pull_updates_timestamp_seconds {NOW}" in (tmp_path / "metrics" / "wardnet-pull.prom").read_text()
    attempt()
    assert mirror.asked[-1].endswith("wardnet-pull/1 (7 converged updates-of-2027-01-15)"), (
        "and how old its packages are"
    )


def test_each_refusal_says_why_touches_nothing_and_keeps_what_was_known(
    mirror: Mirror, keys: Path, tmp_path: Path, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = put(mirror, keys)
    assert attempt()["result"] == "converged"

    def never(*_: Any) -> None:
        raise AssertionError("the engine must not be asked")

    monkeypatch.setattr(pull, "commit", never)
    kept = (tmp_path / "state" / "pull-taken.json").read_bytes()

    def tampered() -> None:
        mirror.hold(f"{NAME}.bundle", data.replace(b"Ti", b"ti"))

    def half() -> None:
        mirror.hold(f"{NAME}.bundle", data[: len(data) // 2])

    others = f"publisher {(keys / 'other.pub').read_text()}"
    strangers = [{"role": "pull", "part": "files", "files": [{"path": str(tmp_path / "signers"), "content": others}]}]
    cases: list[tuple[Callable[[], Any], str, str]] = [
        (tampered, "refused", "the signature is not one of a signer that this host allows"),
        (half, "refused", "the signature is not one of a signer that this host allows"),
        (lambda: put(mirror, keys, "other"), "refused", "the signature is not one of a signer that this host allows"),
        (lambda: put(mirror, keys, host="pc-2"), "refused", f"the bundle is for pc-2, and this machine is {NAME}"),
        (lambda: put(mirror, keys, serial=6), "refused", "the mirror holds an old one"),
        (lambda: put(mirror, keys, steps=[]), "refused", "is another: publish it anew"),
        (lambda: put(mirror, keys, valid_until=5), "refused", "was valid until 1970-01-01"),
        (lambda: put(mirror, keys, serial=8, steps=[{"part": "x"}]), "refused", "part is one of"),
        (lambda: put(mirror, keys, serial=8, steps=strangers), "refused", "signers of whom none has signed it"),
        (lambda: mirror.hold(f"{NAME}.bundle", b"", 301, Location="http://x/"), "refused", "that is not followed"),
        (lambda: mirror.answers.clear(), "not_published", "nothing is published for this host"),
        (lambda: mirror.server.server_close(), "not_reached", "localhost is not reached"),
    ]
    for arrange, result, said in cases:
        put(mirror, keys)
        arrange()
        record = attempt()
        assert (record["result"], record["serial"] is not None) == (result, True), record
        assert said in record["why"], record
        assert record["last_success"], "when it was last well is not forgotten"
        assert (tmp_path / "state" / "pull-taken.json").read_bytes() == kept


def test_two_that_are_just_being_replaced_are_fetched_again(
    mirror: Mirror, keys: Path, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(mirror, keys)
    newer = mirror.answers[f"/bundles/{NAME}.bundle"]
    put(mirror, keys, serial=8)
    right = mirror.answers[f"/bundles/{NAME}.bundle"]
    mirror.answers[f"/bundles/{NAME}.bundle"] = newer
    monkeypatch.setattr(pull.time, "sleep", lambda _: mirror.answers.update({f"/bundles/{NAME}.bundle": right}))
    assert attempt()["serial"] == 8


PartError = load("module_utils", "wardnet_part").PartError
BACK: dict[str, Any] = {"failed": []}


@pytest.mark.parametrize(
    ("server", "confirmed", "back", "result", "said"),
    [
        (None, PartError("not in time", taken_back=True), None, "taken_back", "not in time; the former state is back"),
        (None, OSError("disk is away"), BACK, "taken_back", "disk is away; the former state is back"),
        (None, KeyError("x"), {"failed": ["one"]}, "taken_back", "of the way back these steps failed: one"),
        (OSError("no file of certificates"), None, BACK, "taken_back", "no file of certificates; the former state is"),
        (None, PartError("a unit does not start"), None, "failed", "a unit does not start"),
    ],
)
def test_whatever_fails_before_the_change_lasts_is_taken_back_and_tried_more_seldom(
    mirror: Mirror,
    keys: Path,
    tmp_path: Path,
    attempt: Attempt,
    monkeypatch: pytest.MonkeyPatch,
    server: Exception | None,
    confirmed: Exception | None,
    back: dict[str, Any] | None,
    result: str,
    said: str,
) -> None:
    make = fetch.Server

    def commit(*_: Any) -> dict[str, Any]:
        if server:
            monkeypatch.setattr(pull.fetch, "Server", lambda *_: fail(server))
        return {"changed": True, "armed": True, "token": "t", "goes_back_within": 2, "parts": {}, "drift": [],
                "actions": []}  # fmt: skip

    def fail(error: Exception | None) -> Any:
        raise error or AssertionError("must not be asked")

    class Transaction:
        def __init__(self, host: Any) -> None:
            """Of a machine that keeps none."""

        def take_back(self, why: str) -> dict[str, Any] | None:  # noqa: ARG002 - the engine's own
            return back

    monkeypatch.setattr(pull, "commit", commit)
    monkeypatch.setattr(pull, "confirm", lambda *_: fail(confirmed))
    monkeypatch.setattr(pull, "Transaction", Transaction)
    put(mirror, keys)
    record = attempt()
    assert record["result"] == result, record
    assert said in record["why"]
    assert (state.read_taken(tmp_path / "state").bad is not None) is (result == "taken_back")
    monkeypatch.setattr(pull.fetch, "Server", make)


def test_a_damaged_configuration_forgets_nothing_of_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = wardnet_host.Host(state=tmp_path, lock=tmp_path / "lock")
    monkeypatch.setattr(pull, "Host", lambda **_: host)
    state.write_json(tmp_path / state.STATUS, {"serial": 7, "last_success": "then", "result": "changed"})
    assert pull.main(["--config", str(tmp_path / "none.json")]) == 78
    status = state.read_status(tmp_path)
    assert (status["serial"], status["last_success"], status["result"]) == (7, "then", "misconfigured")


def test_another_run_on_the_host_is_waited_for_and_is_no_failure(tmp_path: Path) -> None:
    lock = tmp_path / "pull.lock"
    with pull.alone(lock), pytest.raises(BlockingIOError), pull.alone(lock):
        pass


def test_the_statuses_say_whether_somebody_must_look() -> None:
    assert {name for name, code in state.CODES.items() if code == 0} == {"converged", "changed"}
    assert {name for name, code in state.CODES.items() if code == 75} == {"not_reached", "not_published", "held"}


# ---- a mirror that moves, or has another authority ----


@pytest.fixture
def newer(tmp_path: Path) -> Iterator[Mirror]:
    """Another mirror, with an authority of its own."""
    (tmp_path / "newer").mkdir()
    made = Mirror(tmp_path / "newer")
    yield made
    made.server.shutdown()
    made.server.server_close()


def tell(tmp_path: Path, url: str, ca: Path | str) -> None:
    """As role pull writes it."""
    (tmp_path / "told.json").write_text(json.dumps({"url": url, "ca": str(ca)}))


def test_a_mirror_that_moves_is_asked_beside_the_former_one_until_it_has_given_a_bundle(
    mirror: Mirror, newer: Mirror, keys: Path, tmp_path: Path, attempt: Attempt
) -> None:
    put(mirror, keys)
    tell(tmp_path, newer.url, newer.certificate)
    first = attempt()
    assert (first["result"], first["mirror"]) == ("converged", mirror.url), "the new one has nothing yet"
    assert "localhost has no" in first["mirror_failed"]
    put(newer, keys, serial=8)
    second = attempt()
    assert (second["serial"], second["mirror"], second.get("mirror_failed")) == (8, newer.url, None)
    asked = len(mirror.asked)
    mirror.server.server_close()
    assert attempt()["result"] == "converged"
    assert len(mirror.asked) == asked, "the former one is asked no more"


def test_an_authority_that_is_renewed_is_believed_before_and_after_the_mirror_has_it(
    mirror: Mirror, newer: Mirror, keys: Path, tmp_path: Path, attempt: Attempt
) -> None:
    put(mirror, keys)
    tell(tmp_path, mirror.url, newer.certificate)
    before = attempt()
    assert before["result"] == "converged"
    assert "is not believed" in before["mirror_failed"]
    put(newer, keys, serial=8)
    tell(tmp_path, newer.url, newer.certificate)  # now the mirror has the certificate that the site has told of
    assert attempt()["mirror"] == newer.url


def test_a_wrong_address_strands_no_host_even_where_the_installed_one_is_gone(
    mirror: Mirror, newer: Mirror, keys: Path, tmp_path: Path, attempt: Attempt
) -> None:
    put(newer, keys)
    tell(tmp_path, newer.url, newer.certificate)
    assert attempt()["mirror"] == newer.url
    mirror.server.server_close()
    kept = newer.certificate.read_bytes()
    newer.certificate.write_bytes(mirror.certificate.read_bytes())  # the file that is told of holds another one now
    for url, ca in (("https://nowhere.invalid/x/", ""), ("http://x/", ""), (newer.url, newer.certificate)):
        tell(tmp_path, url, ca)
        assert attempt()["mirror"] == newer.url, (url, ca)
    (tmp_path / "told.json").write_text("{")
    assert attempt()["mirror"] == newer.url
    assert from_where.read(tmp_path / "state" / "pull-mirror.json").certificates == kept


def test_where_no_mirror_gives_anything_the_one_that_is_told_of_is_named(
    mirror: Mirror, newer: Mirror, keys: Path, tmp_path: Path, attempt: Attempt
) -> None:
    tell(tmp_path, newer.url, newer.certificate)
    newer.hold(f"{NAME}.bundle.sig", b"", 503)
    record = attempt()
    assert (record["result"], "answers 503" in record["why"]) == ("not_reached", True)


def test_a_check_remembers_no_mirror(
    mirror: Mirror, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        pull, "commit", lambda *_: {"changed": False, "armed": False, "parts": {}, "drift": [], "actions": []}
    )
    (tmp_path / "signers").write_bytes(signers(keys))
    config = state.Config(mirror.url, NAME, tmp_path / "signers", mirror.certificate)
    put(mirror, keys)
    host = wardnet_host.Host(check_mode=True, state=tmp_path / "state")
    assert pull.pull(config, host)["result"] == "converged"
    assert not (tmp_path / "state").exists()


# ---- soon after a boot ----


@pytest.fixture
def boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, list[str]]]:
    """Runs the command with attempts that come out as given; its status, and the attempts that were made."""
    config = {"url": "https://mirror.invalid/", "host": NAME, "signers": str(tmp_path / "signers")}
    (tmp_path / "signers").touch()
    (tmp_path / "pull.json").write_text(json.dumps(config))
    host = wardnet_host.Host(state=tmp_path / "state", lock=tmp_path / "run" / "lock")
    monkeypatch.setattr(pull, "Host", lambda **_: host)
    monkeypatch.setattr(pull, "BREATH", (0.0, 0.0))
    monkeypatch.setattr(pull, "CLOCK_SET", tmp_path / "timesync" / "synchronized")

    def run(results: list[str], *words: str) -> tuple[int, list[str]]:
        made: list[str] = []

        def once(*_: Any) -> dict[str, Any]:
            made.append(results[len(made)])
            return {"host": NAME, "result": made[-1], "why": "so"}

        monkeypatch.setattr(pull, "pull", once)
        return pull.main(["--config", str(tmp_path / "pull.json"), *words]), made

    return run


def test_after_a_boot_the_mirror_is_tried_until_it_is_reached(
    boot: Callable[..., tuple[int, list[str]]], capsys: pytest.CaptureFixture[str]
) -> None:
    results = ["not_reached"] * 5 + ["changed", "converged"]
    assert boot(results, "--until-reached", "15") == (0, results[:6])
    assert capsys.readouterr().out.count("not reached: so") == 1, "the same is said once"
    assert boot(results) == (75, ["not_reached"]), "by hand and by the timer: once"
    for result, code in (("not_published", 75), ("taken_back", 1), ("refused", 65)):
        assert boot([result], "--until-reached", "15") == (code, [result])
    assert boot(["not_reached"] * 2, "--until-reached", "0") == (75, ["not_reached"])


def test_what_a_clock_that_is_not_set_yet_refuses_is_tried_again(
    boot: Callable[..., tuple[int, list[str]]], tmp_path: Path
) -> None:
    (tmp_path / "timesync").mkdir()
    assert boot(["refused", "converged"], "--until-reached", "15") == (0, ["refused", "converged"])
    (tmp_path / "timesync" / "synchronized").touch()
    assert boot(["refused", "converged"], "--until-reached", "15") == (65, ["refused"])


def test_who_comes_while_another_attempt_is_at_work_waits_for_it(tmp_path: Path) -> None:
    entered = threading.Event()

    def work() -> None:
        with pull.alone(tmp_path / "lock"):
            entered.set()
            time.sleep(1)

    thread = threading.Thread(target=work)
    thread.start()
    assert entered.wait(60)
    with pull.alone(tmp_path / "lock", patience=60):
        pass
    thread.join()
