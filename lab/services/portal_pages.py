"""The portal's pages, in Vietnamese. Everything that came from a visitor is escaped."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from html import escape

from lab.services.portal_forms import PROCEDURES, Procedure
from lab.services.portal_store import Session, Submission

STYLE = """body{font-family:'DejaVu Sans',sans-serif;margin:0;color:#222;background:#f6f7f9}
header{background:#8a1c1c;color:#fff;padding:1rem 2rem}header a{color:#fff}
main{max-width:60rem;margin:1.5rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%}td,th{border:1px solid #ccd;padding:.4rem;text-align:left}
label{display:block;margin:.6rem 0}input{font:inherit;padding:.3rem;width:24rem;max-width:100%}
button{font:inherit;padding:.4rem 1rem}.error{color:#a00;font-weight:bold}
.board{font-size:max(1rem,1.9vw)}.board main{max-width:none;margin:0;padding:0 2vw;display:flex;flex-wrap:wrap;
gap:0 2vw}.board h1{width:100%;margin:.4em 0}.board h2{margin:0 0 .4em}.board section{flex:1 1 24em}
.board td,.board th{padding:.35em .5em}.board th,.board section+section td{white-space:nowrap}
"""
_HA_NOI = timezone(timedelta(hours=7))


def _layout(title: str, body: str, session: Session | None, look: str = "") -> bytes:
    user = session.user if session is not None else None
    if user is not None and session is not None:
        account = (
            f'<form method="post" action="/dang-xuat" style="display:inline">{_csrf(session)}'
            f"{escape(user)} <button>Đăng xuất</button></form>"
        )
    else:
        account = '<a href="/dang-nhap">Đăng nhập</a>'
    return f"""<!doctype html>
<html lang="vi"><head><meta charset="utf-8"><title>{escape(title)} - Dịch vụ công trực tuyến</title>
<link rel="stylesheet" href="/static/style.css"></head>
<body class="{look}"><header><strong>Cổng dịch vụ công trực tuyến</strong> &middot; <a href="/">Thủ tục</a> &middot;
<a href="/tra-cuu">Tra cứu hồ sơ</a> &middot; <a href="/bang-ket-qua">Bảng kết quả</a> &middot; {account}</header>
<main><h1>{escape(title)}</h1>
{body}
</main></body></html>
""".encode()


def _csrf(session: Session) -> str:
    return f'<input type="hidden" name="csrf" value="{escape(session.csrf)}">'


def _error(message: str) -> str:
    return f'<p class="error" role="alert">{escape(message)}</p>' if message else ""


def _local(received_at: str, form: str = "%H:%M %d/%m/%Y") -> str:
    """A time of the store's as people in Ha Noi read it."""
    return datetime.fromisoformat(received_at).astimezone(_HA_NOI).strftime(form)


def home(session: Session | None) -> bytes:
    steps = "<ol><li>Đăng nhập bằng tài khoản cán bộ.</li><li>Chọn thủ tục và điền mẫu đơn.</li>"
    steps += "<li>Quét giấy tờ gốc và tải lên.</li><li>Giao mã hồ sơ cho người dân để tra cứu.</li></ol>"
    rows = "".join(
        f'<tr><td><a href="/thu-tuc/{one.id}">{escape(one.name)}</a></td>'
        f"<td>{escape(', '.join(label for _, label in one.fields))}</td><td>Cấp phường</td></tr>"
        for one in PROCEDURES
    )
    table = f"<table><tr><th>Thủ tục</th><th>Thông tin cần có</th><th>Cấp giải quyết</th></tr>{rows}</table>"
    return _layout("Thủ tục hành chính", steps + table, session)


def sign_in(session: Session, message: str = "") -> bytes:
    body = f"""{_error(message)}<form method="post" action="/dang-nhap">{_csrf(session)}
<label>Tên đăng nhập <input name="user" autocomplete="username" required></label>
<label>Mật khẩu <input name="password" type="password" autocomplete="current-password" required></label>
<button>Đăng nhập</button></form>"""
    return _layout("Đăng nhập", body, session)


def form(procedure: Procedure, session: Session, message: str = "") -> bytes:
    inputs = "".join(
        f'<label>{escape(label)} <input name="{name}" required maxlength="200"></label>'
        for name, label in procedure.fields
    )
    body = f"""{_error(message)}<form method="post" action="/thu-tuc/{procedure.id}" enctype="multipart/form-data">
{_csrf(session)}{inputs}
<label>Bản quét giấy tờ (PDF, PNG hoặc JPEG)
<input name="scan" type="file" accept="application/pdf,image/png,image/jpeg" required></label>
<button>Nộp hồ sơ</button></form>"""
    return _layout(procedure.name, body, session)


def received(procedure: Procedure, code: str, session: Session) -> bytes:
    body = f"""<p>Đã tiếp nhận hồ sơ. Mã hồ sơ: <strong id="code">{escape(code)}</strong></p>
<p><a href="/tra-cuu?ma={escape(code)}">Tra cứu hồ sơ này</a></p>"""
    return _layout(procedure.name, body, session)


def look_up(code: str, found: Submission | None, names: dict[str, str], session: Session | None) -> bytes:
    answer = ""
    if found is not None:
        answer = f"""<table><tr><th>Mã hồ sơ</th><td>{escape(found.code)}</td></tr>
<tr><th>Thủ tục</th><td>{escape(names.get(found.procedure, found.procedure))}</td></tr>
<tr><th>Thời điểm nhận</th><td>{_local(found.received_at)}</td></tr>
<tr><th>Trạng thái</th><td id="status">{escape(found.status)}</td></tr></table>"""
    elif code:
        answer = _error(f"Không có hồ sơ nào mang mã {code}.")
    body = f"""<form method="get" action="/tra-cuu"><label>Mã hồ sơ
<input name="ma" value="{escape(code)}" required></label><button>Tra cứu</button></form>{answer}"""
    return _layout("Tra cứu hồ sơ", body, session)


def board(counts: dict[str, int], latest: Iterable[Submission], session: Session | None) -> bytes:
    totals = "".join(f"<tr><td>{escape(one.name)}</td><td>{counts.get(one.id, 0)}</td></tr>" for one in PROCEDURES)
    rows = "".join(
        f"<tr><td>{escape(one.code)}</td><td>{_local(one.received_at, '%H:%M %d/%m')}</td>"
        f"<td>{escape(one.status)}</td></tr>"
        for one in latest
    )
    body = f"""<section><h2>Đã nhận</h2><table><tr><th>Thủ tục</th><th>Số hồ sơ</th></tr>{totals}</table></section>
<section><h2>Hồ sơ mới nhất</h2>
<table><tr><th>Mã</th><th>Nhận lúc</th><th>Trạng thái</th></tr>{rows}</table></section>"""
    return _layout("Bảng kết quả", body, session, "board")


def plain(title: str, text: str, session: Session | None) -> bytes:
    return _layout(title, f"<p>{escape(text)}</p>", session)
