import pytest

from flowtally.agents.formats.cloudevents import read_line
from flowtally.agents.reading import LineReading, Unreadable


def test_a_cloudevent_carries_the_account_as_its_subject() -> None:
    line = (
        b'{"specversion":"1.0","id":"e1","source":"gw","type":"use","subject":"acme","time":"2026-11-20T11:00:00.5+01:00",'
        b'"data":{"user":"bob","product":"mobile","bytes_up":1,"bytes_down":2,"requests":3,"status":200}}'
    )
    assert read_line(line) == LineReading(
        time_at=1_795_168_800_500,
        bytes_up=1,
        bytes_down=2,
        requests=3,
        status=200,
        user="bob",
        account="acme",
        product="mobile",
        id="e1",
        labels={"source": "gw"},
    )


def test_a_plain_event_is_flat_and_keeps_its_labels() -> None:
    reading = read_line(b'{"source":"gw","account":"acme","time":"2026-11-20T11:00:00Z","labels":{"a":"b"}}')
    assert isinstance(reading, LineReading)
    assert (reading.account, reading.requests, reading.labels) == ("acme", 1, {"a": "b", "source": "gw"})


def test_a_plain_event_without_account_or_source_waits_for_the_options() -> None:
    assert read_line(b'{"time":"1970-01-01T00:00:00Z"}') == LineReading(time_at=0)


def test_an_event_without_time_is_left_to_its_id() -> None:
    reading = read_line(b'{"id":"0199f2c4-7b3a-7c11-a1f0-b2c3d4e5f607","account":"acme"}')
    assert isinstance(reading, LineReading)
    assert (reading.time_at, reading.id) == (None, "0199f2c4-7b3a-7c11-a1f0-b2c3d4e5f607")


def test_a_label_of_the_event_is_never_overwritten() -> None:
    reading = read_line(b'{"source":"gw","account":"a","labels":{"source":"mine"}}')
    assert isinstance(reading, LineReading)
    assert reading.labels == {"source": "mine"}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not_this_format"),
        (b"[1]", "not_this_format"),
        (b"\xff", "not_this_format"),
        (b"[" * 10_000, "not_this_format"),
        (b'{"account":"a","bytes_down":1.5}', "not_this_format"),
        (b'{"account":"a","bytes_down":-1}', "not_this_format"),
        (b'{"account":"a","bytes_don":1}', "not_this_format"),
        (b'{"specversion":"1.0","id":"1","source":"s","type":"t"}', "not_this_format"),
        (b'{"account":"a","time":"2026-11-20T11:00:00"}', "bad_time"),
        (b'{"account":"a","time":"1969-12-31T23:59:59Z"}', "bad_time"),
    ],
)
def test_a_line_that_cannot_be_read_says_why(line: bytes, reason: str) -> None:
    why = read_line(line)
    assert isinstance(why, Unreadable)
    assert why.reason == reason
