"""A clerk's form with a scan: signs in at the portal, sends it, looks its state up, says `STATUS CODE ON-BOARD STATE`.

`python3 upload.py PORTAL PASSWORD SCAN [CA]`. Standard library only: it runs at a clerk's PC.
"""

from __future__ import annotations

import http.cookiejar
import re
import ssl
import sys
import urllib.parse
import urllib.request
import uuid
from pathlib import Path

PROCEDURE = "cu-tru"
FIELDS = {"ho_ten": "Nguyễn Văn Thử", "so_dinh_danh": "000000000000", "dia_chi": "Tổ dân phố 1, phường Bưởi"}


def found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise SystemExit(f"the portal's page has no {pattern}")
    return match[1]


def main(portal: str, password: str, scan: str, authority: str | None = None) -> None:
    opener = urllib.request.build_opener(
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=authority)),
        urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()),
    )

    def get(path: str) -> str:
        return str(opener.open(portal + path, timeout=30).read().decode())

    def token(path: str) -> str:
        return found('name="csrf" value="([^"]+)"', get(path))

    form = {"csrf": token("dang-nhap"), "user": "canbo", "password": password}
    opener.open(portal + "dang-nhap", urllib.parse.urlencode(form).encode(), timeout=30)
    mark = uuid.uuid4().hex
    fields = {"csrf": token(f"thu-tuc/{PROCEDURE}"), **FIELDS}
    parts = [
        f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    parts.append(f'--{mark}\r\nContent-Disposition: form-data; name="scan"; filename="{Path(scan).name}"\r\n\r\n')
    body = "".join(parts).encode() + Path(scan).read_bytes() + f"\r\n--{mark}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={mark}"}
    request = urllib.request.Request(f"{portal}thu-tuc/{PROCEDURE}", body, headers)  # noqa: S310 - the caller's https
    answer = opener.open(request, timeout=120)
    code = found('id="code">([^<]+)<', answer.read().decode())
    state = found('id="status">([^<]+)<', get(f"tra-cuu?ma={code}"))
    print(answer.status, code, "yes" if code in get("bang-ket-qua") else "no", state)


if __name__ == "__main__":
    main(*sys.argv[1:])
