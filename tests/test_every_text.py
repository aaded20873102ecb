"""Every text that a door takes can be asked for again, wherever it is shown; what one door refuses they all refuse.

One real server. The texts are drawn from all that may be kept; those that break things elsewhere are among them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.cli.test_output import Terminal
from tests.conftest import figures
from tests.live import Live, live_server

from flowtally import client as ours
from flowtally import protocol as p
from flowtally.answers.statement import harmless
from flowtally.cli.app import main
from flowtally.client.call import segment
from flowtally.core.corrections import Correction, EventRef
from flowtally.core.texts import is_text

MONTH = {"from": "2026-03-01", "to": "2026-04-01", "tz": "UTC", "bucket": "total"}
TIME = "2026-03-10T12:00:00Z"
ODD = ["a,b", ",", "\\", "a\\,b", "\\\\", '"', "'", "a/b", "..", "%", "%2C", "100%25", " ", " a ", "=cmd|' /C calc'!A0"]
ODD += ["+1", "@x", "-1", "user", "label:user", "a;b", "a&b=c", "a+b", "#", "?", "[red]", "{x}", "<b>", "$(id)", "null"]
ODD += [
    "שלום",
    "\u200fمرحبا",
    "👨\u200d👩\u200d👧",
    "é",
    "e\u0301",
    "\u00a0",
    "\u3000",
    "\ufeff",
    "\u200b",
    "\U000e0041",
    "\ue000",
]
KEPT = st.sampled_from(ODD) | st.text(st.characters(codec="utf-8", exclude_categories=()).filter(is_text), max_size=12)
TEXTS = st.lists(
    KEPT.filter(lambda text: 0 < len(text.encode()) <= 50 and text != "all"), min_size=1, max_size=25, unique=True
)
REFUSED = ["a\x00", "\x1b[2J", "two\nlines", "tab\t", "\r", "\x7f", "\x9b1m", "\x85", "a\u2028", "\u202egnp", "\u2066"]
ACCOUNTS = count()


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    extra = {"FLOWTALLY_CURRENCY": "USD", "FLOWTALLY_THORDATA_ENABLED": "true"}
    with live_server(tmp_path_factory.mktemp("live") / "data", extra) as one:
        yield one


@pytest.fixture(scope="module")
def asking(live: Live) -> Iterator[ours.Client]:
    with ours.Client(live.url, live.token) as client:
        yield client


def stored(asking: ours.Client, texts: list[str]) -> tuple[str, dict[str, str]]:
    """An account with one event for each text, under it in every field that has one; the sources by text."""
    account = f"acme-{next(ACCOUNTS)}"
    asking.create_account(p.AccountRequest(id=account))
    sources = {text: f"{text} of {account}" for text in texts}
    events = [
        p.PlainEvent(
            sources[text],
            account,
            text,
            None,
            None,
            TIME,
            text,
            text,
            0,
            10 + index,
            1,
            index,
            {text: text, "all": text},
        )
        for index, text in enumerate(texts)
    ]
    assert asking.send_events(events).stored == len(texts)
    return account, sources


@settings(max_examples=5, deadline=None, phases=[Phase.generate])  # each asks some hundred questions
@given(TEXTS)
def test_what_is_stored_is_looked_up_grouped_filtered_corrected_and_exported(
    asking: ours.Client, texts: list[str]
) -> None:
    account, sources = stored(asking, texts)
    sizes = {text: 10 + index for index, text in enumerate(texts)}
    by_source = {sources[text]: size for text, size in sizes.items()}
    for name, wanted in (("user", sizes), ("product", sizes), ("label:all", sizes), ("source", by_source)):
        assert used(asking, account, name) == wanted
        head, *lines = csv_of(asking.usage_csv(account, by=[name], **question()))
        assert name in head
        assert {line[head.index(name)] for line in lines} == {harmless(text) for text in wanted}
        table = pa.ipc.open_stream(asking.usage_arrow(account, by=[name], **question())).read_all()
        assert set(table.column(name).to_pylist()) == wanted.keys()
    for text in texts:
        found = asking.event(sources[text], text)
        assert (found.id, found.user, found.product, found.labels) == (text, text, text, {text: text, "all": text})
        label = f"label:{text}"
        assert used(asking, account, label) == (
            {text: sizes[text], "": sum(sizes.values()) - sizes[text]} if len(texts) > 1 else {text: sizes[text]}
        )
        assert label in csv_of(asking.usage_csv(account, by=[label], **question()))[0]
        assert label in pa.ipc.open_stream(asking.usage_arrow(account, by=[label], **question())).schema.names
        choices: list[Any] = [{"users": [text]}, {"products": [text]}]
        for chosen in choices:
            assert asking.usage(account, **question(), **chosen).total.bytes == sizes[text]
        assert asking.user(account, text).name == text
        assert asking.user_usage(account, text, **question()).total.bytes == sizes[text]
        assert [row["product"] for row in asking.user_usage(account, text, by=["product"], **question()).rows] == [text]
    behind = asking.explain(account, TIME.replace("10T", "11T"), top=50)
    assert {one.id for pool in behind.pools.values() for span in pool.spans for one in span.largest} == set(texts)
    corrected(asking, account, sources)
    exported(asking, account, sources)


def corrected(asking: ours.Client, account: str, sources: dict[str, str]) -> None:
    """Each is voided by a correction of the same name and reason, under a source of its own."""
    voids = [
        Correction(id=text, source=f"{text} void {account}", corrects=EventRef(source, text), void=True, reason=text)
        for text, source in sources.items()
    ]
    assert asking.send_corrections(voids).stored == len(voids)
    for void in voids:
        assert void.corrects is not None
        event, entry = asking.event(void.corrects.source, void.corrects.id), asking.event(void.source, void.id)
        assert [(one.source, one.id, one.reason) for one in event.corrections] == [(void.source, void.id, void.reason)]
        assert (entry.kind, entry.corrects, entry.reason) == ("correction", void.corrects, void.reason)
    assert asking.usage(account, **question()).total.bytes == 0
    assert sum(one.corrections for one in asking.changes(account=account).items) == len(voids)


def exported(asking: ours.Client, account: str, sources: dict[str, str]) -> None:
    rows = pq.read_table(io.BytesIO(asking.export(account))).to_pylist()
    uses = [row for row in rows if row["kind"] == "use"]
    assert {(row["id"], row["user"], row["product"], row["source"]) for row in uses} == {
        (text, text, text, source) for text, source in sources.items()
    }
    assert all(dict(row["labels"]) == {row["id"]: row["id"], "all": row["id"]} for row in uses)
    assert {row["reason"] for row in rows if row["kind"] == "correction"} == sources.keys()
    head, *lines = csv_of(asking.export(account, format="csv"))
    assert {line[head.index("user")] for line in lines} == {harmless(text) for text in sources}
    labels = [msgspec.json.decode(line[head.index("labels")]) for line in lines]
    assert {one["all"] for one in labels} == sources.keys()


@settings(max_examples=3, deadline=None, phases=[Phase.generate])
@given(TEXTS)
def test_the_terminal_shows_every_text_and_obeys_none(asking: ours.Client, live: Live, texts: list[str]) -> None:
    account, sources = stored(asking, texts)
    one = texts[0]
    label = one.replace("\\", "\\\\").replace(",", "\\,")
    for arguments in (
        ("usage", account, "--by", "user,product", "--from", "2026-03-01", "--to", "2026-04-01"),
        ("usage", account, "--by", f"label:{label}", "--from", "2026-03-01", "--to", "2026-04-01", "--csv"),
        ("usage", account, f"--user={one}", f"--product={one}", "--by=source", "--from=2026-03-01", "--to=2026-04-01"),
        ("user", "show", account, "--", one),
        ("explain", account, "--at", "2026-03-11T00:00:00Z"),
        ("correction", "void", "--reason", "x", "--", sources[one], one),
        ("user", "list", account),
        ("product", "list"),
    ):
        code, shown = on_a_terminal(live, arguments)
        assert code in (0, 2), shown
        assert all(char.isprintable() or char in "\n\u200c\u200d" for char in shown), (arguments, shown)


def test_a_line_of_a_log_with_such_a_name_is_refused_and_counted(
    asking: ours.Client, live: Live, tmp_path: Path
) -> None:
    """The server judges it: its number is used up, and the rest of the log goes on."""
    asking.create_account(p.AccountRequest(id="logged"))
    log = tmp_path / "access\x1b[31m.log"
    line = '10.0.0.1 - %s [10/Mar/2026:12:00:00 +0000] "GET / HTTP/1.1" 200 7\n'
    log.write_text("".join(line % user for user in ("ann", "\\x1b[2Jeve", "bob", "\u202eeve")))
    command = ("import", str(log), "--format", "common", "--account", "logged")
    code, shown = on_a_terminal(live, command)
    assert code == 3
    assert "4 lines: 2 stored, 2 refused" in shown
    assert "user holds U+001B at 0" in shown
    assert all(char.isprintable() or char == "\n" for char in shown)
    code, shown = on_a_terminal(live, command)
    assert code == 0
    assert "0 lines: 0 stored" in shown


def on_a_terminal(live: Live, arguments: tuple[str, ...]) -> tuple[int, str]:
    screen = Terminal()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", screen)
        patch.setattr("sys.stderr", screen)
        for name, value in {"FLOWTALLY_URL": live.url, "FLOWTALLY_TOKEN": live.token, "NO_COLOR": "1"}.items():
            patch.setenv(name, value)
        return main(arguments), screen.getvalue()


def used(asking: ours.Client, account: str, name: str) -> dict[str, int]:
    answer = asking.usage(account, by=[name], **question())
    return {str(row[name]): int(row["bytes"] or 0) for row in answer.rows}


def question() -> Any:
    return {"start": MONTH["from"], "end": MONTH["to"], "tz": "UTC", "bucket": "total"}


def csv_of(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(), newline="")))


# -- what is refused --------------------------------------------------------------------------------------------------

Door = Callable[[str], tuple[str, str, Any, Any]]  # method, path, body, headers


def plain(**fields: Any) -> dict[str, Any]:
    return {"source": "gw", "id": "bad", "account": "acme", "time": TIME} | fields


def cloud(**fields: Any) -> dict[str, Any]:
    event = {"specversion": "1.0", "type": "t", "source": "gw", "id": "bad", "subject": "acme", "time": TIME}
    return event | fields


def event_door(make: Callable[[str], dict[str, Any]], kind: str = "application/json") -> Door:
    def door(text: str) -> tuple[str, str, Any, Any]:
        body = make(text)
        return "POST", "/v1/events", [body] if "batch" in kind else body, {"Content-Type": kind}

    return door


def write(method: str, path: str, make: Callable[[str], Any]) -> Door:
    return lambda text: (method, path, make(text), {"Content-Type": "application/json"})


METERED = ("source", "counter", "account", "user", "product", "epoch")
CLOUDEVENT, CLOUDEVENTS = "application/cloudevents+json", "application/cloudevents-batch+json"
DOORS: dict[str, Door] = {
    **{f"event {name}": event_door(lambda t, n=name: plain(**{n: t})) for name in ("source", "id", "account", "user")},  # type: ignore[misc]
    "event product": event_door(lambda t: plain(product=t)),
    "event label name": event_door(lambda t: plain(labels={t: "x"})),
    "event label value": event_door(lambda t: plain(labels={"x": t})),
    "event position": event_door(lambda t: plain(id="", sequence=1, source="log", position=t)),
    "numbered source": event_door(lambda t: plain(id="", sequence=1, source=t)),
    "line": event_door(lambda t: plain(user=t), "application/x-ndjson"),
    "cloudevent id": event_door(lambda t: cloud(id=t), CLOUDEVENT),
    "cloudevent source": event_door(lambda t: cloud(source=t), CLOUDEVENTS),
    "cloudevent subject": event_door(lambda t: cloud(subject=t), CLOUDEVENTS),
    "cloudevent user": event_door(lambda t: cloud(data={"user": t}), CLOUDEVENTS),
    "cloudevent label": event_door(lambda t: cloud(data={"labels": {t: t}}), CLOUDEVENTS),
    **{f"reading {name}": write("POST", "/v1/readings", lambda t, n=name: metered(**{n: t})) for name in METERED},  # type: ignore[misc]
    "reading label": write("POST", "/v1/readings", lambda t: metered(labels={t: t})),
    "closing": write("POST", "/v1/readings", lambda t: {"source": "box", "closes": t, "time": "2026-03-01T00:00:00Z"}),
    "correction id": write("POST", "/v1/corrections", lambda t: void(id=t)),
    "correction source": write("POST", "/v1/corrections", lambda t: void(source=t)),
    "correction reason": write("POST", "/v1/corrections", lambda t: void(reason=t)),
    "correction event": write("POST", "/v1/corrections", lambda t: void(corrects={"source": "gw", "id": t})),
    "adjustment account": write("POST", "/v1/corrections", lambda t: adjustment(account=t)),
    "adjustment user": write("POST", "/v1/corrections", lambda t: adjustment(user=t)),
    "adjustment product": write("POST", "/v1/corrections", lambda t: adjustment(product=t)),
    "account id": write("POST", "/v1/accounts", lambda t: {"id": t}),
    "account name": write("POST", "/v1/accounts", lambda t: {"id": "other", "name": t}),
    "account change": write("PATCH", "/v1/accounts/acme", lambda t: {"name": t}),
    "user name": write("POST", "/v1/accounts/acme/users", lambda t: {"name": t}),
    "user product": write("POST", "/v1/accounts/acme/users", lambda t: {"name": "new", "product": t}),
    "user password": write("POST", "/v1/accounts/acme/users", lambda t: {"name": "new", "password": t}),
    "user rename": write("PATCH", "/v1/accounts/acme/users/ann", lambda t: {"name": t}),
    "user path": lambda t: ("PATCH", f"/v1/accounts/acme/users/{segment(t)}", {"status": "disabled"}, {}),
    "grant source": write("POST", "/v1/accounts/acme/grants", lambda t: {"amount": 1, "source": t}),
    "grant reference": write("POST", "/v1/accounts/acme/grants", lambda t: {"amount": 1, "reference": t}),
    "grant pool": write("POST", "/v1/accounts/acme/grants", lambda t: {"amount": 1, "pool": t}),
    "pool": lambda t: ("PUT", f"/v1/pools/{segment(t)}", {"charge": "bytes"}, {}),
    "product": lambda t: ("PUT", f"/v1/products/{segment(t)}", {"pool": "mobile"}, {}),
    "product's pool": write("PUT", "/v1/products/isp", lambda t: {"pool": t}),
    "credential": write("POST", "/v1/credentials", lambda t: {"scope": "ingest", "name": t}),
    "deposit": write("POST", "/v1/accounts/acme/wallet/deposits", lambda t: {"amount_micros": 1, "reference": t}),
    "wallet": write("POST", "/v1/accounts/acme/wallet/adjustments", lambda t: {"amount_micros": 1, "reason": t}),
    "plan id": write("POST", "/v1/plans", lambda t: {"name": "n", "amount": 1, "price_micros": 1, "id": t}),
    "plan name": write("POST", "/v1/plans", lambda t: {"name": t, "amount": 1, "price_micros": 1}),
    "gateway id": write("POST", "/v1/gateways", lambda t: {"product": "p", "host": "h", "first_port": 1, "id": t}),
    "gateway product": write("POST", "/v1/gateways", lambda t: {"product": t, "host": "h", "first_port": 1}),
    "gateway host": write("POST", "/v1/gateways", lambda t: {"product": "p", "host": t, "first_port": 1}),
    "webhook url": write("POST", "/v1/webhooks", lambda t: {"url": f"https://a.example/{t}"}),
    "webhook type": write("POST", "/v1/webhooks", lambda t: {"url": "https://a.example", "types": [t]}),
    "webhook description": write("POST", "/v1/webhooks", lambda t: {"url": "https://a.example", "description": t}),
    "voucher pool": write("POST", "/v1/accounts/acme/vouchers", lambda t: {"amount": 1, "pool": t}),
    "code": write("POST", "/v1/accounts/acme/redemptions", lambda t: {"code": t}),
    "address": write("POST", "/v1/accounts/acme/whitelist", lambda t: {"address": t}),
    "purchase": write("POST", "/v1/accounts/acme/purchases", lambda t: {"plan": t}),
    "idempotency key": lambda t: ("POST", "/v1/accounts", {"id": "keyed"}, {"Idempotency-Key": t.encode()}),
}
READS = [
    "/v1/accounts",
    "/v1/accounts/acme/users",
    "/v1/accounts/acme/grants",
    "/v1/pools",
    "/v1/products",
    "/v1/plans",
    "/v1/gateways",
    "/v1/webhooks",
]
READS += ["/v1/credentials", "/v1/accounts/acme/wallet", "/v1/accounts/acme/vouchers", "/v1/accounts/acme/whitelist"]
READS += ["/v1/changes", "/v1/usage?from=2026-03-01&to=2026-04-01&by=user,source", "/v1/accounts/acme/wallet/entries"]


def void(**fields: Any) -> dict[str, Any]:
    return {"id": "fix", "corrects": {"source": "gw", "id": "good"}, "void": True} | fields


def metered(**fields: Any) -> dict[str, Any]:
    return {"source": "box", "counter": "bad", "account": "acme", "time": TIME, "bytes_up": 1} | fields


def adjustment(**fields: Any) -> dict[str, Any]:
    return {"id": "fix", "account": "acme", "time": TIME, "bytes_down": 1, "reason": "x"} | fields


@pytest.fixture(scope="module")
def raw(live: Live) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=live.url, headers={"Authorization": f"Bearer {live.token}"}, timeout=60) as one:
        one.post("/v1/accounts", json={"id": "acme"}).raise_for_status()
        one.post("/v1/accounts/acme/users", json={"name": "ann"}).raise_for_status()
        one.put("/v1/pools/mobile", json={"charge": "bytes"}).raise_for_status()
        one.post("/v1/events", json=plain(id="good", bytes_up=5)).raise_for_status()
        yield one


def state(raw: httpx.Client) -> dict[str, Any]:
    """Without when keys were used: told to the minute, which may pass while a test asks."""
    told = {path: figures(raw.get(path).json()) for path in READS}
    for key in told["/v1/credentials"]["items"]:
        del key["last_used_at"]
    return told


@pytest.mark.parametrize("name", DOORS)
def test_what_may_not_be_kept_is_refused_at_every_door_and_changes_nothing(raw: httpx.Client, name: str) -> None:
    before = state(raw)
    for text in REFUSED:
        method, path, body, headers = DOORS[name](text)
        try:
            answer = raw.request(method, path, content=msgspec.json.encode(body), headers=headers)
        except (httpx.LocalProtocolError, httpx.RemoteProtocolError):
            continue  # such a header is not even sent
        assert answer.is_client_error or refused(answer.json()), (name, text, answer.text)
        assert all(is_text(value) for value in answer.headers.values())
    assert state(raw) == before


def refused(answer: dict[str, Any]) -> bool:
    codes = {one["code"] for one in answer["receipts"]}
    return (
        answer["stored"] == 0
        and answer["refused"] == 1
        and codes <= {"invalid_event", "bad_labels", "unknown_event", "invalid_reading"}
    )


def test_a_name_in_a_query_that_nobody_can_bear_is_refused(raw: httpx.Client) -> None:
    for text in ("a\x00", "\x1b"):
        for path in ("/v1/accounts/acme/usage?user=", "/v1/sources?source=", "/v1/accounts/acme/grants?pool="):
            assert raw.get(path + quote(text)).json()["code"] == "bad_request"
    assert raw.get("/v1/events", params={"source": "gw", "id": "\x00\x1b"}).json()["code"] == "not_found"
    assert raw.get("/v1/accounts/acme/usage", params={"by": "label:\x1b", **MONTH}).status_code == 200
    for path in ("/v1/accounts/acme/usage", "/v1/usage"):
        assert raw.get(path, params={"user": "\u202e", **MONTH}).json()["code"] == "unknown_user"


@pytest.mark.parametrize(
    ("by", "labels"),
    [
        (["label:a\\,b,user"], ["label:a,b"]),
        (["user", "label:a\\,b"], ["label:a,b"]),
        (["label:a,label:b,user"], ["label:a", "label:b"]),
        (["label:a\\\\", "label:\\\\\\,"], ["label:a\\", "label:\\,"]),
        (["label:c\\d"], ["label:c\\d"]),
    ],
)
def test_a_list_of_groups_has_commas_in_names_and_between_them(
    raw: httpx.Client, by: list[str], labels: list[str]
) -> None:
    answer = raw.get("/v1/usage", params={**MONTH, "by": by})
    assert [name for name in answer.json()["rows"][0] if name.startswith("label:")] == labels
    head = next(csv.reader(io.StringIO(raw.get("/v1/usage", params={**MONTH, "by": by, "format": "csv"}).text)))
    assert [name for name in head if name.startswith("label:")] == labels


@pytest.mark.parametrize("path", ["/v1/events", "/v1/corrections", "/v1/accounts"])
def test_a_member_that_is_unknown_is_told_in_a_few_printable_words(raw: httpx.Client, path: str) -> None:
    body = {"\x1b[2J" + "x" * 50_000: 1} | ({"id": "new"} if path == "/v1/accounts" else {"id": "bad", "source": "gw"})
    answer = raw.post(path, json=body | ({"account": "acme", "time": TIME} if path == "/v1/events" else {}))
    told = answer.json().get("detail") or answer.json()["receipts"][0]["detail"]
    assert "unknown field" in told
    assert len(answer.content) < 2000
    assert is_text(told)
