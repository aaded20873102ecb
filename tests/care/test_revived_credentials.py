"""A key that was revoked after a backup does not come back unseen when the backup is restored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.care.test_backup import TOKEN, run, serving


class Lost:
    """A data directory with a backup, and keys: `kept` lives, `gone` was revoked after the backup."""

    def __init__(self, place: Path) -> None:
        self.data = place / "data"
        with serving(self.data) as (live, client):
            self.kept, self.gone = (client.post("/v1/credentials", json={"scope": "ingest"}).json() for _ in range(2))
            self.backup = Path(run("backup", live=live)["path"])
            client.post(f"/v1/credentials/{self.gone['id']}/revoke")


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> Lost:
    return Lost(tmp_path_factory.mktemp("lost"))


def is_let_in(client: httpx.Client, key: dict[str, Any]) -> bool:
    answer = client.get("/v1/held", headers={"Authorization": f"Bearer {key['token']}"})
    assert answer.status_code in (200, 401)
    return answer.status_code == 200


def test_without_a_word_they_live_and_are_told_of_until_that_is_confirmed(lost: Lost, tmp_path: Path) -> None:
    done = run("restore", str(lost.backup), "--data", str(tmp_path / "new"))
    assert done["credentials"] == {"live": 3, "ended": 0, "unconfirmed": True, "token": None}
    with serving(tmp_path / "new") as (live, client):
        assert is_let_in(client, lost.gone)
        doctor = run("doctor", live=live)
        [told] = [one for one in doctor["checks"] if one["name"] == "credentials"]
        assert told["verdict"] == "warn"
        assert run("key", "confirm", live=live)["revived_from"] is not None
        assert "credentials" not in json.dumps([one["name"] for one in run("doctor", live=live)["checks"]])
        actions = [one["action"] for one in client.get("/v1/audit").json()["items"]]
        assert {"ledger.restore", "installation.bind", "credentials.confirm"} <= set(actions)


def test_with_the_ledger_of_before_at_hand_what_was_revoked_stays_revoked(lost: Lost, tmp_path: Path) -> None:
    done = run("restore", str(lost.backup), "--data", str(tmp_path / "new"), "--old-ledger", str(lost.data))
    assert done["credentials"] == {"live": 2, "ended": 1, "unconfirmed": False, "token": None}
    with serving(tmp_path / "new") as (_, client):
        assert (is_let_in(client, lost.kept), is_let_in(client, lost.gone)) == (True, False)


def test_all_can_be_revoked_at_once(lost: Lost, tmp_path: Path) -> None:
    done = run("restore", str(lost.backup), "--data", str(tmp_path / "new"), "--revoke-credentials")["credentials"]
    assert (done["live"], done["ended"], done["unconfirmed"]) == (1, 3, False)
    with serving(tmp_path / "new", FLOWTALLY_ADMIN_TOKEN=f"{TOKEN}-another-7Qp") as (_, client):
        assert not is_let_in(client, lost.kept)
        answer = client.get("/v1/accounts", headers={"Authorization": f"Bearer {done['token']}"})
        assert answer.status_code == 200
