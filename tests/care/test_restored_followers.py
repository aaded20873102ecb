"""Who followed an installation that was restored is told, and can go on; no number of a block is given twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests import fork_server
from tests.care.test_backup import TIME, run, serving


def test_a_follower_is_told_of_a_restore_and_begins_again_from_an_instant(tmp_path: Path) -> None:
    def event(id: str) -> dict[str, Any]:
        return {"source": "gw", "id": id, "account": "acme", "time": TIME, "bytes_up": 1}

    with serving(tmp_path / "data") as (live, client):
        client.post("/v1/accounts", json={"id": "acme"})
        client.post("/v1/accounts", json={"id": "globex"})
        client.post("/v1/events", json=[event("before")])
        run("backup", "one", live=live)
        client.post("/v1/events", json=[event("lost")])
        seen = client.get("/v1/changes").json()
        page = client.get("/v1/accounts?limit=1").json()
        assert client.get("/v1/changes", params={"since": seen["next"]}).json()["items"] == []
    run("restore", str(tmp_path / "data" / "backups" / "one"), "--data", str(tmp_path / "restored"))
    with serving(tmp_path / "restored") as (live, client):
        client.post("/v1/events", json=[event("after")])
        for path in ({"since": seen["next"]}, {"since": seen["next"], "account": "acme"}):
            told = client.get("/v1/changes", params=path)
            assert (told.status_code, told.json()["code"]) == (410, "cursor_gone")
        assert client.get("/v1/accounts", params={"cursor": page["next"]}).json()["code"] == "cursor_gone"
        failed = fork_server.run("changes", "--since", seen["next"], env=live.environment)
        assert failed.returncode == 1
        assert "Begin again from an instant" in failed.stderr
        again = client.get("/v1/changes", params={"since": seen["items"][0]["received_at"]}).json()["items"]
        known = {(one["block"], one["account"]) for one in seen["items"]}
        assert [(one["block"], one["account"]) in known for one in again] == [True, False]
        assert again[1]["block"] > max(one["block"] for one in seen["items"])
