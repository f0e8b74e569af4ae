"""Procedures that the portal takes, and what a form sends: fields and one scan."""

from __future__ import annotations

from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import HTTP


@dataclass(frozen=True, slots=True)
class Procedure:
    id: str
    name: str
    fields: tuple[tuple[str, str], ...]  # (name, label)


_PERSON = (("ho_ten", "Họ và tên"), ("so_dinh_danh", "Số định danh cá nhân"))

PROCEDURES = (
    Procedure("khai-sinh", "Đăng ký khai sinh", (*_PERSON, ("ten_tre", "Họ và tên trẻ"), ("ngay_sinh", "Ngày sinh"))),
    Procedure("ket-hon", "Đăng ký kết hôn", (*_PERSON, ("ten_ban_doi", "Họ và tên bên kia"))),
    Procedure("khai-tu", "Đăng ký khai tử", (*_PERSON, ("nguoi_mat", "Họ và tên người đã mất"))),
    Procedure("hon-nhan", "Cấp giấy xác nhận tình trạng hôn nhân", (*_PERSON, ("muc_dich", "Mục đích sử dụng"))),
    Procedure("chung-thuc", "Chứng thực bản sao từ bản chính", (*_PERSON, ("so_ban", "Số bản sao"))),
    Procedure("cu-tru", "Xác nhận thông tin về cư trú", (*_PERSON, ("dia_chi", "Địa chỉ cư trú"))),
)
BY_ID = {procedure.id: procedure for procedure in PROCEDURES}

# First octets of the files that a scanner makes.
_SCANS = {b"%PDF-": "application/pdf", b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}


@dataclass(frozen=True, slots=True)
class Upload:
    fields: dict[str, str]
    scan: bytes


def scan_type(scan: bytes) -> str | None:
    """The media type of a scan by its first octets; None for anything else."""
    return next((kind for magic, kind in _SCANS.items() if scan.startswith(magic)), None)


def parse_multipart(content_type: str, body: bytes) -> Upload | None:
    """The fields of a multipart/form-data body, and its file `scan`; None if it is not one."""
    head = b"Content-Type: " + content_type.encode("latin-1", "replace") + b"\r\n\r\n"
    message = BytesParser(policy=HTTP).parsebytes(head + body)
    if message.get_content_type() != "multipart/form-data" or not message.is_multipart():
        return None
    fields: dict[str, str] = {}
    scan = b""
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        content = payload if isinstance(payload, bytes) else b""
        if name == "scan":
            scan = content
        elif isinstance(name, str):
            fields[name] = content.decode("utf-8", "replace").strip()
    return Upload(fields, scan)
