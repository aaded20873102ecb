"""The agent's configuration: what it says, and that every fault is told with its entry and field before anything is
followed."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

import pytest

from flowtally.agents.follow.agent import KINDS, Agent
from flowtally.agents.follow.config import AgentConfig, parsed, token_of
from flowtally.agents.follow.event_log import EventLog
from flowtally.core.errors import ConfigError

LOG = '[[log]]\nname = "a"\npath = "/var/log/a.log"\nformat = "squid"\n'


def read(text: str, environment: dict[str, str] | None = None) -> AgentConfig:
    return parsed(text.encode(), "agent.toml", KINDS, environment or {})


def test_an_entry_says_what_import_is_told_by_options() -> None:
    config = read(
        'server = "http://s:1/"\nhost = "gw"\n'
        + LOG
        + 'account = "acme"\nuser-from = "client"\nskip-status = [407]\nlinger = 5\nrotated = ["/old/*"]\n'
    )
    (entry,) = config.entries["log"]
    assert (config.server, config.host) == ("http://s:1", "gw")
    assert (entry.paths, entry.rotated, entry.linger) == (("/var/log/a.log",), ("/old/*",), 5)
    assert (entry.mapping.account, entry.mapping.user_from, entry.mapping.skip_status) == ("acme", "client", (407,))
    assert entry.declared.format == "squid"


def test_defaults_go_to_every_entry_that_does_not_say_otherwise() -> None:
    text = '[defaults]\naccount = "acme"\nformat = "combined"\nlinger = 7\n' + LOG
    text += '[[log]]\nname = "b"\npath = ["/b", "/c"]\naccount = "globex"\n'
    first, second = read(text).entries["log"]
    assert (first.account, first.format, first.linger) == ("acme", "squid", 7)
    assert (second.account, second.format, second.paths) == ("globex", "combined", ("/b", "/c"))


def test_the_format_may_come_from_the_servers_configuration(tmp_path: Path) -> None:
    squid = tmp_path / "squid.conf"
    squid.write_text("logformat usage %ts.%03tu %un %>st %<st\naccess_log /var/log/a.log usage\n")
    text = '[defaults]\nformat = "combined"\n' + LOG.replace('format = "squid"', f'format-from = "{squid}"')
    (entry,) = read(text).entries["log"]
    assert entry.declared.squid_logformat == "%ts.%03tu %un %>st %<st"
    with pytest.raises(ConfigError, match="log 'a': format-from says the format, and so does another field"):
        read(LOG + f'format-from = "{squid}"\n')
    with pytest.raises(ConfigError, match=r"log 'a': --format-from .*: No such file"):
        read(text.replace("squid.conf", "none.conf"))


def test_server_and_host_have_defaults() -> None:
    assert read(LOG).server == "http://127.0.0.1:8120"
    assert read(LOG, {"FLOWTALLY_URL": "http://u:2/"}).server == "http://u:2"
    assert read(LOG).host


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = ", "not TOML"),
        ("", "nothing to do: no [[log]]"),
        ("serve = 1\n" + LOG, "unknown field `serve`"),
        ('host = "a b"\n' + LOG, "host 'a b'"),
        (LOG + "linger = 0\n", "log 'a': linger: a whole number of 1 or more is expected"),
        (LOG + "paht = 1\n", "log 'a': unknown field `paht`"),
        (LOG.replace('"a"', '"a b"'), "log 'a b': name: text like ^"),
        (LOG.replace('path = "/var/log/a.log"\n', ""), "log 'a': `path` is missing"),
        ('[[log]]\npath = "/x"\n', "log 1: `name` is missing"),
        (LOG + LOG, "log 'a': there are two of this name"),
        ("log = 3", "log must be an array of tables"),
        ("defaults = 3\n" + LOG, "defaults must be a table"),
        ("[defaults]\nacount = 'x'\n" + LOG, "defaults: unknown field `acount`"),
    ],
)
def test_a_fault_is_told_with_entry_and_field(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=r"^agent\.toml: ") as error:
        read(text)
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ('format = "squidd"\n', "--format 'squidd'"),
        ('user-from = "user:(?P<account>"\n', "--user-from"),
        ('pattern = "("\n', "--pattern"),
    ],
)
def test_options_are_tried_before_anything_is_followed(tmp_path: Path, more: str, told: str) -> None:
    path = tmp_path / "agent.toml"
    text = LOG.replace('format = "squid"\n', "") if "format" in more else LOG
    path.write_text(text + more)
    with pytest.raises(ConfigError, match="log 'a'") as error:
        Agent(path, {"FLOWTALLY_TOKEN": "secret"})
    assert told in str(error.value)


def test_two_logs_may_not_read_one_file(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("x")
    os.symlink("a.log", tmp_path / "b.log")
    text = f'[defaults]\nformat = "squid"\n[[log]]\nname = "one"\npath = "{tmp_path}/a.*"\n'
    with pytest.raises(ConfigError, match=r"log 'two': path .*/b.log is read by log 'one', too"):
        read(text + f'[[log]]\nname = "two"\npath = "{tmp_path}/b.log"\n')


def test_the_token_is_of_the_file_or_of_systemd_or_of_the_environment(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("of-systemd\n")
    (tmp_path / "mine").write_text("of-file\n")
    both = {"CREDENTIALS_DIRECTORY": str(tmp_path), "FLOWTALLY_TOKEN": "of-environment"}
    assert token_of(read(f'token-file = "{tmp_path}/mine"\n' + LOG), both) == "of-file"
    assert token_of(read(LOG), both) == "of-systemd"
    assert token_of(read(LOG), {"FLOWTALLY_TOKEN": "of-environment"}) == "of-environment"
    for text, told in ((LOG, "no token"), (f'token-file = "{tmp_path}/none"\n' + LOG, "No such file")):
        with pytest.raises(ConfigError, match=told):
            token_of(read(text), {})


EXAMPLES = re.findall(r"```toml\n(.*?)```", (Path(__file__).parents[3] / "docs/agent.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("text", [text for text in EXAMPLES if "'...'" not in text])  # a format to be filled in
def test_the_examples_of_the_documentation_are_configurations(tmp_path: Path, text: str) -> None:
    path = tmp_path / "agent.toml"
    whole = text if "[[" in text else text + LOG
    path.write_text(re.sub("^token-file.*", "", whole, flags=re.MULTILINE))
    Agent(path, {"FLOWTALLY_TOKEN": "secret"}).close()


def test_the_documentation_has_examples() -> None:
    assert EXAMPLES


def test_a_configuration_read_again_takes_the_token_that_is_in_the_file_now(tmp_path: Path) -> None:
    """A key is rotated by writing the new token into the same file."""
    token, path = tmp_path / "token", tmp_path / "agent.toml"
    token.write_text("first")
    path.write_text(f'token-file = "{token}"\n{LOG}')
    said = io.StringIO()
    agent = Agent(path, {}, event_log=EventLog(said))
    before = agent.server
    agent.reload()
    agent._between()
    assert agent.server is before, "nothing has changed"
    token.write_text("second")
    agent.reload()
    agent._between()
    assert agent.server is not before
    token.unlink()
    agent.reload()
    agent._between()
    assert "configuration_refused" in said.getvalue()
    agent.close()
