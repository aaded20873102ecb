"""The signals that programs of the tests begin with: the usual ones, however the tests were started.

A shell starts what runs in the background with SIGINT ignored, and nohup with SIGHUP; a program inherits that through
all its children, and a Python that inherits it does not hear Ctrl-C.
"""

from __future__ import annotations

import signal
from typing import Final

PYTHONS_OWN: Final = {signal.SIGPIPE, signal.SIGXFSZ}  # Python ignores these itself, and `subprocess` puts them right


def let_children_hear() -> None:
    """What this process ignores it goes on to ignore, but by a handler: the kernel puts a signal that has one back to
    its default in a program that is started."""
    for number in signal.valid_signals() - PYTHONS_OWN:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, _ignore)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _ignore(*_: object) -> None:
    pass
