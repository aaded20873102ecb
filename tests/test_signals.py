"""Children of the tests hear every signal, also where the tests were started in the background (tests/signals.py)."""

from __future__ import annotations

import signal
import subprocess
import sys

TELL = "import signal; print(*sorted(n for n in signal.valid_signals() if signal.getsignal(n) is signal.SIG_IGN))"
OWN = "{} {}".format(*sorted((signal.SIGPIPE.value, signal.SIGXFSZ.value)))  # every Python ignores these
MASK = "import signal; print(*map(int, signal.pthread_sigmask(signal.SIG_BLOCK, ())))"
STOPPING = {int(one) for one in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1)}
IN_THE_BACKGROUND = "trap '' HUP INT QUIT TERM USR1; "


def test_a_child_begins_with_the_usual_signals() -> None:
    said = subprocess.run([sys.executable, "-c", TELL], capture_output=True, text=True, check=True, timeout=60).stdout
    assert said.strip() == OWN
    done = subprocess.run([sys.executable, "-c", MASK], capture_output=True, text=True, check=True, timeout=60)
    assert not STOPPING & set(map(int, done.stdout.split())), "the engine of this process masks others for itself"


def test_so_it_is_where_the_tests_run_in_the_background() -> None:
    test = test_a_child_begins_with_the_usual_signals.__name__
    command = f"{IN_THE_BACKGROUND} exec {sys.executable} -m pytest -q -p no:cacheprovider {__file__}::{test}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout
