#!/usr/bin/python3
"""wardnet-scan-check: how are the scanners that this PC may use, and what is to be done? In Vietnamese and in English.

    wardnet-scan-check                      every scanner that this PC may use
    wardnet-scan-check SCANNER              one of them, by its id
    wardnet-scan-check SCANNER --scan FILE  scans a page of A4 at 300 dpi in colour into FILE (.pdf, .png or .jpg)

Exit code: 0 where all is well, 1 where something is wrong, 2 for words that it does not know.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, "/usr/local/lib/wardnet/scan")

import escl

CONFIGURATION = Path("/etc/wardnet/scanners.json")
TIMEOUT = 10.0
LIST_TIMEOUT = 60
SCAN_TIMEOUT = 300
FORMATS = {".pdf": "pdf", ".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg"}
A4 = ("-x", "210", "-y", "297")

# State -> what is said, in both languages.
WORDS = {
    escl.READY: ("SẴN SÀNG.", "READY."),
    escl.BUSY: (
        "ĐANG BẬN: máy đang quét cho người khác. Đợi một phút rồi thử lại.",
        "BUSY: it scans for somebody else. Wait a minute, then try again.",
    ),
    escl.JAM: (
        "KẸT GIẤY: mở nắp khay nạp, nhẹ nhàng lấy giấy ra, đóng nắp, rồi quét lại.",
        "PAPER JAM: open the feeder, take the paper out gently, close it, then scan again.",
    ),
    escl.OPEN: (
        "NẮP ĐANG MỞ: đóng nắp máy và nắp khay nạp, rồi quét lại.",
        "A COVER IS OPEN: close the scanner and its feeder, then scan again.",
    ),
    escl.STOPPED: (
        "MÁY DỪNG: xem thông báo trên màn hình của máy quét; nếu không có gì, tắt máy, đợi 10 giây, bật lại.",
        "STOPPED: read what the scanner's own display says; if nothing, switch it off, wait 10 seconds, switch it on.",
    ),
    escl.UNPLUGGED: (
        "KHÔNG THẤY MÁY QUÉT: hộp chia sẻ vẫn chạy, nhưng máy quét gắn vào đã tắt hoặc rút cáp USB. Bật máy, cắm lại.",
        "NO SCANNER: its box works, but the scanner on it is off or unplugged. Switch it on, check the USB cable.",
    ),
    escl.DENIED: (
        "BỊ TỪ CHỐI: máy quét không cho máy tính này dùng. Báo cho bộ phận CNTT.",
        "DENIED: the scanner does not let this PC in. Tell the IT unit.",
    ),
    escl.REFUSING: (
        "MÁY BÁO LỖI: phần mềm của máy quét bị lỗi. Tắt máy, đợi 10 giây, bật lại; nếu còn lỗi, báo bộ phận CNTT.",
        "ERROR: the scanner's own software fails. Switch it off, wait 10 seconds, switch it on; if it stays, tell IT.",
    ),
    escl.GARBAGE: (
        "TRẢ LỜI SAI: thiết bị ở địa chỉ này không phải máy quét. Báo cho bộ phận CNTT: kiểm tra địa chỉ.",
        "ANSWERS RUBBISH: something at this address answers that is no scanner. Tell the IT unit: check the address.",
    ),
    escl.SILENT: (
        "KHÔNG TRẢ LỜI: máy quét đã tắt, đang ngủ hoặc rút cáp mạng. Bật máy, kiểm tra cáp mạng, đợi một phút.",
        "SILENT: switched off, asleep or without its network cable. Switch it on, check the cable, wait a minute.",
    ),
}
NOTHING = (
    "Máy tính này không được phép dùng máy quét nào. Nếu cần, báo bộ phận CNTT thêm vào danh mục.",
    "This PC may use no scanner. If it should, ask the IT unit to write it into the inventory.",
)
NO_PAPER = (
    "KHÔNG CÓ GIẤY trong khay nạp: đặt giấy vào, rồi quét lại.",
    "NO PAPER in the feeder: put some in, then scan again.",
)
SAVED = ("ĐÃ LƯU", "SAVED")
NOT_SCANNED = (
    "KHÔNG QUÉT ĐƯỢC, dù máy quét báo sẵn sàng. Thử lại; nếu vẫn lỗi, gửi dòng dưới đây cho bộ phận CNTT.",
    "NOT SCANNED, though the scanner says that it is ready. Try again; if it stays, send this line to the IT unit.",
)


def ask(scanner: dict[str, Any]) -> str:
    """The state of a scanner, over the network."""
    try:
        if scanner["kind"] == "escl":
            return ask_escl(scanner["ipv4"], scanner["port"])
        return ask_sane(scanner["ipv4"], scanner["port"])
    except http.client.RemoteDisconnected:
        return escl.SILENT
    except (http.client.HTTPException, escl.SaneError):
        return escl.GARBAGE
    except OSError:
        return escl.SILENT


def ask_escl(address: str, port: int) -> str:
    connection = http.client.HTTPConnection(address, port, timeout=TIMEOUT)
    try:
        connection.request("GET", escl.STATUS_PATH)
        answer = connection.getresponse()
        return escl.status_state(answer.status, answer.read(escl.MAX_STATUS))
    finally:
        connection.close()


def ask_sane(address: str, port: int) -> str:
    talk = escl.SaneTalk()
    with socket.create_connection((address, port), timeout=TIMEOUT) as connection:
        connection.sendall(talk.question)
        while talk.state is None:
            data = connection.recv(65536)
            if not data:
                return escl.DENIED
            answer = talk.feed(data)
            if answer:
                connection.sendall(answer)
    return talk.state


def say(words: tuple[str, str], *, wrong: bool = False, more: str = "") -> None:
    for text in words:
        print(f"  {text}{more}", file=sys.stderr if wrong else sys.stdout)


def check(scanner: dict[str, Any]) -> bool:
    """Says how the scanner is. True where it can scan."""
    print(f"{scanner['id']} · {scanner['name']} · {scanner['url'] or 'SANE ' + scanner['ipv4']}", flush=True)
    state = ask(scanner)
    say(WORDS[state])
    return state in escl.WORKING


def device(scanner: dict[str, Any], listed: list[str]) -> str | None:
    """The name that SANE has for the scanner, of those that it lists."""
    if scanner["kind"] == "sane":
        return next((name for name in listed if name.startswith(f"net:{scanner['ipv4']}:")), None)
    own = scanner["name"].replace("\\", "").replace('"', "")
    return next((name for name in listed if name.startswith("airscan:e") and name.split(":", 2)[2] == own), None)


def scan(scanner: dict[str, Any], file: Path, source: str | None) -> bool:
    """Scans one page into the file. True where it is there."""
    argv = ["scanimage", "--formatted-device-list=%d%n"]
    try:
        listed = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=LIST_TIMEOUT)
    except subprocess.TimeoutExpired:  # a box that takes the connection and says nothing
        return not_scanned(scanner, f"SANE lists nothing after {LIST_TIMEOUT} s")
    name = device(scanner, listed.stdout.splitlines())
    if name is None:
        return not_scanned(scanner, listed.stderr or "SANE does not list it")
    making = file.with_name(f".{file.name}.part")
    argv = ["scanimage", "--device-name", name, "--resolution", "300", "--mode", "Color", *A4]
    argv += ["--source", source] if source else []
    argv += [f"--format={FORMATS[file.suffix.lower()]}", f"--output-file={making}"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=SCAN_TIMEOUT)
    except subprocess.TimeoutExpired:
        making.unlink(missing_ok=True)
        return not_scanned(scanner, f"not done after {SCAN_TIMEOUT} s")
    if done.returncode != 0 or not making.exists() or making.stat().st_size == 0:
        making.unlink(missing_ok=True)
        return not_scanned(scanner, done.stderr)
    making.replace(file)
    say(SAVED, more=f": {file}")
    return True


def not_scanned(scanner: dict[str, Any], error: str) -> bool:
    """Says why, as far as the scanner itself or SANE knows."""
    state = ask(scanner)
    said = error.strip().splitlines()[-1] if error.strip() else ""
    of_sane = {"jammed": escl.JAM, "cover is open": escl.OPEN, "busy": escl.BUSY, "Access to resource": escl.DENIED}
    state = next((known for words, known in of_sane.items() if words in said), state)
    if "out of documents" in said and state in escl.WORKING:
        say(NO_PAPER, wrong=True)
    else:
        say(NOT_SCANNED if state == escl.READY else WORDS[state], wrong=True)
    print(f"  [{said}]", file=sys.stderr)
    return False


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="wardnet-scan-check", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scanner", nargs="?", help="id of one scanner")
    parser.add_argument("--scan", metavar="FILE", help="scan a page into this file; alone: into the folder for scans")
    parser.add_argument("--source", help="where the page lies, as the scanner names it: Flatbed, ADF")
    options = parser.parse_args(arguments)
    configuration = json.loads(CONFIGURATION.read_text())
    known = {each["id"]: each for each in configuration["scanners"]}
    if not known:
        say(NOTHING, wrong=True)
        return 1
    if options.scanner is not None and options.scanner not in known:
        parser.error(f"không có / there is no scanner {options.scanner!r}: {', '.join(known)}")
    if options.scan is None:
        chosen = [known[options.scanner]] if options.scanner else list(known.values())
        well = [check(each) for each in chosen]
        return 0 if all(well) else 1
    if options.scanner is None and len(known) > 1:
        parser.error(f"chọn một máy quét / choose a scanner: {', '.join(known)}")
    file = Path(options.scan)
    if file.suffix.lower() not in FORMATS:
        parser.error(f"{file}: .pdf, .png, .jpg")
    if not file.is_absolute() and os.sep not in options.scan:
        folder = Path.home() / configuration["folder"]
        folder.mkdir(exist_ok=True)
        file = folder / file
    return 0 if scan(known[options.scanner or next(iter(known))], file, options.source) else 1


if __name__ == "__main__":
    sys.exit(main())
