"""`flowtally usage`: what an account, or all, used, as bars over a calendar, as JSON or as CSV."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from flowtally.cli import ask
from flowtally.cli.dates import FROM, TO, Dates
from flowtally.cli.show import output
from flowtally.cli.show.cells import cells, left
from flowtally.cli.show.chart import Bar, chart
from flowtally.cli.show.output import AsOf, Json, document, printable, say
from flowtally.client import OverallUsageQuestion, UsageQuestion
from flowtally.core.edges import parse_instant
from flowtally.core.events import LABEL
from flowtally.core.texts import split_names
from flowtally.core.units import human_bytes, human_count, human_parts
from flowtally.core.words import Bucket, Fill, Unit
from flowtally.host.permissions import create_for_owner
from flowtally.protocol import OverallUsageAnswer, ToldStretch, UsageAnswer

EXAMPLES: Final = """\
\b
Examples:
  flowtally usage acme --from 2026-07 --to 2026-08
  flowtally usage acme --from yesterday --to today --bucket hour
  flowtally usage acme --bucket hour --from 2026-07-01 --to 2026-07-02 --tz Asia/Kolkata
  flowtally usage acme --bucket total --by user
  flowtally usage acme --by product --by status --csv > usage.csv
  flowtally usage --all --by account --top 10 --bucket month
  flowtally usage acme --as-of 2026-07-01T00:00:00Z
  flowtally usage acme --series metered --series thordata --by series
"""
# What is no group of a row. `user_id` comes with `user` for programs: names can be used again, ids cannot.
NO_GROUP: Final = frozenset({"start", "end", "bytes_up", "bytes_down", "bytes", "requests", "user_id", "others", "cut"})

QUANTITIES: Final = ("bytes", "requests")
CUT: Final = "*"
NAMES: Final = {"15m": "quarter hour"}  # of buckets, where they are not their own name

COLUMN: Final = 24  # cells of a name that the others of its column are aligned to

Row = dict[str, str | int | None]


def usage(
    account: Annotated[
        str | None,
        typer.Argument(metavar="[ACCOUNT]", help="The account's id. With --all give none.", show_default=False),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All accounts together. The key must not belong to an account.")
    ] = False,
    start: Annotated[str | None, typer.Option("--from", help=FROM)] = None,
    end: Annotated[str | None, typer.Option("--to", help=TO)] = None,
    tz: Annotated[
        str | None,
        typer.Option(
            "--tz", help="Time zone of the days (IANA), such as Asia/Kolkata. Default: the account's; with --all UTC."
        ),
    ] = None,
    bucket: Annotated[Bucket, typer.Option("--bucket", help="The length of one row of the answer.")] = "day",
    by: Annotated[
        list[str] | None,
        typer.Option(
            "--by",
            help="Split by user, product, status, source, series, label:NAME or, with --all, account. Repeatable, or "
            r"with commas; in a NAME write \, for a comma and \\ for a backslash.",
        ),
    ] = None,
    accounts: Annotated[
        list[str] | None, typer.Option("--account", help="With --all: only this account. Repeatable.")
    ] = None,
    top: Annotated[
        int | None,
        typer.Option("--top", help="With --all: show this many of the largest groups, and the others as one."),
    ] = None,
    top_by: Annotated[Unit, typer.Option("--top-by", help="What makes a group large, for --top.")] = "bytes",
    user: Annotated[list[str] | None, typer.Option("--user", help="Only this user. Repeatable.")] = None,
    product: Annotated[list[str] | None, typer.Option("--product", help="Only this product. Repeatable.")] = None,
    series: Annotated[
        list[str] | None,
        typer.Option(
            "--series",
            help="Whose figures: metered, or the name of a provider. Repeatable, with --by series. Default: metered.",
        ),
    ] = None,
    fill: Annotated[
        Fill | None,
        typer.Option(
            "--fill",
            help="Rows for times without use. zero: a row of zeros. none: no row. Default: zero; none "
            "for bars that are split with --by.",
        ),
    ] = None,
    as_of: AsOf = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    arrow: Annotated[
        Path | None, typer.Option("--arrow", help="Write an Arrow stream to this file. Only you can read the file.")
    ] = None,
    json: Json = False,
) -> None:
    """Show what an account used, in rows of an hour, a day, a month ..., in any time zone. With --all: all accounts
    together."""
    if csv + json + (arrow is not None) > 1:
        raise typer.BadParameter("choose one of --csv, --arrow and --json")
    if (account is None) != everything:
        raise typer.BadParameter("name an account, or say --all")
    if account is not None and (accounts or top is not None):
        raise typer.BadParameter("--account and --top go with --all")
    with ask.client() as client:
        dates = Dates(client, account, tz)
        start, end = dates.range(start, end)
        known = dates.known(as_of)
        split, drawn = names_in(by), not (csv or json or arrow is not None)
        fill = fill or ("none" if split and drawn else "zero")  # a row of zeros a group and day hides the others
        question = UsageQuestion(start=start, end=end, tz=tz, bucket=bucket, by=split, fill=fill, as_of=known)
        question["users"], question["products"], question["series"] = user or (), product or (), series or ()
        overall = OverallUsageQuestion(**question, accounts=accounts or (), top=top, top_by=top_by)
        if csv:
            made = client.overall_usage_csv(**overall) if account is None else client.usage_csv(account, **question)
            output.raw(made.decode())
            return
        if arrow is not None:
            made = client.overall_usage_arrow(**overall) if account is None else client.usage_arrow(account, **question)
            with create_for_owner(arrow) as file:
                file.write(made)
            return
        answer = client.overall_usage(**overall) if account is None else client.usage(account, **question)
    if json:
        document(answer)
    else:
        show_usage(answer, past=as_of is not None)


def names_in(values: list[str] | None) -> list[str]:
    r"""`--by user,product` is `--by user --by product`; a comma in a label's name is `\,`."""
    names = [part.lstrip() for value in values or () for part in split_names(value)]
    return [name if name.startswith(LABEL) else name.rstrip() for name in names if name]


def show_usage(answer: UsageAnswer | OverallUsageAnswer, *, past: bool = False) -> None:
    """The rows as bars, as wide as there is room, and their total."""
    when = f"{short(answer.start)} to {short(answer.end)}"
    whose = answer.account if isinstance(answer, UsageAnswer) else ", ".join(answer.accounts or ["all accounts"])
    known = f"  as of block {answer.as_of.block}" if past and answer.as_of else ""
    say(f"{printable(whose)}  {when}  {answer.timezone}{known}", style="bold")
    parts, total = human_parts([int(row["bytes"] or 0) for row in answer.rows])  # the total of one series
    labels = in_columns([_names_of(row, answer.bucket) for row in answer.rows])
    shown = _shown(answer)
    bars = [_bar(*one, shown) for one in zip(labels, answer.rows, parts, strict=True)]
    if not bars:
        say("No usage.")
        for line in how_told(answer):
            say(line, style="dim")
        return
    bars += _totals(answer, total, shown)
    whole = not sys.stdout.isatty()
    for line in chart(bars, output.width(), unicode=output.unicode_blocks(), whole=whole):
        say(line)
    for line in footnotes(answer):
        say(line, style="dim")


def _shown(answer: UsageAnswer | OverallUsageAnswer) -> Sequence[str]:
    """Bytes and requests. Where providers are asked about, not the one that nobody has any of: vendors tell one of the
    two, and what they do not tell is no zero."""
    sums = list(answer.totals.values()) or [answer.total]
    told = [name for name in QUANTITIES if any(getattr(one, name) for one in sums)]
    return told if answer.grain and told else QUANTITIES


def _totals(answer: UsageAnswer | OverallUsageAnswer, total: str, shown: Sequence[str]) -> list[Bar]:
    """One, or one of each series: these are never added up."""
    if not answer.totals:
        return [_line("total", 0, total, answer.total.requests, shown)]
    return [
        _line(f"total {printable(name)}", 0, human_bytes(one.bytes), one.requests, shown)
        for name, one in answer.totals.items()
    ]


def _bar(label: str, row: Row, size: str, shown: Sequence[str]) -> Bar:
    requests = int(row["requests"] or 0)
    length = int(row["bytes"] or 0) if "bytes" in shown else requests
    return _line(label, length, size, requests, shown)


def _line(label: str, length: int, size: str, requests: int, shown: Sequence[str]) -> Bar:
    figures = {"bytes": size, "requests": _requests(requests)}
    return Bar(label, length, tuple(figures[name] for name in shown))


def _names_of(row: Row, bucket: str) -> list[str]:
    """What a row is of: its span, and its groups."""
    merged = row.get("others")
    groups = [printable(str(value)) or "-" for name, value in row.items() if name not in NO_GROUP]
    groups = [f"{merged} others"] if merged else groups
    return groups if bucket == "total" and groups else [_span_of(row, bucket), *groups]


def in_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Each row's names as one label, the same name below the same; a name longer than `COLUMN` moves its row alone."""
    last = max(map(len, rows), default=1) - 1
    widths = [
        max((cells(row[i]) for row in rows if i < len(row) and cells(row[i]) <= COLUMN), default=0) for i in range(last)
    ]
    return [
        "  ".join(left(name, widths[i]) if i < last else name for i, name in enumerate(row)).rstrip() for row in rows
    ]


def footnotes(answer: UsageAnswer | OverallUsageAnswer) -> Iterator[str]:
    """What the mark of a cut bucket means, and which one is not over at the answer's moment."""
    cuts = {str(row["start"]): row for row in answer.rows if row.get("cut")}
    for row in cuts.values():
        start, end = short(str(row["start"])), short(str(row["end"]))
        yield f"{CUT} only a part of the {NAMES.get(answer.bucket, answer.bucket)}: {start} to {end}"
    yield from how_told(answer)
    if answer.bucket == "total" or answer.as_of is None or not answer.rows:
        return
    last = answer.rows[-1]  # rows stand in the order of their spans
    now = parse_instant(answer.as_of.instant)
    if parse_instant(str(last["start"])) <= now < parse_instant(str(last["end"])):
        since = " from" if answer.bucket == "week" else ""
        name = NAMES.get(answer.bucket, answer.bucket)
        # A row that is cut at its start has another name than its bucket, save where that is of a date or a month.
        unnamed = last.get("cut") in ("start", "both") and answer.bucket not in ("day", "month")
        which = "" if unnamed else f"{since} {label_of(str(last['start']), answer.bucket)}"
        yield f"The {name}{which} is not over yet."


def how_told(answer: UsageAnswer | OverallUsageAnswer) -> Iterator[str]:
    """In which spans providers tell their use, whether the rows cut these, and what of the range was not told."""
    for name, stretches in answer.grain.items():
        series = printable(name)
        for one in stretches:
            whole = _covers([one], answer)
            yield from _told(series, one, "" if whole else f" from {short(one.start)} to {short(one.end)}")
        if not _covers(stretches, answer):
            rest = "the rest of this time" if stretches else "this time"
            yield f"{series} has told nothing of {rest}: what is not shown there is not known, and may not be zero."


def _told(series: str, one: ToldStretch, when: str) -> Iterator[str]:
    if one.grain == "pull":
        yield f"{series} tells only how much was used so far{when}: use is dated when that was seen."
        return
    yield f"{series} tells its use by the {one.grain} of {printable(one.zone)}{when}."
    if one.finer:
        yield f"These rows are finer or cut otherwise: a whole {one.grain} of {series} stands where it begins."


def _covers(stretches: Sequence[ToldStretch], answer: UsageAnswer | OverallUsageAnswer) -> bool:
    """Whether these, in order, leave no hole in the range."""
    until = parse_instant(answer.start)
    for one in stretches:
        if parse_instant(one.start) > until:
            break
        until = max(until, parse_instant(one.end))
    return until >= parse_instant(answer.end)


def _span_of(row: Row, bucket: str) -> str:
    return label_of(str(row["start"]), bucket) + (CUT if row.get("cut") else "")


def _requests(count: int) -> str:
    return f"{human_count(count)} req"


def label_of(start: str, bucket: str) -> str:
    """The beginning of a span as people write it: a date, or date and time; a time keeps its offset (DST)."""
    if bucket in ("day", "week", "total"):
        return start[:10]
    if bucket == "month":
        return start[:7]
    return f"{start[:10]} {start[11:16]}{_offset(start)}"


def short(instant: str) -> str:
    """Midnights as dates: the zone is named beside them."""
    return instant[:10] if instant[11:19] == "00:00:00" else instant


def _offset(start: str) -> str:
    return "Z" if start.endswith("Z") else start[-6:]
