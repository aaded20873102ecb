"""The way back from a newer version, as docs/deploy.md has it: the backup of before, and the keys that ended since."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tests import fork_server
from tests.care.test_backup import TIME, run, serving, usage
from tests.live import clean_environment

EVENT = {"source": "gw", "id": "1", "account": "acme", "time": TIME, "user": "ann", "bytes_down": 7}
NUMBERED = {"source": "log", "sequence": 1, "account": "acme", "time": TIME, "user": "bob", "bytes_up": 3}


def test_back_to_the_version_of_before_with_what_senders_send_again(tmp_path: Path) -> None:
    data, back = tmp_path / "data", tmp_path / "back"
    with serving(data) as (live, client):
        client.post("/v1/accounts", json={"id": "acme"})
        client.post("/v1/events", json=[EVENT])
        client.post("/v1/events", json=[NUMBERED])
        lost = client.post("/v1/credentials", json={"scope": "ingest"}).json()
        made = Path(run("backup", "before-upgrade", live=live)["path"])
        client.post("/v1/events", json=[{**EVENT, "id": "2"}])
        client.post("/v1/events", json=[{**NUMBERED, "sequence": 2}])
        client.post(f"/v1/credentials/{lost['id']}/revoke")
        client.post("/v1/accounts/acme/grants", json={"amount": 5})
        done = {one["action"] for one in client.get("/v1/audit").json()["items"]}
        assert {"credential.revoke", "grant.give"} <= done, done
    with sqlite3.connect(data / "ledger.db") as db:  # what a newer version would have left
        db.execute("UPDATE alembic_version SET version_num = 'r9999'")
    refused = fork_server.run("serve", "--port", "0", "--data", str(data), env=clean_environment())
    assert (refused.returncode, "Start the version that wrote it, or a later one" in refused.stderr) == (2, True)
    told = run("restore", str(made), "--data", str(back), "--old-ledger", str(data))
    assert (told["report"]["found"], told["credentials"]["ended"], told["credentials"]["unconfirmed"]) == (0, 1, False)
    with serving(back) as (live, client):
        assert usage(client) == {"ann": 7, "bob": 3}
        mark = client.get("/v1/sources", params={"source": "log"}).json()["sequence"]
        assert mark == 1  # where a numbered sender goes on
        again = client.post("/v1/events", json=[{**NUMBERED, "sequence": 1}, {**NUMBERED, "sequence": 2}]).json()
        assert (again["duplicate"], again["stored"]) == (1, 1)
        again = client.post("/v1/events", json=[EVENT, {**EVENT, "id": "2"}]).json()
        assert (again["duplicate"], again["stored"]) == (1, 1)
        assert usage(client) == {"ann": 14, "bob": 6}
        own = client.get("/v1/held", headers={"Authorization": f"Bearer {lost['token']}"})
        assert own.status_code == 401
        assert run("verify", live=live)["found"] == 0
