"""What the technician does with a medium, in Vietnamese and English. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from string import Template

from wardnet.media.installation import Installation
from wardnet.media.menus import SECONDS

_PUSHED = (
    "Gọi người ở máy điều khiển và đọc 6 nhóm số. Chờ người đó báo đã thiết lập xong.",
    "Call the person at the controller and read the six groups out. Wait until that person says that it is set up.",
)
_PULLED = (
    "Máy chỉ có internet tự lấy cấu hình trong vài phút sau khi khởi động; không cần đọc số.",
    "A PC that has only the internet fetches its configuration within minutes; no digits need be read out.",
)


def readme(found: Sequence[Installation]) -> str:
    lines = []
    for each in found:
        for port, mac in each.macs:
            lines.append(f"  {mac}  {each.host.id} ({port})")
    kinds = [text for text, there in ((_PUSHED, False), (_PULLED, True)) if any(e.host.pulled is there for e in found)]
    text = (files("wardnet.media") / "readme.txt").read_text(encoding="utf-8")
    return Template(text).substitute(
        hosts="\n".join(lines),
        seconds=SECONDS,
        afterwards_vi=" ".join(kind[0] for kind in kinds),
        afterwards_en=" ".join(kind[1] for kind in kinds),
    )
