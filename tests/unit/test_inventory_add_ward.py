"""`wardnet inventory add-ward`: the file a person would write, free addresses, nothing on disk before it is right."""

from __future__ import annotations

import re
import shutil
from datetime import date
from functools import cache
from ipaddress import ip_interface
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from tests.golden.inventory_cases import FOLDER
from tests.unit.compile_support import INVENTORY, files, sample
from wardnet.cli import inventory as command
from wardnet.cli.main import build
from wardnet.compile import compile_plan
from wardnet.inventory import InventoryErrors, parse_district, read_district
from wardnet.inventory.problems import Problems
from wardnet.inventory.writing import (
    Line,
    NewWard,
    Proposal,
    WritingError,
    default_model,
    office_of,
    propose_ward,
    read_files,
    slug,
)
from wardnet.inventory.writing.edit import add_item, scalar
from wardnet.inventory.yamlfile import parse_yaml
from wardnet.model.intent import Addressing, Channel, District

pytestmark = pytest.mark.long

DAY = date(2026, 12, 1)
LINES = {Channel.WAN: Line("Provider A", 20000, 20000), Channel.INTERNET: Line("Provider B", 50000, 25000)}


def new(ward: str = "ha-moi", name: str = "Hà Mới", *, like: str = "yen-phu", **more: object) -> NewWard:
    values = {"valid_from": DAY, "lines": LINES, "pcs": 3, "office_name": f"Trụ sở UBND phường {name}", **more}
    return NewWard(id=ward, name=name, model=like, **values)  # type: ignore[arg-type]


def text_of(proposal: Proposal, ward: str = "ha-moi") -> str:
    return proposal.after[f"wards/{ward}.yml"].decode()


@cache
def without_yen_phu() -> tuple[dict[str, bytes], District]:
    content = {name: text for name, text in files().items() if name != "wards/yen-phu.yml"}
    return content, parse_district(content)


def test_the_file_is_what_a_person_had_written() -> None:
    """The district without its last ward, and that ward added again: the same file, byte for byte."""
    content, district = without_yen_phu()
    again = new("yen-phu", "Yên Phụ", like="xuan-la", valid_from=date(2024, 1, 1))
    assert propose_ward(content, district, again).after == {"wards/yen-phu.yml": files()["wards/yen-phu.yml"]}


@pytest.mark.parametrize("like", [ward.id for ward in sample().wards if not ward.is_district])
def test_a_ward_like_any_other_is_right_and_compiles(like: str) -> None:
    lines = LINES
    circuits = office_of(sample(), like)[1].circuits
    if any(circuit.addressing is Addressing.DHCP for circuit in circuits):
        lines = {**LINES, Channel.INTERNET: Line("Provider B", 50000, 25000, Addressing.DHCP)}
    district = propose_ward(files(), sample(), new(like=like, lines=lines)).district()
    plan = compile_plan(district, DAY)
    gateway = next(each for each in plan.gateways if each.ward == "ha-moi")
    assert gateway.managed
    assert not {str(gateway.management_ipv4)} & {str(each.management_ipv4) for each in plan.gateways} - {
        str(gateway.management_ipv4)
    }


def test_lines_of_every_kind_are_like_the_models() -> None:
    folder = FOLDER / "bases" / "every-kind"
    district, content = read_district(folder), read_files(folder)
    numbers = [c.bgp.local_as for _ward, site in district.sites for c in site.circuits if c.bgp]
    for ward in district.wards:
        offices = [] if ward.is_district else [site for site in ward.sites if site.kind.value == "ward_office"]
        for office in offices:
            lines = {
                c.channel: Line("P", 10000, 10000, c.addressing, (), "new@provider.example") for c in office.circuits
            }
            pcs = sum(host.role.value == "counter" for host in office.hosts)
            made = propose_ward(content, district, new(like=ward.id, lines=lines, pcs=pcs)).district()
            added = next(each for each in made.wards if each.id == "ha-moi").sites[0]
            for old, own in zip(office.circuits, added.circuits, strict=True):
                assert (own.addressing, own.routing, own.interface, own.parent, own.vlan) == (
                    old.addressing, old.routing, old.interface, old.parent, old.vlan,
                )  # fmt: skip
                if own.bgp and old.bgp:
                    assert own.bgp.local_as == max(numbers) + 1
                    assert own.bgp.peer_as == old.bgp.peer_as
                if own.pppoe:
                    assert (own.pppoe.user, own.pppoe.password) == ("new@provider.example", "vault:ha_moi_pppoe")


def test_the_next_wards_go_on_in_all_rows_at_once() -> None:
    content, district = dict(files()), sample()
    for number in (9, 10, 11):
        proposal = propose_ward(content, district, new(f"moi-{number}", f"Mới {number}"))
        text = text_of(proposal, f"moi-{number}")
        for address in (f"10.20.{number}.1/24", f"fd20:31:{number}::2/64", f"2001:db8:21:{number}::1/64"):
            assert address in text
        assert f"198.51.100.{number * 4 + 2}/30" in text
        content |= proposal.after
        district = proposal.district()


def test_a_gap_is_used_before_the_end() -> None:
    content = {name: text for name, text in files().items() if name != "wards/tu-lien.yml"}
    district = parse_district(content)
    freed = re.search(r"10\.20\.(\d+)\.1/24", files()["wards/tu-lien.yml"].decode())
    assert freed
    assert f"10.20.{freed[1]}.1/24" in text_of(propose_ward(content, district, new()))


def test_where_a_new_provider_is_to_come_the_ward_is_like_the_line_that_stays() -> None:
    content = dict(files())
    text = content["wards/yen-phu.yml"].decode()
    own = text[text.index("      - id: yen-phu-internet\n") : text.index("    networks:")]
    later = own.replace("yen-phu-internet", "yen-phu-internet-2").replace("inet0", "fibre0")
    text = text.replace(own, own + "        valid_to: 2027-02-28\n" + later + "        valid_from: 2027-03-01\n")
    content["wards/yen-phu.yml"] = text.encode()
    made = propose_ward(content, parse_district(content), new()).district()
    office = next(site for ward, site in made.sites if ward.id == "ha-moi")
    assert [(circuit.channel, circuit.interface) for circuit in office.circuits] == [
        (Channel.WAN, "wan0"), (Channel.INTERNET, "fibre0"),
    ]  # fmt: skip


def test_addresses_that_the_provider_gave_bring_their_prefix_and_nothing_else() -> None:
    given = (ip_interface("192.0.2.6/30"),)
    lines = {**LINES, Channel.INTERNET: Line("Provider C", 50000, 25000, addresses=given)}
    proposal = propose_ward(files(), sample(), new(lines=lines))
    assert "ipv4: 192.0.2.6/30\n        ipv4_peer: 192.0.2.5\n" in text_of(proposal)
    before, after = files()["district.yml"].decode().splitlines(), proposal.after["district.yml"].decode().splitlines()
    changed = [(old, now) for old, now in zip(before, after, strict=True) if old != now]
    (old, now) = changed[0]
    assert len(changed) == 1
    assert now == old.replace("]", ", 192.0.2.4/30]")
    district = proposal.district()
    # The next one counts on from where most lines are.
    content = {**files(), **proposal.after}
    assert "ipv4: 198.51.100.42/30" in text_of(propose_ward(content, district, new("moi", "Mới")), "moi")


def test_a_lease_has_no_addresses() -> None:
    lines = {**LINES, Channel.INTERNET: Line("Provider B", 50000, 25000, Addressing.DHCP)}
    proposal = propose_ward(files(), sample(), new(lines=lines))
    (office,) = next(ward for ward in proposal.district().wards if ward.id == "ha-moi").sites
    (circuit,) = (each for each in office.circuits if each.channel is Channel.INTERNET)
    assert (circuit.addressing, circuit.own) == (Addressing.DHCP, ())


@pytest.mark.parametrize("pcs", [0, 1, 7])
def test_so_many_pcs_have_addresses_of_their_own(pcs: int) -> None:
    for like in ("yen-phu", "buoi"):  # with a switch, whose ports lead to hosts that are there
        district = propose_ward(files(), sample(), new(like=like, pcs=pcs)).district()
        (office,) = next(ward for ward in district.wards if ward.id == "ha-moi").sites
        assert sum(host.role.value == "counter" for host in office.hosts) == pcs


def test_more_pcs_than_a_network_has_addresses_are_refused() -> None:
    with pytest.raises(WritingError, match=r"no address is left for PC \d+ in network 'clerks'"):
        propose_ward(files(), sample(), new(like="buoi", pcs=300))


@pytest.mark.parametrize(
    ("said", "right"),
    [("0", True), ("150", True), ("151", False), ("²", False), ("١", False), ("-1", False), ("", False)],
)
def test_how_many_pcs_is_held_to_one_bound_wherever_it_is_said(said: str, right: bool) -> None:
    assert command._is_count(said) is right


def test_hardware_addresses_are_not_copied() -> None:
    assert "mac" in files()["wards/buoi.yml"].decode()
    assert "mac" not in text_of(propose_ward(files(), sample(), new(like="buoi")))


def test_a_long_id_still_gives_the_hub_a_port() -> None:
    proposal = propose_ward(files(), sample(), new("phuc-xa-trung-hoa", "Phúc Xá Trung Hòa"))
    assert "id: phuc-xa-tru-wan\n" in text_of(proposal, "phuc-xa-trung-hoa")
    proposal.district()


def test_a_channel_that_is_full_is_named() -> None:
    content = files()
    parts = "10.20.0.0/20, 10.20.200.0/24, 10.30.0.0/20, 10.30.200.0/24, 10.31.0.0/20"
    content["district.yml"] = content["district.yml"].replace(b"10.16.0.0/12", parts.encode(), 1)
    district = parse_district(content)
    for number in range(9, 16):
        content |= propose_ward(content, district, new(f"moi-{number}", f"Mới {number}")).after
        district = parse_district(content)
    with pytest.raises(WritingError, match=r"no /24 is left for 'clerks' in 10\.20\.0\.0/20"):
        propose_ward(content, district, new())


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"ward": "buoi"}, "there is a ward 'buoi' already"), ({"like": "bui"}, "there is no ward 'bui' to be like")],
)
def test_what_cannot_be_made_is_said(changes: dict[str, str], said: str) -> None:
    with pytest.raises(WritingError, match=said):
        propose_ward(files(), sample(), new(**changes))  # type: ignore[arg-type]


def test_the_plainest_office_is_the_model() -> None:
    _ward, office = office_of(sample(), default_model(sample()))
    assert office.switch is None


@pytest.mark.parametrize(("name", "made"), [("Hà Mới", "ha-moi"), ("Đức Thắng", "duc-thang"), (" Số 2 ", "so-2")])
def test_an_id_is_made_of_a_name(name: str, made: str) -> None:
    assert slug(name) == made


@pytest.mark.parametrize(
    "value", ["no", "10:30", "010", "true", "12", "a: b", "#x", "Bưởi", "12/QD-UBND (sample)", "x, y"]
)
def test_a_value_is_read_as_it_was_written(value: str) -> None:
    for text in (f"key: {scalar(value)}\n", f"key: {{in: {scalar(value, flow=True)}}}\n"):
        problems = Problems()
        read = parse_yaml("x.yml", text, problems)
        assert read is not None
        assert not problems.found
        assert read.data["key"] in (value, {"in": value})


def test_an_item_goes_into_a_list_of_either_style_and_comments_stay() -> None:
    block = "a:\n  # first\n  - x  # the x\n  # about y\n  - y  # the y\n# behind\nb: 1\n"
    assert add_item(block, ("a",), "z") == block.replace("# the y\n", "# the y\n  - z\n")
    flow = "a: [x, y]  # both\n"
    assert add_item(flow, ("a",), "fd20::/16") == 'a: [x, y, "fd20::/16"]  # both\n'
    assert yaml.safe_load(add_item(block, ("a",), "z"))["a"] == ["x", "y", "z"]


# --- writing


@pytest.fixture(name="folder")
def a_copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(INVENTORY, tmp_path / "inventory"))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_somebody_else_changed_meanwhile_is_not_overwritten(folder: Path) -> None:
    given = (ip_interface("192.0.2.6/30"),)
    lines = {**LINES, Channel.INTERNET: Line("Provider C", 50000, 25000, addresses=given)}
    proposal = propose_ward(read_files(folder), read_district(folder), new(lines=lines))
    (folder / "district.yml").write_text((folder / "district.yml").read_text() + "# mine\n")
    before = contents(folder)
    with pytest.raises(WritingError, match="was changed by somebody else"):
        proposal.write(folder)
    assert contents(folder) == before


def test_what_is_not_right_is_never_on_disk(folder: Path) -> None:
    given = (ip_interface("10.31.1.2/30"),)  # another ward's line
    proposal = propose_ward(
        read_files(folder),
        read_district(folder),
        new(lines={**LINES, Channel.WAN: Line("P", 1000, 1000, addresses=given)}),
    )
    with pytest.raises(InventoryErrors, match="overlaps"):
        proposal.district()


def add_ward(folder: Path, *words: str, text: str = "") -> Result:
    arguments = ["inventory", "add-ward", "-i", str(folder), *words]
    return CliRunner().invoke(build(arguments), arguments, input=text)


def test_the_command_writes_what_it_shows_and_the_check_is_clean(folder: Path) -> None:
    before = contents(folder)
    result = add_ward(folder, "--name", "Hà Mới", "--valid-from", "2026-12-01", "--pcs", "4", "--yes")
    assert result.exit_code == 0, result.output
    after = contents(folder)
    assert {name for name in after if after[name] != before.get(name)} == {"wards/ha-moi.yml"}
    shown = [line[1:] for line in result.stdout.splitlines() if line.startswith("+") and not line.startswith("+++")]
    assert "\n".join(shown) + "\n" == after["wards/ha-moi.yml"].decode()
    assert (folder / "wards" / "ha-moi.yml").stat().st_mode & 0o777 == 0o644
    assert "wardnet bootstrap ha-moi-gw" in " ".join(result.stdout.split())
    read_district(folder)


def test_without_a_terminal_it_shows_and_neither_asks_nor_writes(folder: Path) -> None:
    before = contents(folder)
    result = add_ward(folder, "--name", "Hà Mới")
    assert result.exit_code == 1
    assert "+id: ha-moi" in result.stdout
    assert "--yes writes it" in " ".join(result.stderr.split())
    assert contents(folder) == before
    nameless = add_ward(folder, "--yes")
    assert nameless.exit_code == 2
    assert "'Name of the ward' is not given" in " ".join(nameless.stderr.split())


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--wan-ipv4", "10.31.1.2/30"], 1, "overlaps 10.31.1.0/30 of circuit 'buoi-wan'"),
        (["--wan-ipv4", "10.31.9.2"], 2, "'10.31.9.2' is not an IPv4 address with its length"),
        (["--wan-kbps", "20 Mbit"], 2, "'20 Mbit' is not DOWN/UP in kbit/s"),
        (["--like", "nowhere"], 2, "there is no ward 'nowhere' to be like"),
        (["--id", "buoi"], 2, "there is a ward 'buoi' already"),
        (["--internet-addressing", "dhcp", "--internet-ipv4", "192.0.2.6/30"], 2, "the provider gives the addresses"),
        (["--internet-addressing", "pppoe", "--pppoe-user", "x"], 2, "does not dial: --like one that does"),
        (["--valid-from", "soon"], 2, "'soon' is not a day"),
        (["--id", "Ha Moi"], 1, "is not an id"),
    ],
)
def test_a_wrong_answer_is_named_and_nothing_is_written(folder: Path, words: list[str], status: int, said: str) -> None:
    before = contents(folder)
    result = add_ward(folder, "--name", "Hà Mới", "--yes", *words)
    assert result.exit_code == status, result.output
    assert said in " ".join((result.stdout + result.stderr).split())
    assert contents(folder) == before


def test_at_a_terminal_every_answer_is_asked_for_with_a_proposal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "interactive", lambda: True)
    #          name, id, like, office, PCs (the third is right), WAN: provider, rates (wrong, right), v4, v6
    answers = ["Hà Mới", "", "", "", "²", "100000", "4", "", "fast", "30000/30000", "", ""]
    answers += ["Provider C", "", "-", "", "y"]  # internet: provider, rates, v4, v6; write?
    result = add_ward(folder, text="\n".join(answers) + "\n")
    assert result.exit_code == 0, result.output
    text = (folder / "wards" / "ha-moi.yml").read_text()
    assert "{down: 30000, up: 30000, valid_from: " in text
    assert "provider: Provider C" in text
    assert "ha-moi-pc-4" in text
    declined = add_ward(folder, "--name", "Mới", text="\n" * 11 + "n\n")
    assert declined.exit_code == 1, declined.output
    assert not (folder / "wards" / "moi.yml").exists()
