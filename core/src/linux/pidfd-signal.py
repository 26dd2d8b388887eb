#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends a signal to one process and to no other: usage: pidfd-signal.py PID START_TICKS TERM|KILL

A pid can be another process by the time a signal is sent. A pidfd cannot: it is opened first, then the start time of
what it names is compared, then the signal goes through it.

Exit status: 0 sent, 3 gone, 4 not the same process, 5 not permitted, 1 anything else.
"""
import os
import signal
import sys

SENT, FAILED, GONE, OTHER, FORBIDDEN = 0, 1, 3, 4, 5


def start_ticks(pid):
    """Field 22 of /proc/PID/stat; None for a process that has ended and waits for its parent to ask how.

    Its first thread may have ended alone: while others live, the signal reaches them, and they hold what it had.
    """
    with open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read().rsplit(b")", 1)[1].split()
    state, threads, ticks = fields[0], int(fields[17]), int(fields[19])
    return None if state in (b"Z", b"X") and threads < 2 else ticks


def main(pid, ticks, name):
    try:
        handle = os.pidfd_open(pid)
        found = start_ticks(pid)
        if found is None:
            return GONE
        if found != ticks:
            return OTHER
        signal.pidfd_send_signal(handle, {"TERM": signal.SIGTERM, "KILL": signal.SIGKILL}[name])
    except (ProcessLookupError, FileNotFoundError):
        return GONE
    except PermissionError:
        return FORBIDDEN
    return SENT


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
