#!/usr/bin/python3
"""Runs commands for the tests on the host.

Requests and replies are JSON objects, one a line, over a virtio-serial port. Each request has an id of the
host's choosing, and any number of commands run at once. The requests, by op, with their replies, by ev:

  run, argv, user?, env?, cwd?, pty?   started, pid; out, fd, data (many); exit, code (negative: a signal)
  input, data                          none: standard input for the command of that id; null closes it
  signal, signal                       none: for the process group of the command of that id
  put, path, data, mode, append        done
  get, path                            done, data
  sync, now                            hello, boot: sets the clock, which stands still in a saved machine
  listen, session                      listening; done when a copy of this program (`agent.py --session NAME`,
                                       started inside a user's login session) has called. From then on
                                       requests with that `session` go to it.

What fails is answered with error, message. A starting agent says hello without an id. data is base64.
"""

import base64
import json
import os
import pwd
import queue
import signal
import socket
import subprocess
import sys
import threading
import time

PORT = '/dev/virtio-ports/io.github.gpuhandoff.rig'
SOCKETS = '/run/rig'


def boot_id():
    with open('/proc/sys/kernel/random/boot_id', encoding='ascii') as file:
        return file.read().strip()


class Channel:
    """One line-wise connection; writes from many threads never mix."""

    def __init__(self, fd, is_port):
        self.fd = fd
        self.is_port = is_port
        self.lock = threading.Lock()

    def send(self, message):
        self.send_line(json.dumps(message).encode() + b'\n')

    def send_line(self, line):
        with self.lock:
            view = memoryview(line)
            while view:
                try:
                    view = view[os.write(self.fd, view[:16384]):]
                except OSError:
                    if not self.is_port:
                        return
                    time.sleep(0.02)  # nobody at the host's end yet

    def lines(self):
        rest = b''
        while True:
            chunk = os.read(self.fd, 1 << 18)
            if not chunk:
                if not self.is_port:
                    return
                time.sleep(0.02)
                continue
            if b'\n' not in chunk:
                rest += chunk
                continue
            *whole, tail = (rest + chunk).split(b'\n')
            rest = tail
            yield from (line for line in whole if line)


class Agent:
    """The requests of one channel."""

    def __init__(self, channel, in_session):
        self.channel = channel
        self.in_session = in_session
        self.children = {}
        self.sessions = {}

    def serve(self):
        for line in self.channel.lines():
            try:
                request = json.loads(line)
            except ValueError:
                continue
            session = request.get('session')
            if session and request['op'] != 'listen':
                target = self.sessions.get(session)
                if target is None:
                    self.fail(request, f'no session {session}')
                else:
                    del request['session']
                    target.send(request)
                continue
            try:
                getattr(self, 'op_' + request['op'])(request)
            except Exception as error:  # whatever it is, the host wants to hear it
                self.fail(request, f'{type(error).__name__}: {error}')

    def fail(self, request, message):
        self.channel.send({'id': request['id'], 'ev': 'error', 'message': message})

    def op_sync(self, request):
        if abs(request['now'] - time.time()) > 1:
            time.clock_settime(time.CLOCK_REALTIME, request['now'])
        self.channel.send({'id': request['id'], 'ev': 'hello', 'boot': boot_id()})

    def op_put(self, request):
        os.makedirs(os.path.dirname(request['path']) or '/', exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if request.get('append') else os.O_TRUNC)
        fd = os.open(request['path'], flags, request.get('mode', 0o644))
        with os.fdopen(fd, 'wb') as file:
            file.write(base64.b64decode(request['data']))
            if not request.get('append'):
                os.fchmod(file.fileno(), request.get('mode', 0o644))
        self.channel.send({'id': request['id'], 'ev': 'done'})

    def op_get(self, request):
        with open(request['path'], 'rb') as file:
            data = base64.b64encode(file.read()).decode()
        self.channel.send({'id': request['id'], 'ev': 'done', 'data': data})

    def op_listen(self, request):
        os.makedirs(SOCKETS, exist_ok=True)
        path = f"{SOCKETS}/{request['session']}"
        if os.path.exists(path):
            os.unlink(path)
        server = socket.socket(socket.AF_UNIX)
        server.bind(path)
        os.chmod(path, 0o666)
        server.listen(1)
        self.channel.send({'id': request['id'], 'ev': 'listening'})

        def relay():
            connection, _ = server.accept()
            server.close()
            link = Channel(connection.fileno(), False)
            self.sessions[request['session']] = link
            self.channel.send({'id': request['id'], 'ev': 'done'})
            for line in link.lines():
                self.channel.send_line(line + b'\n')
            self.sessions.pop(request['session'], None)
            connection.close()

        threading.Thread(target=relay, daemon=True).start()

    def environment(self, user):
        if self.in_session:
            return dict(os.environ)
        return {
            'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
            'LANG': 'C.UTF-8',
            'HOME': user.pw_dir,
            'USER': user.pw_name,
            'LOGNAME': user.pw_name,
            'SHELL': user.pw_shell,
        }

    def op_run(self, request):
        user = pwd.getpwuid(os.getuid()) if self.in_session else pwd.getpwnam(request.get('user') or 'root')
        environment = self.environment(user)
        environment.update(request.get('env') or {})
        options = {'env': environment, 'cwd': request.get('cwd') or user.pw_dir, 'start_new_session': True}
        if not self.in_session and user.pw_uid != 0:
            options.update(user=user.pw_uid, group=user.pw_gid,
                           extra_groups=os.getgrouplist(user.pw_name, user.pw_gid))
        terminal = None
        if request.get('pty'):
            terminal, other = os.openpty()
            options['preexec_fn'] = lambda: __import__('fcntl').ioctl(0, __import__('termios').TIOCSCTTY, 0)
            child = subprocess.Popen(request['argv'], stdin=other, stdout=other, stderr=other, **options)
            os.close(other)
            streams = [(1, terminal)]
        else:
            child = subprocess.Popen(request['argv'], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, bufsize=0, **options)
            streams = [(1, child.stdout.fileno()), (2, child.stderr.fileno())]
        inputs = queue.SimpleQueue()
        self.children[request['id']] = (child, inputs)
        self.channel.send({'id': request['id'], 'ev': 'started', 'pid': child.pid})
        pumps = []
        for stream in streams:
            pumps.append(threading.Thread(target=self.pump, args=(request['id'], *stream), daemon=True))
            pumps[-1].start()
        threading.Thread(target=self.feed, args=(child, terminal, inputs), daemon=True).start()
        threading.Thread(target=self.reap, args=(request['id'], child, pumps, terminal), daemon=True).start()

    def pump(self, number, stream, fd):
        while True:
            try:
                data = os.read(fd, 65536)
            except OSError:  # a terminal whose last user has gone
                return
            if not data:
                return
            text = base64.b64encode(data).decode()
            self.channel.send({'id': number, 'ev': 'out', 'fd': stream, 'data': text})

    def reap(self, number, child, pumps, terminal):
        code = child.wait()
        # A background child may keep the pipes open for ever: what was written before the exit is read by
        # then.
        deadline = time.monotonic() + 0.5
        for pump in pumps:
            pump.join(max(0.0, deadline - time.monotonic()))
        self.children.pop(number, (None, queue.SimpleQueue()))[1].put(None)
        self.channel.send({'id': number, 'ev': 'exit', 'code': code})
        if terminal is not None:
            os.close(terminal)

    def feed(self, child, terminal, inputs):
        """Standard input has a thread of its own: a program that does not read must hold up nobody else."""
        while True:
            data = inputs.get()
            try:
                if data is None:
                    if terminal is None:
                        child.stdin.close()
                    return
                if terminal is not None:
                    os.write(terminal, data)
                else:
                    child.stdin.write(data)
            except (OSError, ValueError):
                return  # it reads no more

    def op_input(self, request):
        found = self.children.get(request['id'])
        if found is not None:
            data = request.get('data')
            found[1].put(None if data is None else base64.b64decode(data))

    def op_signal(self, request):
        found = self.children.get(request['id'])
        if found is not None:
            try:
                os.killpg(found[0].pid, request['signal'])
            except ProcessLookupError:
                pass


def main():
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    if len(sys.argv) == 3 and sys.argv[1] == '--session':
        os.environ.setdefault('DBUS_SESSION_BUS_ADDRESS', f"unix:path=/run/user/{os.getuid()}/bus")
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(f'{SOCKETS}/{sys.argv[2]}')
        Agent(Channel(connection.fileno(), False), True).serve()
        return
    while not os.path.exists(PORT):
        time.sleep(0.05)
    channel = Channel(os.open(PORT, os.O_RDWR), True)
    channel.send_line(b'\n')  # ends what a power cut may have left unfinished
    channel.send({'ev': 'hello', 'boot': boot_id()})
    Agent(channel, False).serve()


main()
