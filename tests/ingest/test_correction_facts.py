"""What corrections are planned on is read with as many questions for a thousand as for one."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from tests.ingest.conftest import Services, named, numbered
from tests.ingest.test_corrections import free, right


class Counted:
    """Anything that is asked, and how often it was."""

    def __init__(self, inner: Any, asked: Counter[str]) -> None:
        self._inner, self._asked = inner, asked

    def __getattr__(self, name: str) -> Any:
        def ask(*given: Any, **named: Any) -> Any:
            self._asked[name] += 1
            return getattr(self._inner, name)(*given, **named)

        return ask


def asked_for(services: Services, monkeypatch: pytest.MonkeyPatch, *corrections: dict[str, Any]) -> Counter[str]:
    """Which questions a request asks, and how often."""
    services.send(*named("e0"))  # so that its facts are there
    facts, asked = services.door._committer.facts, Counter[str]()
    with monkeypatch.context() as patched:
        for store in ("_usage", "_keys", "_resolver"):
            patched.setattr(facts, store, Counted(getattr(facts, store), asked))
        assert services.correct(*corrections).stored == len(corrections)
    return asked


@pytest.mark.parametrize("many", [1, 40])
def test_named_and_numbered_events_and_adjustments_are_looked_up_together(
    light: Services, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    light.send(*named(*(f"e{number}" for number in range(many))), *numbered(1, many))
    light.send(*named(*(f"e{number}" for number in range(many)), source="gw2"))
    of_gw = [right(f"a{number}", {"source": "gw", "id": f"e{number}"}, void=True) for number in range(many)]
    of_gw2 = [right(f"b{number}", {"source": "gw2", "id": f"e{number}"}, void=True) for number in range(many)]
    of_log = [right(f"c{number}", {"source": "log", "id": f"{number + 1}"}, void=True) for number in range(many)]
    adjustments = [free(f"d{number}", bytes_up=1) for number in range(many)]
    asked = asked_for(light, monkeypatch, *of_gw, *of_gw2, *of_log, *adjustments)
    assert asked == {
        # On the request's own thread, then on the committer's: of three sources, one of them numbered.
        "named_sources": 2,
        "known": 2,
        "claimed": 3,
        "refused_among": 2,
        "held_among": 2,
        "committed": 1,
        "events_of": 1,
        "corrections_of": 1,
        "compacted_to": 1,
        "erased": 1,
        "statuses": 1,
    }


def test_who_only_adjusts_asks_nothing_about_events(light: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked_for(light, monkeypatch, free("a", bytes_up=1), free("b", bytes_up=2)) == {
        "claimed": 1,
        "compacted_to": 1,
        "statuses": 1,
    }
