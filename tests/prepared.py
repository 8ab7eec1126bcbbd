"""A process that has imported the embedded server, and forks one for each folder that a test serves.

The imports of a server take two seconds of CPU. `Prepared.popen` stands for `subprocess.Popen` in the process of the
tests; sessions in other processes start their servers as users do.
"""

import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import weakref
from contextlib import suppress
from importlib import import_module
from pathlib import Path

MODULE, END_S = "ainerd.server._child", 30.0


class Forked:
    """The part of `subprocess.Popen` that the owner of a server needs."""

    def __init__(self, pid, stdout, ended):
        self.pid, self.stdout, self.returncode = pid, stdout, None
        self._ended, self._lock = ended, threading.Lock()
        weakref.finalize(self, os.close, ended)

    def wait(self, timeout=None):
        if not select.select([self._ended], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(MODULE, timeout)
        with self._lock:
            if self.returncode is None:
                self.returncode = int(os.read(self._ended, 100))
        return self.returncode

    def kill(self):
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


class Prepared:
    """That process, which starts with the first server."""

    def __init__(self):
        self._process, self._lock = None, threading.Lock()

    def popen(self, command, *, stderr, env, pass_fds, **_):
        """Fork a server with these arguments of `subprocess.Popen`."""
        assert command[1:3] == ["-m", MODULE], command
        request = json.dumps({"arguments": command[2:], "env": dict(env), "cwd": os.getcwd()}).encode()
        (ended, end), (stdout, to_stdout) = os.pipe(), os.pipe()
        try:
            with self._lock:
                if self._process is None:
                    self._start()
                socket.send_fds(self._control, [request], [end, to_stdout, stderr.fileno(), *pass_fds])
                pid = int(self._control.recv(100))
        finally:
            os.close(end)
            os.close(to_stdout)
        return Forked(pid, open(stdout, "rb"), ended)

    def _start(self):
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-m", "tests.prepared", str(theirs.fileno())]
            root = Path(__file__).parents[1]  # a test may have changed the folder
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], cwd=root)

    def close(self):
        """End it once its servers have ended, so that their CPU seconds are counted."""
        if self._process is not None:
            self._control.close()
            self._process.wait(END_S + 10)


def main(control):
    """Fork a server for each request, until there are no more."""
    gc.set_threshold(50_000)
    import tiled.server.app  # noqa: F401 - most of the two seconds
    from tiled.commandline._catalog import init

    child = import_module(MODULE)
    with tempfile.TemporaryDirectory() as folder:
        init(f"sqlite:///{folder}/catalog.db")
        empty = Path(folder, "catalog.db").read_bytes()
    gc.freeze()
    ends = {}  # by process: where its status is written

    def reap(*_):
        with suppress(ChildProcessError):
            while (waited := os.waitpid(-1, os.WNOHANG))[0]:
                with open(ends.pop(waited[0]), "w") as end, suppress(BrokenPipeError):
                    end.write(str(os.waitstatus_to_exitcode(waited[1])))

    signal.signal(signal.SIGCHLD, reap)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        message, files, _, _ = socket.recv_fds(control, 200_000, 20)
        if not message:
            break
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
        pid = os.fork()
        if pid == 0:
            for file in (control.fileno(), files[0], *ends.values()):
                os.close(file)
            serve(child, json.loads(message), empty, *files[1:3])
        ends[pid] = files[0]
        for file in files[1:]:
            os.close(file)
        control.send(str(pid).encode())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
    deadline = time.monotonic() + END_S
    while ends and time.monotonic() < deadline:
        time.sleep(0.1)


def serve(child, request, empty, stdout, stderr):
    """Be the process of a server, from its first line to its end; a new folder gets an `empty` catalogue."""
    status = 1
    try:
        for number in (signal.SIGCHLD, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL if number == signal.SIGCHLD else signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        os.setsid()
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        os.close(stdout)
        os.close(stderr)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        sys.argv = request["arguments"]
        if not (catalog := Path(sys.argv[1], "catalog.db")).exists():
            catalog.write_bytes(empty)
        child.main()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
