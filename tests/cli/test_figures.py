"""Figures that are printed together add up as they are printed."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from decimal import Decimal
from unittest.mock import patch

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from tests.cli.test_commands import BALANCE, GRANT, POOL, SPENT, USAGE

from flowtally.cli.balance import show_balance
from flowtally.cli.usage import show_usage
from flowtally.core.units import parse_amount
from flowtally.protocol import BalanceAnswer, UsageAnswer

PARTS = ("left", "spent", "pending", "expired", "voided")
ROW = USAGE["rows"][0]  # type: ignore[index]
WIDE = {"COLUMNS": "1000"}


def figures(text: str) -> list[tuple[Decimal, str]]:
    return [(Decimal(n.replace(",", "")), unit) for n, unit in re.findall(r"(-?[\d.,]+) ([kMGTPE]?B)\b", text)]


def printed(answer: BalanceAnswer | UsageAnswer) -> list[str]:
    shown = io.StringIO()
    with redirect_stdout(shown), patch.dict("os.environ", WIDE):
        show_balance(answer) if isinstance(answer, BalanceAnswer) else show_usage(answer)
    return shown.getvalue().splitlines()


@given(st.lists(st.integers(0, 10**13), min_size=5, max_size=5), st.integers(0, 10**12))
def test_what_a_balance_prints_is_exact_in_one_unit_and_adds_up(parts: list[int], drawn: int) -> None:
    pool = POOL | dict(zip(PARTS, parts, strict=True)) | {"granted": sum(parts), "drawn": drawn}
    grants = [GRANT | SPENT | {"amount": amount, "left": amount // 3, "reference": ""} for amount in parts]
    lines = printed(msgspec.convert(BALANCE | {"pools": {"traffic": pool}, "grants": grants}, BalanceAnswer))
    assert len({unit for line in lines for _, unit in figures(line)}) == 1
    [granted, *terms] = figures(next(line for line in lines if "granted" in line))
    assert sum(number for number, _ in terms) == granted[0]
    assert parse_amount(f"{granted[0]:f} {granted[1]}") == sum(parts)
    of_grants = [figures(line) for line in lines if " of " in line]
    assert [parse_amount(f"{number:f} {unit}") for _, (number, unit) in of_grants] == parts


@given(st.lists(st.integers(-(10**9), 10**13), min_size=1, max_size=40))
def test_the_rows_of_a_chart_add_up_to_its_total(sizes: list[int]) -> None:
    rows = [ROW | {"bytes_down": size, "bytes": size} for size in sizes]
    total = {"bytes_up": 0, "bytes_down": sum(sizes), "bytes": sum(sizes), "requests": 7}
    lines = printed(msgspec.convert(USAGE | {"rows": rows, "total": total}, UsageAnswer))
    shown = [figures(line)[0] for line in lines[1 : len(sizes) + 1]]
    assert lines[len(sizes) + 1].startswith("total")
    assert sum(number for number, _ in shown) == figures(lines[len(sizes) + 1])[0][0]
    assert len({unit for _, unit in [*shown, *figures(lines[len(sizes) + 1])]}) == 1


def test_what_a_balance_tells_says_what_it_means() -> None:
    pool = POOL | {"overage": 5, "credit": 6, "drawn": 7}
    lines = printed(msgspec.convert(BALANCE | {"pools": {"traffic": pool}}, BalanceAnswer))
    assert "  granted 100 GB = left 75 GB + spent 25 GB" in lines
    assert "  overage 0.000000005 GB: used, and no grant paid for it" in lines
    assert "  credit 0.000000006 GB: given back by corrections; it pays for later use before any grant does" in lines
    assert "  drawn 0.000000007 GB: passed on to funded users or set aside in vouchers" in lines


def test_a_long_name_of_a_grant_stands_above_its_line_and_the_others_keep_their_gauges() -> None:
    grants = [GRANT | SPENT, GRANT | SPENT | {"reference": "東京" * 50}]
    shown = io.StringIO()
    with redirect_stdout(shown), patch.dict("os.environ", {"COLUMNS": "80"}):
        show_balance(msgspec.convert(BALANCE | {"grants": grants}, BalanceAnswer))
    assert shown.getvalue().splitlines()[-3:] == [
        "  order-1  [###############     ]  75 GB of 100 GB  active",
        "  " + "東京" * 50,
        "           [###############     ]  75 GB of 100 GB  active",
    ]
