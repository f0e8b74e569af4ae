"""The lab's portal with a first page that does what a test tells it to, as a page does that means no good. Runs at the
portal, in the place of lab.services.portal; what it hears from browsers and has for them are files in FOLDER.

    told.json     {"id", "page", "script", "tap"}: what the page with that number is to run, at once or when it is
                  tapped, which is when a browser lets it do more
    heard         a line of JSON for each page that was opened, and each script's end
    pages.json    {number: {"at", "look", "width", "height"}} as each page said last, `at` in seconds of the machine's
                  steady clock
"""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

FOLDER = Path("/run/wardnet-portal")
PAGE = """<!doctype html><html lang="vi"><head><meta charset="utf-8"><title>Bẫy NUMBER</title></head>
<body style="margin:0"><button id="all" style="width:100vw;height:100vh">Bẫy</button><input id="file" type="file">
<script>
const page = "NUMBER", all = document.getElementById("all"), file = document.getElementById("file");
let last = 0, armed = null;
const say = told => navigator.sendBeacon("/bay/heard", JSON.stringify({page, ...told}));
async function run({id, script}) {
  say({id, begun: true});
  let found;
  try { found = String(await eval(script)); } catch (error) { found = String(error); }
  say({id, found});
}
all.onclick = () => { const now = armed; armed = null; if (now) run(now); };
async function ask() {
  try {
    const look = document.visibilityState;
    const answer = await fetch(`/bay/told?page=${page}&look=${look}&width=${innerWidth}&height=${innerHeight}`);
    const told = await answer.json();
    if (told.page === page && told.id > last) {
      last = told.id;
      if (told.tap) { armed = told; say({id: told.id, armed: true}); } else run(told);
    }
  } catch (error) {}
  setTimeout(ask, 300);
}
ask();
</script></body></html>"""


class Trap:
    def __init__(self, portal: Any, response: Any) -> None:
        self._portal = portal
        self._response = response
        self._lock = threading.Lock()
        self._opened = 0
        self._pages: dict[str, dict[str, Any]] = {}

    def answer(self, request: Any) -> Any:
        with self._lock:
            return self._answer(request)

    def _answer(self, request: Any) -> Any:
        by_browser = "Chrome" in request.headers.get("user-agent", "")  # gateways ask for the page too, to measure
        if request.method == "GET" and by_browser and request.path in ("/", "/bay/khac"):
            self._opened += 1
            self._hear({"page": str(self._opened), "opened": request.path})
            page = PAGE.replace("NUMBER", str(self._opened)).encode()
            return self._response(200, page, headers=(("Cache-Control", "no-store"),))
        if request.path == "/bay/heard":
            self._hear(json.loads(request.body))
            return self._response(204)
        if request.path == "/bay/told":
            own = {"at": time.monotonic(), **{key: request.query.get(key, "") for key in ("look", "width", "height")}}
            self._pages[request.query.get("page", "")] = own
            self._write("pages.json", json.dumps(self._pages))
            told = FOLDER / "told.json"
            body = told.read_bytes() if told.exists() else b'{"id": 0}'
            return self._response(200, body, "application/json", (("Cache-Control", "no-store"),))
        if request.path == "/bay/tep":
            self._hear({"fetched": request.path})
            as_file = (("Content-Disposition", 'attachment; filename="bay-tep.bin"'),)
            return self._response(200, b"x" * 4096, "application/octet-stream", as_file)
        return self._portal.answer(request)

    def _hear(self, line: dict[str, Any]) -> None:
        with (FOLDER / "heard").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _write(self, name: str, text: str) -> None:
        new = FOLDER / f"{name}.new"
        new.write_text(text, encoding="utf-8")
        new.replace(FOLDER / name)


def main() -> None:
    from lab.services.portal import Portal
    from lab.services.portal_store import Store, read_accounts
    from lab.services.serving import Response, credentials
    from lab.services.web import serve_both, to_https

    folder = credentials()
    assert folder is not None
    for name in ("heard", "pages.json", "told.json"):
        (FOLDER / name).unlink(missing_ok=True)
    store = Store(Path(os.environ["STATE_DIRECTORY"]) / "portal.sqlite")
    serve_both(Trap(Portal(store, read_accounts(folder / "accounts.json")), Response).answer, to_https)


if __name__ == "__main__":
    main()
