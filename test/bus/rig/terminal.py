"""Runs a command on a terminal of its own and answers what it asks.

usage: terminal.py JSON, where JSON is {"argv": [...], "steps": [{"expect": regex, "send": text, "hidden": bool}],
"rows": n, "cols": n, "notify": bool}

What the terminal shows goes to standard output; standard input goes to the terminal. With "notify", the argument
@NOTIFY@ becomes the number of a descriptor, and the line READY on standard error says that the command closed it.
"""
import fcntl
import json
import os
import pty
import re
import select
import struct
import sys
import termios
import time

spec = json.loads(sys.argv[1])
steps = list(spec.get('steps', []))
argv = spec['argv']
ready = None
if spec.get('notify'):
    ready, notify = os.pipe()
    os.set_inheritable(notify, True)
    argv = [str(notify) if word == '@NOTIFY@' else word for word in argv]

pid, terminal = pty.fork()
if pid == 0:
    size = struct.pack('HHHH', spec.get('rows', 24), spec.get('cols', 80), 0, 0)
    fcntl.ioctl(0, termios.TIOCSWINSZ, size)
    os.environ.setdefault('TERM', 'xterm-256color')
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        os.write(2, f'{argv[0]}: {error.strerror}\n'.encode())
        os._exit(127)
if ready is not None:
    os.close(notify)


def echo_is_off():
    return not termios.tcgetattr(terminal)[3] & termios.ECHO


seen = ''
sources = [terminal, 0] + ([ready] if ready is not None else [])
while True:
    for source in select.select(sources, [], [])[0]:
        try:
            data = os.read(source, 65536)
        except OSError:  # EIO: the command has closed its terminal
            data = b''
        if source == terminal:
            if not data:
                status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                sys.exit(128 - status if status < 0 else status)
            os.write(1, data)
            seen += data.decode(errors='replace')
            while steps:
                match = re.search(steps[0]['expect'], seen)
                if not match:
                    break
                seen = seen[match.end():]
                step = steps.pop(0)
                # A program that asks for a password throws away what was typed before it turned the echo off.
                until = time.monotonic() + 5
                while step.get('hidden') and not echo_is_off() and time.monotonic() < until:
                    time.sleep(0.002)
                os.write(terminal, step['send'].encode())
        elif source == 0 and data:
            os.write(terminal, data)
        else:
            sources.remove(source)
            if source == ready:
                os.write(2, b'READY\n')
