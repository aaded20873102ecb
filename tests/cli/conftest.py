from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.cli.fake import TOKEN, Fake, Program, serving


@pytest.fixture
def fake() -> Iterator[Fake]:
    with serving() as one:
        yield one


@pytest.fixture
def flowtally(fake: Fake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    monkeypatch.setenv("FLOWTALLY_URL", fake.url)
    monkeypatch.setenv("FLOWTALLY_TOKEN", TOKEN)
    monkeypatch.setenv("COLUMNS", "80")
    return Program(fake, capsys)
