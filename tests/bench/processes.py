"""Programs that are measured: started, watched through /proc, and gone at the end."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path

STOP_SECONDS = 10


class Failure(Exception):
    """What was to be measured cannot be, or is not what it claims to be."""


def program(name: str) -> str | None:
    """Where it is. Debian keeps servers in a folder that a user's shell does not search."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def version(command: list[str]) -> str:
    """The first line that it says of itself, on whichever stream."""
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    return (said.stdout + said.stderr).strip().partition("\n")[0]


def environment() -> dict[str, str]:
    # With backtraces on, Rust programs pay for errors that cost nothing otherwise.
    hidden = ("RUST_BACKTRACE", "RUST_LIB_BACKTRACE", "RUST_LOG", "TOLLGATE_LOG")
    return {name: value for name, value in os.environ.items() if name not in hidden}


@contextlib.contextmanager
def running(command: list[str], folder: Path) -> Iterator[subprocess.Popen]:
    """A process in a group of its own, all of which is gone at the end. Its standard output is thrown
    away: tollgate writes its access log there."""
    errors = folder / "stderr"
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        )
    try:
        yield process
        if process.poll() is not None:
            raise Failure(f"{process.args!r} ended by itself with {process.returncode}")
    except (Failure, OSError, HTTPException, subprocess.SubprocessError) as failure:
        text = errors.read_text(errors="replace")[-2000:]
        raise Failure(f"{failure}\n{text}".rstrip()) from failure
    finally:
        stop(process)


def stop(process: subprocess.Popen) -> None:
    """Ends the process and all that it started, whichever groups those made for themselves."""
    started = tree(process.pid)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    for pid in started:
        # Once the first has been waited for, its number may be another's; those of its children are
        # theirs only as long as they are in its session.
        with contextlib.suppress(ProcessLookupError):
            if os.getsid(pid) == process.pid:
                os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def tree(pid: int) -> list[int]:
    """A process and its descendants: the workers of nginx, haproxy and varnish are children."""
    pids = [pid]
    for parent in pids:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                pids.extend(int(child) for child in children.read_text().split())
    return pids


def processor_seconds(process: subprocess.Popen) -> float:
    """User and system time of all threads, dead ones included."""
    ticks = 0
    for pid in tree(process.pid):
        # The name, in parentheses, may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def forget_peak(process: subprocess.Popen) -> None:
    """From here on `VmHWM` is the most there were since now (proc(5), clear_refs)."""
    for pid in tree(process.pid):
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def memory(process: subprocess.Popen, what: str) -> int:
    """Bytes resident: `VmHWM`, the most there ever were, or `VmRSS`, those now."""
    kibibytes = 0
    for pid in tree(process.pid):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == what:
                kibibytes += int(value.split()[0])
    return kibibytes * 1024
