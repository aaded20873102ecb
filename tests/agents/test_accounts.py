"""The accounts of a log are asked about before anything of it is sent."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.agents.fake import FakeServer
from tests.agents.test_ship import line, run

from flowtally.agents.accounts import NoSuchAccount, check_accounts
from flowtally.agents.mapping import Mapping


def test_a_log_of_no_account_that_is_there_sends_nothing_and_says_what_to_do(tmp_path: Path) -> None:
    server, path = FakeServer(("acme", "globex")), tmp_path / "access.log"
    path.write_bytes(line(1, "amce-bob") + line(2, "amce-eve"))
    said = r"there is no account 'amce'; there is acme. Make it: `flowtally account create amce`"
    for mapping in (None, Mapping("amce")):
        with pytest.raises(NoSuchAccount, match=said):
            run(server, path) if mapping is None else run(server, path, mapping)
    assert [one for one in server.requests if one.method == "POST"] == []


def test_of_some_that_are_not_there_is_told_and_the_others_are_sent(tmp_path: Path) -> None:
    server, path = FakeServer(("acme",)), tmp_path / "access.log"
    path.write_bytes(line(1) + line(2, "beta-eve") + line(3, "gamma-eve"))
    report = run(server, path)
    [note] = [one for one in report.notes if "accounts" in one]
    assert "there is no account 'beta', and 1 more of its accounts" in note
    assert [event.account for event in server.all_stored()] == ["acme"]


@pytest.mark.parametrize("tells", [True, False])
def test_it_is_asked_once_a_run_and_a_server_that_cannot_tell_is_not_in_the_way(tmp_path: Path, tells: bool) -> None:
    server, path = FakeServer(), tmp_path / "access.log"
    server.tells_accounts = tells
    path.write_bytes(b"".join(line(number) for number in range(45)))
    assert run(server, path).stored == 45
    assert len([one for one in server.requests if one.url.path == "/v1/events/accounts"]) == 1


def test_at_most_a_hundred_accounts_are_asked_about() -> None:
    server = FakeServer(("acme",))
    assert len(check_accounts(server.client(), ["acme", *(f"a{n}" for n in range(500))])) == 99
    assert check_accounts(server.client(), ["", ""]) == []
