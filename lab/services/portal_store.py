"""What the portal remembers: submissions in SQLite, sessions in memory."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import sqlite3
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

SESSION_SECONDS = 1800
MAX_SESSIONS = 10_000


@dataclass(frozen=True, slots=True)
class Submission:
    code: str
    procedure: str
    received_at: str  # UTC, ISO 8601
    status: str


class Store:
    """Submissions. One connection, used by one thread at a time."""

    def __init__(self, path: Path | str) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False)
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS submission (code TEXT PRIMARY KEY, procedure TEXT NOT NULL,"
            " received_at TEXT NOT NULL, status TEXT NOT NULL, fields TEXT NOT NULL, scan BLOB NOT NULL)"
        )
        self._db.commit()

    def add(self, procedure: str, fields: dict[str, str], scan: bytes) -> str:
        """Keep a submission; returns the code that its status is looked up by."""
        code = f"HS-{secrets.token_hex(5).upper()}"
        now = datetime.now(UTC).isoformat(timespec="seconds")
        row = (code, procedure, now, "Đã tiếp nhận", json.dumps(fields, ensure_ascii=False), scan)
        with self._lock, self._db:
            self._db.execute("INSERT INTO submission VALUES (?, ?, ?, ?, ?, ?)", row)
        return code

    def find(self, code: str) -> Submission | None:
        with self._lock:
            row = self._db.execute(
                "SELECT code, procedure, received_at, status FROM submission WHERE code = ?", (code,)
            ).fetchone()
        return Submission(*row) if row else None

    def latest(self, count: int) -> list[Submission]:
        with self._lock:
            rows = self._db.execute(
                "SELECT code, procedure, received_at, status FROM submission ORDER BY received_at DESC, rowid DESC"
                " LIMIT ?",
                (count,),
            ).fetchall()
        return [Submission(*row) for row in rows]

    def counts(self) -> dict[str, int]:
        with self._lock:
            rows = self._db.execute("SELECT procedure, count(*) FROM submission GROUP BY procedure").fetchall()
        return dict(rows)


@dataclass(slots=True)
class Session:
    id: str
    csrf: str
    user: str | None = None
    used_at: float = field(default_factory=time.monotonic)


class Sessions:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_id: dict[str, Session] = {}

    def open(self, user: str | None = None) -> Session:
        """A new session, with an id that nobody can guess."""
        session = Session(secrets.token_urlsafe(32), secrets.token_urlsafe(24), user)
        with self._lock:
            self._expire()
            self._by_id[session.id] = session
        return session

    def find(self, session_id: str) -> Session | None:
        with self._lock:
            session = self._by_id.get(session_id)
            if session is None or time.monotonic() - session.used_at > SESSION_SECONDS:
                return None
            session.used_at = time.monotonic()
            return session

    def close(self, session_id: str) -> None:
        with self._lock:
            self._by_id.pop(session_id, None)

    def _expire(self) -> None:
        oldest = time.monotonic() - SESSION_SECONDS
        stale = [key for key, session in self._by_id.items() if session.used_at < oldest]
        if len(self._by_id) - len(stale) >= MAX_SESSIONS:
            stale = sorted(self._by_id, key=lambda key: self._by_id[key].used_at)[: MAX_SESSIONS // 2]
        for key in stale:
            del self._by_id[key]


def hash_password(password: str, salt: str) -> str:
    return hashlib.scrypt(password.encode(), salt=salt.encode(), n=1 << 12, r=8, p=1).hex()


class Accounts:
    """Who may sign in: {user: {"salt": ..., "hash": ...}}."""

    def __init__(self, accounts: dict[str, dict[str, str]]) -> None:
        self._accounts = accounts

    def accepts(self, user: str, password: str) -> bool:
        # An unknown user costs as long as a known one.
        account = self._accounts.get(user, {"salt": "none", "hash": ""})
        return hmac.compare_digest(hash_password(password, account["salt"]), account["hash"])


def read_accounts(path: Path) -> Accounts:
    return Accounts(json.loads(path.read_text()))
