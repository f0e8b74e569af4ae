"""A network scanner as driverless ones are: eSCL over HTTP. Each job gives one page, then no more."""

from __future__ import annotations

import re
import struct
import threading
import uuid
import zlib

from lab.services.serving import Request, Response, make_server, tell_ready

_XML = "text/xml; charset=utf-8"
_CAPABILITIES = """<?xml version="1.0" encoding="UTF-8"?>
<scan:ScannerCapabilities xmlns:scan="http://schemas.hp.com/imaging/escl/2011/05/03"
 xmlns:pwg="http://www.pwg.org/schemas/2010/12/sm">
<pwg:Version>2.63</pwg:Version><pwg:MakeAndModel>Ward office scanner</pwg:MakeAndModel>
<scan:Platen><scan:PlatenInputCaps>
<scan:MinWidth>16</scan:MinWidth><scan:MaxWidth>2550</scan:MaxWidth>
<scan:MinHeight>16</scan:MinHeight><scan:MaxHeight>3508</scan:MaxHeight><scan:MaxScanRegions>1</scan:MaxScanRegions>
<scan:SettingProfiles><scan:SettingProfile>
<scan:ColorModes><scan:ColorMode>Grayscale8</scan:ColorMode></scan:ColorModes>
<scan:DocumentFormats><pwg:DocumentFormat>image/png</pwg:DocumentFormat></scan:DocumentFormats>
<scan:SupportedResolutions><scan:DiscreteResolutions><scan:DiscreteResolution>
<scan:XResolution>75</scan:XResolution><scan:YResolution>75</scan:YResolution>
</scan:DiscreteResolution></scan:DiscreteResolutions></scan:SupportedResolutions>
</scan:SettingProfile></scan:SettingProfiles>
</scan:PlatenInputCaps></scan:Platen></scan:ScannerCapabilities>
"""
_STATUS = """<?xml version="1.0" encoding="UTF-8"?>
<scan:ScannerStatus xmlns:scan="http://schemas.hp.com/imaging/escl/2011/05/03"
 xmlns:pwg="http://www.pwg.org/schemas/2010/12/sm">
<pwg:Version>2.63</pwg:Version><pwg:State>{state}</pwg:State></scan:ScannerStatus>
"""
WIDTH, HEIGHT = 620, 877  # A4 at 75 dots an inch


def page() -> bytes:
    """A scanned page: a grey PNG with lines of writing."""
    rows = []
    for y in range(HEIGHT):
        ink = 60 < y < HEIGHT - 60 and y % 24 < 8
        row = bytes(30 if ink and 60 < x < WIDTH - 60 and (x * 7 + y) % 11 < 6 else 245 for x in range(WIDTH))
        rows.append(b"\0" + row)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 0, 0, 0, 0)
    body = zlib.compress(b"".join(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


class Scanner:
    def __init__(self) -> None:
        self._page = page()
        self._jobs: dict[str, int] = {}  # pages left
        self._lock = threading.Lock()

    def answer(self, request: Request) -> Response:
        with self._lock:
            return self._answer(request)

    def _answer(self, request: Request) -> Response:
        match (request.method, request.path):
            case ("GET" | "HEAD", "/eSCL/ScannerCapabilities"):
                return Response(200, _CAPABILITIES.encode(), _XML)
            case ("GET" | "HEAD", "/eSCL/ScannerStatus"):
                state = "Processing" if any(self._jobs.values()) else "Idle"
                return Response(200, _STATUS.format(state=state).encode(), _XML)
            case ("POST", "/eSCL/ScanJobs"):
                if b"ScanSettings" not in request.body:
                    return Response(400, b"scan settings are missing\n", "text/plain")
                job = str(uuid.uuid4())
                self._jobs[job] = 1
                host = request.headers.get("host", "")
                return Response(201, headers=(("Location", f"http://{host}/eSCL/ScanJobs/{job}"),))
        found = re.fullmatch(r"/eSCL/ScanJobs/([0-9a-f-]{36})(/NextDocument)?", request.path)
        if found is None or found[1] not in self._jobs:
            return Response(404, b"no such job\n", "text/plain")
        if request.method == "DELETE" and not found[2]:
            del self._jobs[found[1]]
            return Response(200)
        if request.method == "GET" and found[2]:
            if self._jobs[found[1]] == 0:
                return Response(404, b"no more pages\n", "text/plain")
            self._jobs[found[1]] -= 1
            return Response(200, self._page, "image/png")
        return Response(405, b"not here\n", "text/plain")


if __name__ == "__main__":
    server = make_server(Scanner().answer, 80)
    tell_ready()
    server.serve_forever()
