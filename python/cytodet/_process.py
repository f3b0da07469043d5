"""What a fork leaves behind: the threads of the library, and the places in open files."""
from __future__ import annotations

import os

from cytodet._errors import usage

_at_work_in = 0  # the process in which the library has started threads; 0: none yet


def check_owner(what: str, owner: int) -> None:
    """UsageError where a fork lies between the process that opened an object and this one."""
    if owner != os.getpid():
        raise usage(what, f"was opened in process {owner}, of which this is a fork", "open it in this process")


def begin_work() -> None:
    """To be called before work that starts threads. UsageError in the fork of a process in which some had been started."""
    global _at_work_in
    me = os.getpid()
    if _at_work_in not in (0, me):
        raise usage("cytodet", f"was at work in process {_at_work_in} before this one was forked, and threads do not outlive a fork",
                    'use multiprocessing.get_context("spawn"), or open models in the forked processes only')
    _at_work_in = me
