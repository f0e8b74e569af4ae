"""Part `accounts`: what is found of the people that may log in at a PC, from files as they are in /etc."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.plugins_support import load

accounts = load("module_utils", "wardnet_part_accounts")
parts = load("module_utils", "wardnet_part")
candidate = load("module_utils", "wardnet_candidate")
Host = load("module_utils", "wardnet_host").Host

HASH = "$6$salt$ThisIsAHashOfAPasswordAndNoPassword"
PASSWD = """\
root:x:0:0:root:/root:/bin/bash
sshd:x:101:65534::/run/sshd:/usr/sbin/nologin
wardnet:x:1000:1000::/home/wardnet:/bin/bash
mot-cua:x:1001:1001:Cán bộ một cửa:/home/mot-cua:/bin/bash
"""
SHADOW = f"""\
root:*:20000:0:99999:7:::
sshd:!:20000::::::
wardnet:!:20000:0:99999:7:::
mot-cua:{HASH}:20000:0:99999:7:::
"""
GROUP = """\
root:x:0:
sudo:x:27:
lpadmin:x:110:mot-cua
wardnet:x:1000:
mot-cua:x:1001:
"""
KY_THUAT = {"name": "ky-thuat", "comment": "Kỹ thuật viên", "groups": ["sudo"]}
MOT_CUA = {"name": "mot-cua", "comment": "Cán bộ một cửa", "groups": ["lpadmin"]}


def part(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    people: list[dict[str, Any]],
    passwords: str | None = f"mot-cua:{HASH}\n",
    **files: str,
) -> Any:
    for name, text in {"passwd": PASSWD, "shadow": SHADOW, "group": GROUP, **files}.items():
        (folder / name).write_text(text)
    monkeypatch.setattr(accounts.Accounts, "etc", folder)
    given = [] if passwords is None else [{"path": "/etc/wardnet/people", "content": passwords, "secret": True}]
    step = candidate.read_step(
        {
            "role": "people",
            "part": "accounts",
            "files": given,
            "accounts": {"people": people, "passwords": "/etc/wardnet/people", "keep": ["wardnet"]},
        }
    )
    made = accounts.Accounts((step,), Host())
    made.read()
    return made


def test_nothing_is_said_of_a_pc_that_is_as_intended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not part(tmp_path, monkeypatch, [MOT_CUA]).difference()


@pytest.mark.parametrize(
    ("files", "missing", "foreign"),
    [
        ({"group": GROUP.replace("sudo:x:27:", "sudo:x:27:mot-cua")}, (), ("account mot-cua in group sudo",)),
        ({"group": GROUP.replace("110:mot-cua", "110:")}, ("account mot-cua in group lpadmin",), ()),
        ({"group": GROUP.replace("sudo:x:27:", "sudo:x:27:sshd")}, (), ("account sshd in group sudo",)),
        ({"shadow": SHADOW.replace(HASH, "$6$other$hash")}, ("password of mot-cua",), ()),
        ({"shadow": SHADOW.replace(f"{HASH}:20000:0:99999:7::", f"{HASH}:20000:0:99999:7::1")},
         ("account mot-cua, open",), ()),
        ({"passwd": PASSWD.replace("/home/mot-cua:/bin/bash", "/home/mot-cua:/bin/sh")},
         ("account mot-cua as Cán bộ một cửa, /bin/bash",), ()),
        ({"passwd": PASSWD + "khach:x:1002:1002::/home/khach:/bin/bash\n",
          "shadow": SHADOW + "khach:$6$x$y:20000::::::\n"}, (), ("account khach, open",)),
        ({"passwd": PASSWD + "toor:x:0:0::/root:/bin/bash\n", "shadow": SHADOW + "toor:$6$x$y:20000::::::\n"},
         (), ("account toor, open",)),
        ({"passwd": PASSWD.replace("mot-cua:x:1001", "mot-cuu:x:1001")},
         ("account mot-cua",), ("account mot-cuu, open",)),
        ({"passwd": PASSWD + "cao:x:60500:60500::/home/cao:/bin/bash\n", "shadow": SHADOW + "cao:$6$x$y:20000::::::\n"},
         (), ("account cao, open",)),
        ({"passwd": PASSWD + "nobody:x:65534:65534::/:/usr/sbin/nologin\n",
          "shadow": SHADOW + "nobody:*:20000::::::\n"},
         (), ()),
        ({"passwd": PASSWD.replace("mot-cua:x:1001:1001", "mot-cua:x:1001:27")},
         (), ("account mot-cua in group sudo",)),
        ({"passwd": PASSWD.replace("sshd:x:101:65534", "sshd:x:101:27")}, (), ("account sshd in group sudo",)),
        ({"shadow": SHADOW.replace("sshd:!", "sshd:$y$x$y")}, (), ("password of sshd",)),
    ],
)  # fmt: skip
def test_what_somebody_changed_by_hand_is_found(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: dict[str, str],
    missing: tuple[str, ...],
    foreign: tuple[str, ...],
) -> None:
    found = part(tmp_path, monkeypatch, [MOT_CUA], **files).difference()
    assert (found.missing, found.foreign) == (missing, foreign)


def test_an_account_that_was_locked_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passwd = PASSWD.replace("/home/mot-cua:/bin/bash", "/home/mot-cua:/usr/sbin/nologin")
    shadow = SHADOW.replace(f"{HASH}:20000:0:99999:7::", f"!{HASH}:20000:0:99999:7::1")
    group = GROUP.replace("110:mot-cua", "110:")
    assert not part(tmp_path, monkeypatch, [], "", passwd=passwd, shadow=shadow, group=group).difference()


def test_without_a_password_in_the_vault_none_lets_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = part(tmp_path, monkeypatch, [MOT_CUA], "").difference()
    assert found.missing == ("password of mot-cua",)


def test_passwords_that_are_not_known_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what was confirmed before, secrets are not remembered."""
    assert not part(tmp_path, monkeypatch, [MOT_CUA], None).difference()


def test_a_password_that_is_no_hash_is_refused_and_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = part(tmp_path, monkeypatch, [MOT_CUA], "mot-cua:bimat123\n")
    with pytest.raises(parts.RefusedError, match="the password of mot-cua in the vault is no hash") as caught:
        made.judge(tmp_path)
    assert "bimat123" not in str(caught.value)
    assert "bimat123" not in str(made.difference())


def test_an_account_of_the_system_is_nobodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(parts.RefusedError, match="account sshd is one of the system's own"):
        part(tmp_path, monkeypatch, [{"name": "sshd", "comment": "", "groups": []}], "")


def test_who_is_kept_is_not_given_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(parts.RefusedError, match="wardnet: kept as it is, and given"):
        part(tmp_path, monkeypatch, [{"name": "wardnet", "comment": "", "groups": []}], "")


def test_the_way_back_is_the_files_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = part(tmp_path, monkeypatch, [])
    back = {Path(entry.path).name: entry.content for entry in made.undo()}
    assert back["passwd"] == PASSWD.encode()
    assert back["shadow"] == SHADOW.encode()
    assert back["gshadow"] is None


def test_each_is_brought_back_to_its_own_first_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passwd = PASSWD.replace("mot-cua:x:1001:1001", "mot-cua:x:1001:27").replace("sshd:x:101:65534", "sshd:x:101:27")
    passwd += "khach:x:60500:27::/home/khach:/bin/bash\n"
    shadow = SHADOW.replace("sshd:!", "sshd:$y$x$y")
    made = part(tmp_path, monkeypatch, [MOT_CUA], passwd=passwd, shadow=shadow)
    ran: list[str] = []

    def run(argv: list[str], given: str = "") -> tuple[int, str, str]:
        ran.append(" ".join(argv))
        return 0, "", ""

    monkeypatch.setattr(made.host, "run", run)
    monkeypatch.setattr(made.host, "attempt", run)
    made.apply()
    assert "/usr/sbin/groupadd khach" in ran
    assert "/usr/sbin/groupadd mot-cua" not in ran, "it is there"
    assert "/usr/sbin/usermod --lock --expiredate=1 --shell=/usr/sbin/nologin --groups= --gid=khach khach" in ran
    assert "/usr/sbin/usermod --gid=sshd --lock sshd" in ran
    (given,) = [line for line in ran if line.endswith(" mot-cua") and "usermod" in line]
    assert "--gid=mot-cua" in given


@pytest.mark.parametrize(
    ("key", "person", "passwords", "foreign"),
    [
        ("ssh-ed25519 AAAA controller\n", KY_THUAT, f"ky-thuat:{HASH}\n", {"root", "wardnet"}),
        ("# none\n", KY_THUAT, f"ky-thuat:{HASH}\n", set()),  # nobody would come in any more
        (None, KY_THUAT, f"ky-thuat:{HASH}\n", set()),
        ("ssh-ed25519 AAAA controller\n", KY_THUAT, "", set()),  # nobody at the PC could become root
        ("ssh-ed25519 AAAA controller\n", {**KY_THUAT, "groups": []}, f"ky-thuat:{HASH}\n", set()),
    ],
)
def test_passwords_of_the_installation_go_once_nobody_needs_them(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    key: str | None,
    person: dict[str, Any],
    passwords: str,
    foreign: set[str],
) -> None:
    home = tmp_path / "wardnet" / ".ssh"
    home.mkdir(parents=True)
    if key is not None:
        (home / "authorized_keys").write_text(key)
    passwd = PASSWD.replace("/home/wardnet", str(home.parent))
    shadow = SHADOW.replace("root:*", f"root:{HASH}").replace("wardnet:!", f"wardnet:{HASH}")
    found = part(tmp_path, monkeypatch, [MOT_CUA, person], f"mot-cua:{HASH}\n{passwords}", passwd=passwd, shadow=shadow)
    assert set(found.difference().foreign) == {f"password of {name}" for name in foreign}
