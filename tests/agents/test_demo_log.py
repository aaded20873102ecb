"""The recorded log, and that a real Squid still writes what we read."""

import gzip
import subprocess
import sys
from collections import Counter
from importlib.resources import files
from pathlib import Path
from shutil import which

import pytest
from tests.squid import crashed

from flowtally.agents.formats import Declared, format_of
from flowtally.agents.mapping import Mapper, Mapping
from flowtally.agents.reading import LineReading, Unreadable

__all__ = ["crashed"]  # a fixture

ROOT = Path(__file__).parents[2]
SQUID = format_of(Declared(format="squid-io"))
NAMED = Mapping(user_from="user:(?P<account>[^-]+)-(?P<user>.+)", skip_status=(407,))


@pytest.fixture(scope="module")
def recorded() -> list[bytes]:
    return gzip.decompress((files("flowtally") / "demo/access.log.gz").read_bytes()).splitlines()


def readings(lines: list[bytes]) -> list[LineReading]:
    read = [SQUID.read_line(line) for line in lines]
    assert all(isinstance(one, LineReading) for one in read)
    return [one for one in read if isinstance(one, LineReading)]


def test_the_recorded_log_is_what_a_proxy_sees(recorded: list[bytes]) -> None:
    actions = Counter(line.split()[3].split(b"/")[0] for line in recorded)
    assert len(recorded) > 2_500
    assert {b"TCP_TUNNEL", b"TCP_MISS", b"TCP_MEM_HIT", b"TCP_DENIED", b"TCP_MISS_ABORTED", b"NONE_NONE"} <= set(
        actions
    )
    assert len({reading.user for reading in readings(recorded)} - {""}) == 7


def test_no_byte_of_the_recorded_log_is_lost(recorded: list[bytes]) -> None:
    # The reckoning of awk: fifth field and last field. Squid escapes blanks, so these are safe in a log of our own.
    fields = [line.split() for line in recorded]
    read = readings(recorded)
    assert sum(reading.bytes_down for reading in read) == sum(int(field[4]) for field in fields)
    assert sum(reading.bytes_up for reading in read) == sum(int(field[-1]) for field in fields)


def test_only_lines_of_nobody_are_left_out_when_names_carry_the_account(recorded: list[bytes]) -> None:
    mapper = Mapper(NAMED, SQUID)
    for line in recorded:
        read = mapper.read(line)
        nobody = line.split()[7] == b"-"
        challenge = b"TCP_DENIED/407" in line
        assert isinstance(read, LineReading) != (nobody or challenge)
        if isinstance(read, Unreadable):
            assert read.reason == "no_account"


@pytest.mark.system
@pytest.mark.usefixtures("crashed")  # another Squid, once
@pytest.mark.skipif(which("squid") is None, reason="Squid is not installed")
def test_the_log_can_be_recorded_again(tmp_path: Path) -> None:
    out = tmp_path / "access.log.gz"
    script = ROOT / "scripts/record_squid_log/record.py"
    subprocess.run([sys.executable, script, out, "--seconds", "4"], check=True, timeout=120, capture_output=True)
    lines = gzip.decompress(out.read_bytes()).splitlines()
    assert len(lines) > 10
    assert {reading.user for reading in readings(lines)} > {"acme-ana", "globex-jörg"}
