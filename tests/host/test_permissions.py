"""What flowtally writes is its owner's alone, whatever umask it is started with; and nothing is kept where others come.

Every process here is started with umask 000, the worst there is.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests import fork_server
from tests.fixtures import ADMIN, unpack
from tests.live import Live, clean_environment, live_server

from flowtally.client.outbox import Limits
from flowtally.client.spool import Spool
from flowtally.config import load_config
from flowtally.core.errors import ConfigError, Damage
from flowtally.host.permissions import create_for_owner
from flowtally.server import open_services
from flowtally.start import leases

EVENT = {"source": "gw", "id": "1", "account": "acme", "time": "2026-03-01T00:00:00Z", "bytes_down": 5}


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A place below which nothing but what the test makes is open to others."""
    tmp_path.chmod(0o700)
    return tmp_path


def open_to_others(place: Path) -> list[str]:
    """Everything at or below this place that anybody else could read, write or enter, if it could be reached."""
    found = [place, *place.rglob("*")]
    return [f"{one} {one.stat().st_mode:o}" for one in found if one.lstat().st_mode & 0o077 and not one.is_symlink()]


def run(*arguments: str, live: Live | None = None, code: int = 0) -> str:
    environment = live.environment if live else clean_environment()
    done = fork_server.run(*arguments, env=environment, umask=0)
    assert done.returncode == code, done.stderr + done.stdout
    return done.stdout if code == 0 else done.stderr


def fill(live: Live) -> None:
    with httpx.Client(base_url=live.url, headers={"Authorization": f"Bearer {live.token}"}) as client:
        assert client.post("/v1/accounts", json={"id": "acme"}).status_code == 201
        assert client.post("/v1/events", json=[EVENT]).json()["stored"] == 1


def test_all_that_a_server_its_commands_and_a_restore_make_is_the_owners_alone(own: Path, open_umask: None) -> None:
    data, out = own / "data", own / "out"
    out.mkdir(mode=0o700)
    with live_server(data) as live:
        fill(live)
        run("backup", "whole", live=live)
        run("export", "acme", "--out", str(out / "acme.parquet"), live=live)
        run("usage", "acme", "--arrow", str(out / "acme.arrow"), live=live)
        assert open_to_others(data) == []  # with the logs of the databases that are open
    run("restore", str(data / "backups" / "whole"), "--data", str(own / "new"))
    run("rebuild-keys", "--data", str(own / "new"))
    run("rebuild-roll-ups", "--data", str(own / "new"))
    run("demo", "--exit", "--data", str(own / "demo"))
    assert [line for place in (data, own / "new", own / "demo", out) for line in open_to_others(place)] == []
    assert {"acme.parquet", "acme.arrow"} <= {one.name for one in out.iterdir()}


def test_directories_that_are_made_on_the_way_are_the_owners_alone_too(own: Path, open_umask: None) -> None:
    urls = {name: f"{kind}:///{own}/{name}/made" for name, kind in (("keys", "sqlite"), ("usage", "chdb"))}
    settings = {f"FLOWTALLY_{name.upper()}_URL": f"{url}/x" for name, url in urls.items()}
    with live_server(own / "data", settings | {"FLOWTALLY_BACKUP_DIR": str(own / "c" / "d")}) as live:
        run("backup", "whole", live=live)
    assert [line for name in ("data", "c", *urls) for line in open_to_others(own / name)] == []


def test_what_an_old_program_left_open_is_closed_and_told_of(own: Path) -> None:
    unpack(own)
    data = own / "data"
    data.chmod(0o755)
    assert data.joinpath("ledger.db").stat().st_mode & 0o077
    log = own / "data.log"
    with live_server(data, {"FLOWTALLY_ADMIN_TOKEN": ADMIN}):
        assert [one for one in (data, *data.iterdir()) if one.stat().st_mode & 0o077] == []
        assert "closed_to_others" in log.read_text()
        assert f"{data} from 755 to 700" in log.read_text()
    with live_server(data, {"FLOWTALLY_ADMIN_TOKEN": ADMIN}):
        assert "closed_to_others" not in log.read_text()


def test_a_backup_of_what_an_old_program_left_is_the_owners_alone(own: Path) -> None:
    unpack(own)
    with live_server(own / "data", {"FLOWTALLY_ADMIN_TOKEN": ADMIN}) as live:
        run("backup", "whole", live=Live(live.url, ADMIN, live.data))
    assert open_to_others(own / "data" / "backups" / "whole") == []


# -- where nothing is kept --------------------------------------------------------------------------------------------


def _write(place: Path) -> None:
    place.chmod(0o777)


def _shared(place: Path) -> None:
    place.chmod(0o2770)


def _sticky(place: Path) -> None:
    place.chmod(0o1777)


def _of_others(place: Path) -> None:
    (place / "letters").mkdir()
    place.chmod(0o755)


def _above(place: Path) -> None:
    place.chmod(0o700)
    place.parent.chmod(0o777)


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "everybody writes in it": (_write, "chmod 700"),
    "it is shared with a group": (_shared, "chmod 700"),
    "it is like /tmp": (_sticky, "chmod 700"),
    "it holds what is not ours": (_of_others, "is not flowtally's"),
    "everybody writes above it": (_above, "chmod o-w"),
}


def prepared(own: Path, case: str) -> tuple[Path, str]:
    place = own / "above" / "data"
    place.mkdir(parents=True)
    REFUSED[case][0](place)
    return place, REFUSED[case][1]


@pytest.mark.parametrize("case", REFUSED)
def test_a_start_where_others_could_enter_is_refused_with_path_mode_and_what_mends_it(own: Path, case: str) -> None:
    place, mends = prepared(own, case)
    before, modes = sorted(own.rglob("*")), [one.stat().st_mode for one in (place, place.parent)]
    with (
        pytest.raises(ConfigError, match=r"data = .*mode ") as refused,
        open_services(load_config({}, data=str(place))),
    ):
        pass
    said = str(refused.value)
    assert str(place) in said
    assert mends in said
    assert sorted(own.rglob("*")) == before
    assert [one.stat().st_mode for one in (place, place.parent)] == modes
    subprocess.run(said.split("`")[1], shell=True, check=True)  # the command it names
    with open_services(load_config({}, data=str(place), usage_url="memory://"), tell=lambda _: None):
        pass


def test_every_command_that_works_on_a_directory_refuses_it(own: Path) -> None:
    place, mends = prepared(own, "everybody writes in it")
    for command in (
        ["serve", "--port", "0"],
        ["rebuild-keys"],
        ["rebuild-roll-ups"],
        ["key", "admin"],
        ["demo", "--exit"],
    ):
        said = run(*command, "--data", str(place), code=2)
        assert mends in said
    assert list(place.iterdir()) == []
    told = [one for one in json.loads(doctor(place))["checks"] if one["name"] == "access"]
    assert [(one["verdict"], mends in one["detail"]) for one in told] == [("fail", True)]


def doctor(place: Path) -> str:
    return fork_server.run("doctor", "--data", str(place), "--json", env=clean_environment()).stdout


def test_an_empty_directory_of_ours_that_a_umask_left_open_is_closed(own: Path) -> None:
    for mode in (0o755, 0o775, 0o750):
        place = own / f"data{mode:o}"
        place.mkdir()
        place.chmod(mode)
        with open_services(load_config({}, data=str(place), usage_url="memory://"), tell=lambda _: None):
            assert stat.S_IMODE(place.stat().st_mode) == 0o700


def test_what_lies_in_a_closed_directory_needs_no_mode_of_its_own(own: Path) -> None:
    """A tool that unpacked it, or an earlier version, may have left whatever in it."""
    inside = own / "data" / "usage"
    (inside / "left by a tool").mkdir(parents=True)
    (own / "data").chmod(0o700)
    inside.chmod(0o755)
    url = f"chdb:///{own}/data/usage"
    with leases(load_config({}, data=str(own / "data"), usage_url=url)):
        pass
    with (
        pytest.raises(ConfigError, match=r"usage_url = .*others can enter it"),
        leases(load_config({}, data=str(own / "other"), usage_url=url)),
    ):
        pass


def test_a_place_that_cannot_be_closed_is_refused(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some file systems have one mode for everything."""
    place = own / "data"
    place.mkdir()
    place.chmod(0o755)
    monkeypatch.setattr(Path, "chmod", lambda path, mode: None)
    config = load_config({}, data=str(place), usage_url="memory://")
    with pytest.raises(ConfigError, match="cannot be closed to others"), open_services(config):
        pass


def test_a_place_that_is_no_place_is_one_line(own: Path) -> None:
    (own / "circle").symlink_to(own / "circle")
    (own / "file").touch()
    for place in (own / "circle", own / "circle" / "data", own / "file", own / "file" / "data"):
        with pytest.raises(ConfigError, match="data = "), open_services(load_config({}, data=str(place))):
            pass
    for setting in ("ledger_url", "keys_url"):
        urls = {"usage_url": "memory://", setting: f"sqlite:///{own}/circle"}
        with pytest.raises((ConfigError, Damage)), open_services(load_config({}, data=str(own / "data"), **urls)):
            pass


def test_a_restore_into_a_place_where_others_could_enter_is_refused(own: Path) -> None:
    unpack(own)
    place = own / "new"
    place.mkdir()
    place.chmod(0o777)
    assert "chmod 700" in run("restore", str(own / "backups" / "whole"), "--data", str(place), code=2)
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("setting", ["data", "usage_url", "ledger_url", "keys_url"])
def test_what_belongs_to_another_user_is_refused(own: Path, monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    place = own / "theirs"
    place.mkdir(mode=0o700)
    (place / "x.db").touch(mode=0o600)
    url = {"data": str(place), "usage_url": f"chdb:///{place}"}.get(setting, f"sqlite:///{place}/x.db")
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    settings = {"data": str(own / "data"), "usage_url": "memory://", setting: url}
    with (
        pytest.raises(ConfigError, match=f"{setting} = .*belongs to .*flowtally runs as user 12345"),
        open_services(load_config({}, **settings)),
    ):
        pass
    assert sorted(own.iterdir()) == [place]


@pytest.mark.parametrize("setting", ["ledger_url", "keys_url", "backup_dir"])
def test_files_elsewhere_are_not_kept_where_everybody_could_replace_them(own: Path, setting: str) -> None:
    place = own / "open"
    place.mkdir()
    place.chmod(0o777)
    url = str(place) if setting == "backup_dir" else f"sqlite:///{place}/x.db"
    settings = {"data": str(own / "data"), "usage_url": "memory://", setting: url}
    with (
        pytest.raises(ConfigError, match=f"{setting} = .*everybody can write in"),
        open_services(load_config({}, **settings)),
    ):
        pass
    place.chmod(0o1777)  # as /tmp: what is ours there stays ours
    with open_services(load_config({}, **settings)):
        assert [one.stat().st_mode & 0o077 for one in place.iterdir()] == [0] * len(list(place.iterdir()))


# -- files of a user's own ---------------------------------------------------------------------------------------------


def test_a_spool_is_its_owners_alone_and_so_is_what_was_set_aside(own: Path, open_umask: None) -> None:
    for before in (None, 0o644):
        path = own / f"spool-{before}"
        if before is not None:
            path.write_bytes(b"no event\n")
            path.chmod(before)
        spool = Spool(path)
        assert list(spool.batches(Limits())) == []
        spool.append([b"no event"])
        spool.close()
    assert open_to_others(own) == []
    assert sorted(one.name for one in own.iterdir()) == ["spool-420", "spool-420.damaged", "spool-None"]


@pytest.mark.parametrize("make", [create_for_owner, Spool], ids=["export", "spool"])
def test_what_another_user_put_there_is_not_written(
    own: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], Any]
) -> None:
    (own / "file").write_bytes(b"theirs")
    (own / "mine").write_bytes(b"mine")
    (own / "link").symlink_to(own / "mine")
    lstat, fstat = os.lstat, os.fstat

    def theirs(found: os.stat_result) -> os.stat_result:
        return os.stat_result((*found[:4], 54321, *found[5:]))

    monkeypatch.setattr(os, "lstat", lambda path: theirs(lstat(path)))
    with pytest.raises(PermissionError, match="link that another user made"):
        make(own / "link")
    monkeypatch.setattr(os, "fstat", lambda handle: theirs(fstat(handle)))
    with pytest.raises(PermissionError, match="belongs to user 54321"):
        make(own / "file")
    assert (own / "file").read_bytes() + (own / "mine").read_bytes() == b"theirsmine"


def test_a_link_of_ones_own_a_pipe_and_a_device_are_written(own: Path) -> None:
    (own / "kept").write_bytes(b"longer than what is written")
    (own / "link").symlink_to(own / "kept")
    reading, writing = os.pipe()
    for path, content in ((own / "link", b"one"), (Path(f"/dev/fd/{writing}"), b"two"), (Path("/dev/null"), b"three")):
        with create_for_owner(path) as file:
            file.write(content)
    assert (own / "kept").read_bytes() == b"one"
    assert os.read(reading, 10) == b"two"
    os.close(reading)
    os.close(writing)
