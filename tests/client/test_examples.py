"""The examples of docs/client.md run as they stand, against a real server."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.live import Live, live_server

from flowtally.client import Client
from flowtally.protocol import AccountRequest

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = sorted(path.name for path in (DOCS / "examples").glob("*.py"))
QUOTED = re.compile(r"\(examples/(\w+\.py)\):\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)

SAID = {
    "ask.py": r"acme has 5,000,000,000 bytes left\n404 unknown_account: .*amce.*\n",
    "ask_async.py": r"acme 0\n",
    "meter.py": r"amce will not be charged for 700 bytes: unknown_account, .*\n1 stored, 1 refused\n",
    "outage.py": r"1 event in the spool\n0 events in the spool\n"
    r"refuse the next customer: 2 events of source 'gateway-1' wait.*\nkeep these \['.{36}', '.{36}'\] and send.*\n",
    "async_meter.py": r"b'hello' came back\n",
    "numbered.py": r"2 lines counted\n3 lines counted\n7000 bytes\n",
}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_server(tmp_path_factory.mktemp("examples") / "data") as live:
        yield live


def main_of(name: str) -> Callable[[str, str], None]:
    spec = importlib.util.spec_from_file_location(f"example_{Path(name).stem}", DOCS / "examples" / name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    main: Callable[[str, str], None] = module.main
    return main


@pytest.mark.parametrize("name", sorted(EXAMPLES, key=lambda name: (name != "ask.py", name)))
def test_an_example_does_what_the_page_says(
    name: str, live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with Client(live.url, live.token) as client:
        if name != "ask.py" and not any(account.id == "acme" for account in client.accounts()):
            client.create_account(AccountRequest(id="acme"))
    main_of(name)(live.url, live.token)
    said = capsys.readouterr().out
    assert re.fullmatch(SAID[name], said), said


def test_the_page_quotes_every_example_as_it_is() -> None:
    quoted = QUOTED.findall((DOCS / "client.md").read_text())
    assert sorted({name for name, _ in quoted}) == EXAMPLES
    for name, code in quoted:
        assert code in (DOCS / "examples" / name).read_text(), f"{name} says something else:\n{code}"
