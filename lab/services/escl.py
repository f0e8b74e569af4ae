"""A network scanner as driverless ones are: eSCL over HTTP, `python -m lab.services.escl [PORT]`.

It does what sane-airscan asks of one: capabilities, status, jobs with a region, resolution, colour, source and format.
On the glass lies a sheet of A4 (paper.py); in the feeder as many as the control file says. What ails it is injected
through that file: {"fault": "jam", "delay_seconds": 2, "feeder": 3}. Faults: jam, open (a cover), stopped,
busy, off (connections end without a word), garbage (an answer that is no eSCL), refusing (HTTP 500).
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.services import jpeg, paper
from lab.services.serving import Request, Response, make_server, tell_ready

CONTROL = Path("/run/lab-scanner/control.json")
FAULTS = ("jam", "open", "stopped", "busy", "off", "garbage", "refusing")
FORMATS = ("image/jpeg", "image/png", "application/pdf")
RESOLUTIONS = (75, 100, 150, 200, 300, 600)
COLOURS = {"RGB24": True, "Grayscale8": False}
_XML = "text/xml; charset=utf-8"
_SPACES = 'xmlns:scan="http://schemas.hp.com/imaging/escl/2011/05/03" xmlns:pwg="http://www.pwg.org/schemas/2010/12/sm"'
_RESOLUTION = (
    "<scan:DiscreteResolution><scan:XResolution>{0}</scan:XResolution><scan:YResolution>{0}</scan:YResolution>"
    "</scan:DiscreteResolution>"
)
_INPUT = f"""<scan:MinWidth>16</scan:MinWidth><scan:MaxWidth>{paper.WIDTH}</scan:MaxWidth>
<scan:MinHeight>16</scan:MinHeight><scan:MaxHeight>{
    paper.HEIGHT
}</scan:MaxHeight><scan:MaxScanRegions>1</scan:MaxScanRegions>
<scan:SettingProfiles><scan:SettingProfile>
<scan:ColorModes>{"".join(f"<scan:ColorMode>{mode}</scan:ColorMode>" for mode in COLOURS)}</scan:ColorModes>
<scan:DocumentFormats>{
    "".join(
        f"<pwg:DocumentFormat>{each}</pwg:DocumentFormat><scan:DocumentFormatExt>{each}</scan:DocumentFormatExt>"
        for each in FORMATS
    )
}</scan:DocumentFormats>
<scan:SupportedResolutions><scan:DiscreteResolutions>{
    "".join(_RESOLUTION.format(ppi) for ppi in RESOLUTIONS)
}</scan:DiscreteResolutions></scan:SupportedResolutions>
</scan:SettingProfile></scan:SettingProfiles>"""
CAPABILITIES = f"""<?xml version="1.0" encoding="UTF-8"?>
<scan:ScannerCapabilities {_SPACES}>
<pwg:Version>2.63</pwg:Version><pwg:MakeAndModel>Ward office scanner</pwg:MakeAndModel>
<pwg:SerialNumber>LAB-0001</pwg:SerialNumber>
<scan:Platen><scan:PlatenInputCaps>{_INPUT}</scan:PlatenInputCaps></scan:Platen>
<scan:Adf><scan:AdfSimplexInputCaps>{_INPUT}</scan:AdfSimplexInputCaps><scan:FeederCapacity>50</scan:FeederCapacity></scan:Adf>
</scan:ScannerCapabilities>
"""
_STATUS = """<?xml version="1.0" encoding="UTF-8"?>
<scan:ScannerStatus {spaces}>
<pwg:Version>2.63</pwg:Version><pwg:State>{state}</pwg:State><scan:AdfState>{feeder}</scan:AdfState>{jobs}</scan:ScannerStatus>
"""
_JOB = """<scan:JobInfo><pwg:JobUri>/eSCL/ScanJobs/{id}</pwg:JobUri><pwg:JobUuid>{id}</pwg:JobUuid>
<pwg:ImagesCompleted>{done}</pwg:ImagesCompleted><pwg:JobState>{state}</pwg:JobState></scan:JobInfo>"""
JOBS_KEPT = 16


@dataclass(frozen=True, slots=True)
class Ailment:
    """`feeder` is how many sheets lie in the feeder whenever a job begins; `delay_seconds` goes before every answer."""

    fault: str = ""
    delay_seconds: float = 0.0
    feeder: int = 0


def parse_control(text: str) -> Ailment:
    """Unreadable or senseless content injects nothing."""
    try:
        data = json.loads(text)
        found = Ailment(str(data.get("fault", "")), float(data.get("delay_seconds", 0)), int(data.get("feeder", 0)))
    except (ValueError, TypeError, AttributeError):
        return Ailment()
    fault = found.fault if found.fault in FAULTS else ""
    return Ailment(fault, min(max(found.delay_seconds, 0.0), 120.0), min(max(found.feeder, 0), 50))


def read_control(path: Path) -> Ailment:
    try:
        return parse_control(path.read_text())
    except OSError:
        return Ailment()


@dataclass(frozen=True, slots=True)
class Settings:
    """What a job asks for. What it leaves out is as on a scanner's own panel: all of the glass, in colour, as JPEG."""

    region: paper.Region = paper.Region()  # noqa: RUF009 - frozen
    ppi: int = 300
    colour: bool = True
    kind: str = FORMATS[0]
    feeder: bool = False


def parse_settings(body: bytes) -> Settings | None:
    """None where it is no ScanSettings, or asks for what the scanner has not."""
    text = body.decode("utf-8", "replace")
    if "ScanSettings" not in text:
        return None

    def value(name: str, default: Any) -> str:
        found = re.search(rf"<(?:\w+:)?{name}>\s*([^<]*?)\s*</", text)
        return found[1] if found else str(default)

    try:
        region = paper.Region(
            int(value("XOffset", 0)), int(value("YOffset", 0)), int(value("Width", paper.WIDTH)),
            int(value("Height", paper.HEIGHT)),
        )  # fmt: skip
        ppi = int(value("XResolution", 300))
    except ValueError:
        return None
    colour, source = value("ColorMode", "RGB24"), value("InputSource", "Platen")
    kind = value("DocumentFormatExt", value("DocumentFormat", FORMATS[0]))
    fits = region.left + region.width <= paper.WIDTH and region.top + region.height <= paper.HEIGHT
    sound = fits and min(region.width, region.height) >= 16 and min(region.left, region.top) >= 0
    if not sound or ppi not in RESOLUTIONS or colour not in COLOURS or kind not in FORMATS:
        return None
    return Settings(region, ppi, COLOURS[colour], kind, source == "Feeder")


def scan(settings: Settings, number: int) -> bytes:
    picture = paper.draw(settings.ppi, settings.region, colour=settings.colour, number=number)
    if settings.kind == "image/png":
        return paper.png(picture)
    encoded = jpeg.encode(picture)
    return encoded if settings.kind == "image/jpeg" else paper.pdf(picture, encoded)


@dataclass(slots=True)
class _Job:
    settings: Settings
    left: int
    done: int = 0

    @property
    def state(self) -> str:
        return "Processing" if self.left else "Completed"


class Scanner:
    """One that works on a job at a time, as real ones do."""

    def __init__(self, control: Path = CONTROL) -> None:
        self._control = control
        self._jobs: dict[str, _Job] = {}
        self._lock = threading.Lock()
        self._pages: dict[tuple[Settings, int], bytes] = {}  # the last one, since it is often asked for again

    def answer(self, request: Request) -> Response:
        ailment = read_control(self._control)
        time.sleep(ailment.delay_seconds)
        match ailment.fault:
            case "off":
                return Response(0, raw=True)
            case "garbage":
                return Response(200, b"<html><body>It works!</body></html>\n")
            case "refusing":
                return Response(500, b"internal error\n", "text/plain")
        with self._lock:
            return self._answer(request, ailment)

    def _answer(self, request: Request, ailment: Ailment) -> Response:
        match (request.method, request.path.replace("//", "/")):
            case ("GET" | "HEAD", "/eSCL/ScannerCapabilities"):
                return Response(200, CAPABILITIES.encode(), _XML)
            case ("GET" | "HEAD", "/eSCL/ScannerStatus"):
                return Response(200, self._status(ailment).encode(), _XML)
            case ("POST", "/eSCL/ScanJobs"):
                return self._begin(request, ailment)
        found = re.fullmatch(r"/eSCL/ScanJobs/([0-9a-f-]{36})(/NextDocument)?", request.path)
        if found is None or found[1] not in self._jobs:
            return Response(404, b"no such job\n", "text/plain")
        if request.method == "DELETE" and not found[2]:
            del self._jobs[found[1]]
            return Response(200)
        if request.method == "GET" and found[2]:
            return self._next(self._jobs[found[1]], ailment)
        return Response(405, b"not here\n", "text/plain")

    def _begin(self, request: Request, ailment: Ailment) -> Response:
        settings = parse_settings(request.body)
        if settings is None:
            return Response(400, b"scan settings are missing, or ask for what is not there\n", "text/plain")
        if ailment.fault in ("busy", "stopped") or any(job.left for job in self._jobs.values()):
            return Response(503, b"busy\n", "text/plain")
        if ailment.fault == "open" or (settings.feeder and not ailment.feeder and ailment.fault != "jam"):
            return Response(409, b"no paper, or a cover is open\n", "text/plain")
        for finished in list(self._jobs)[: -JOBS_KEPT + 1]:
            del self._jobs[finished]
        name = str(uuid.uuid4())
        self._jobs[name] = _Job(settings, max(ailment.feeder, 1) if settings.feeder else 1)
        host = request.headers.get("host", "")
        return Response(201, headers=(("Location", f"http://{host}/eSCL/ScanJobs/{name}"),))

    def _next(self, job: _Job, ailment: Ailment) -> Response:
        if job.left == 0:
            return Response(404, b"no more pages\n", "text/plain")
        if ailment.fault in ("jam", "open", "stopped"):
            job.left = 0
            return Response(409, b"the page was not scanned\n", "text/plain")
        key = (job.settings, job.done + 1)
        if key not in self._pages:
            self._pages = {key: scan(*key)}
        job.left, job.done = job.left - 1, job.done + 1
        return Response(200, self._pages[key], job.settings.kind)

    def _status(self, ailment: Ailment) -> str:
        working = any(job.left for job in self._jobs.values()) or ailment.fault == "busy"
        state = "Stopped" if ailment.fault in ("jam", "open", "stopped") else "Processing" if working else "Idle"
        feeder = {"jam": "ScannerAdfJam", "open": "ScannerAdfDoorOpen"}.get(
            ailment.fault, "ScannerAdfLoaded" if ailment.feeder else "ScannerAdfEmpty"
        )
        jobs = [_JOB.format(id=name, done=job.done, state=job.state) for name, job in self._jobs.items()]
        return _STATUS.format(
            spaces=_SPACES, state=state, feeder=feeder, jobs=f"<scan:Jobs>{''.join(jobs)}</scan:Jobs>" if jobs else ""
        )


if __name__ == "__main__":
    server = make_server(Scanner().answer, int(sys.argv[1]) if sys.argv[1:] else 80)
    tell_ready()
    server.serve_forever()
