"""Old backups that a new one replaces: only what the server made and named goes, and never the newest."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import httpx
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import fork_server
from tests.care.test_backup import run, serving
from tests.conftest import Client
from tests.live import clean_environment

from flowtally.care import backup, manifest
from flowtally.care.manifest import File, Manifest
from flowtally.care.pruning import prune
from flowtally.core.errors import ConfigError

OURS = "installation-1"
Kind = Literal["ours", "named", "another's", "old format", "no manifest", "strange file", "link", "broken manifest"]
KINDS: list[Kind] = [
    *("ours", "ours", "ours"),
    *("named", "another's", "old format", "no manifest", "strange file", "link", "broken manifest"),
]


def described(installation: str) -> Manifest:
    files = [File("usage/all_1/data.bin", 4, "0")]
    return Manifest(
        format=manifest.FORMAT, flowtally="0", engine="0", made_at="2026-03-15T12:00:00Z", block=1, rows=1,
        usage_schema=1, ledger="sqlite", installation=installation, notes=[], files=files,
    )  # fmt: skip


def make(place: Path, name: str, kind: Kind) -> None:
    here = place / name
    (here / "usage/all_1").mkdir(parents=True)
    (here / "usage/all_1/data.bin").write_text("data")
    if kind == "broken manifest":
        (here / manifest.NAME).write_text("{")
    elif kind != "no manifest":
        manifest.write(here, described({"another's": "installation-2", "old format": ""}.get(kind, OURS)))
    if kind == "strange file":
        (here / "usage/notes.txt").write_text("mine")
    if kind == "link":
        shutil.move(here, place / f"elsewhere-{name}")
        here.symlink_to(place / f"elsewhere-{name}")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(KINDS), max_size=8), st.integers(1, 5), st.integers(0, 8))
def test_only_what_is_ours_and_unnamed_goes_and_the_newest_stay(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[Kind], keep: int, new_at: int
) -> None:
    place = tmp_path_factory.mktemp("place")
    made = f"202603{10 + new_at:02}T120000Z"  # a clock that was set back makes a new one older than others
    make(place, made, "ours")
    there = {
        f"202603{10 + day:02}T115959Z" if kind != "named" else f"before-{day}": kind for day, kind in enumerate(kinds)
    }
    for name, kind in there.items():
        make(place, name, kind)
    before = {one.name for one in place.iterdir()}
    pruned = prune(place, keep, made, OURS)
    candidates = sorted((name for name, kind in there.items() if kind in ("ours", "strange file")), reverse=True)
    expected = [name for name in candidates[keep - 1 :] if there[name] == "ours"]
    assert pruned.removed == sorted(expected)
    assert {one.name for one in place.iterdir()} == before - set(expected)
    assert len(pruned.notes) == len([name for name in candidates[keep - 1 :] if there[name] == "strange file"])
    assert all("usage/notes.txt does not belong to it" in one for one in pruned.notes)
    shutil.rmtree(place)


def test_what_cannot_be_removed_is_told_and_the_rest_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in range(1, 5):
        make(tmp_path, f"2026030{day}T120000Z", "ours")
    real = shutil.rmtree

    def refuse(path: Path) -> None:
        if "20260301" in path.name:
            raise PermissionError(13, "Permission denied")
        real(path)

    monkeypatch.setattr(shutil, "rmtree", refuse)
    pruned = prune(tmp_path, 1, "20260304T120000Z", OURS)
    assert pruned.removed == ["20260302T120000Z", "20260303T120000Z"]
    assert pruned.notes == ["20260301T120000Z was not removed: [Errno 13] Permission denied"]


def test_a_name_and_keep_are_not_asked_together(client: Client) -> None:
    answer = client.post("/v1/backups", json={"name": "before-upgrade", "keep": 3})
    assert (answer.status_code, answer.json()["field"]) == (422, "keep")
    for keep in (0, -1, 10_001, "many"):
        assert client.post("/v1/backups", json={"keep": keep}).status_code == 422, keep


def test_a_server_keeps_the_newest_and_every_copy_can_be_checked(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as (live, client):
        client.post("/v1/accounts", json={"id": "acme"})
        first = run("backup", live=live)
        named = run("backup", "before-upgrade", live=live)
        made = []
        for _ in range(2):
            time.sleep(1.1)  # names are instants of whole seconds
            made.append(run("backup", "--keep", "2", live=live))
        assert [one["removed"] for one in made] == [[], [first["name"]]]
        left = run("backup", "--list", live=live)["backups"]
        assert [one["name"] for one in left] == [*(one["name"] for one in made), named["name"]]
        told = metrics_of(client)
        assert told["flowtally_backups"] == 3
        assert abs(told["flowtally_backup_last_timestamp_seconds"] - time.time()) < 600
        recorded = client.get("/v1/audit", params={"action": "backup.start"}).json()["items"]
        assert {"keep": 2} in [one["after"] for one in recorded]
    copy = tmp_path / "copy"
    shutil.copytree(made[-1]["path"], copy)
    assert run("backup", "--check", str(copy))["found"] == []
    ledger = copy / "ledger.db"
    ledger.write_bytes(ledger.read_bytes()[:-1] + b"x")
    (copy / "keys.db").unlink()
    assert run("backup", "--check", str(copy), code=1)["found"] == ["keys.db is missing", "ledger.db has other content"]
    assert run("restore", str(made[-1]["path"]), "--data", str(tmp_path / "restored"))["report"]["found"] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--check", "whole"], 0, "Every file is as it was written."),
        (["--check", "cut"], 1, "1 file differs from the manifest: do not restore this copy."),
        (["--check", "nothing"], 2, "is no backup: it has no manifest.json"),
        (["--check", "whole", "--keep", "2"], 2, "give one of them alone"),
        (["--check", "whole", "--list"], 2, "give one of them alone"),
        (["before-upgrade", "--keep", "2"], 2, "A backup with a NAME stays"),
    ],
)
def test_a_check_asks_no_server_and_says_what_to_do(tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "ledger.db").write_text("data")
        files = list(manifest.describe(tmp_path / name, lambda _: None))
        manifest.write(tmp_path / name, msgspec.structs.replace(described(OURS), files=files))
    (tmp_path / "cut/ledger.db").write_text("dat")
    done = fork_server.run("backup", *arguments, cwd=tmp_path, env=clean_environment())
    assert done.returncode == code, done.stdout + done.stderr
    assert said in " ".join((done.stdout + done.stderr).split())


Spoil = Callable[[Path], object]


def _link(file: Path) -> None:
    elsewhere = file.parent.parent / file.name
    file.replace(elsewhere)
    file.symlink_to(elsewhere)


@pytest.mark.parametrize(
    ("spoil", "code", "said"),
    [
        (lambda it: it.write_bytes(it.read_bytes().replace(b'"rows": 1', b'"rows": 7')), 2, "is not as it was written"),
        (lambda it: it.write_bytes(it.read_bytes()[:100]), 2, "cannot be read: Input data was truncated"),
        (lambda it: it.write_bytes(b'{"format": 1, "\xff": 1}'), 2, "cannot be read: "),
        (lambda it: (it.unlink(), it.mkdir()), 2, "cannot be read: Is a directory"),
        (lambda it: (it.parent / "ledger.db").replace(it.parent.parent / "ledger.db"), 1, "ledger.db is missing"),
        (lambda it: _link(it.parent / "ledger.db"), 1, "ledger.db is a link: a copy has the file itself"),
        (_link, 1, "manifest.json is a link: a copy has the file itself"),
    ],
)
def test_a_copy_is_whole_with_its_manifest_and_no_link(tmp_path: Path, spoil: Spoil, code: int, said: str) -> None:
    place = tmp_path / "20260315T120000Z"
    place.mkdir()
    (place / "ledger.db").write_text("data")
    files = list(manifest.describe(place, lambda _: None))
    manifest.write(place, msgspec.structs.replace(described(OURS), files=files))
    assert manifest.differences(place, manifest.read(place), lambda _: None) == []
    spoil(place / manifest.NAME)
    if code == 2:
        with pytest.raises(ConfigError, match=said):
            manifest.read(place)
        assert backup.kept(tmp_path) == []
        assert backup.newest_of(tmp_path)[1] == 0
        assert prune(tmp_path, 1, "20260316T120000Z", OURS).removed == []
    else:
        assert manifest.differences(place, manifest.read(place), lambda _: None) == [said]


def test_members_that_later_versions_add_are_covered_too(tmp_path: Path) -> None:
    manifest.write(tmp_path, described(OURS))
    told = msgspec.json.decode((tmp_path / manifest.NAME).read_bytes())
    assert manifest.read(tmp_path).installation == OURS
    (tmp_path / manifest.NAME).write_bytes(msgspec.json.encode(told | {"later": 1}))
    with pytest.raises(ConfigError, match="not as it was written"):
        manifest.read(tmp_path)
    (tmp_path / manifest.NAME).write_bytes(
        msgspec.json.encode({name: said for name, said in told.items() if name != "sha256"})
    )
    assert manifest.read(tmp_path).sha256 == "", "as earlier versions wrote it"


def metrics_of(client: httpx.Client) -> dict[str, float]:
    lines = [line.split() for line in client.get("/metrics").text.splitlines() if not line.startswith("#")]
    return {line[0]: float(line[1]) for line in lines if len(line) == 2}
