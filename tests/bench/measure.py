"""Starts a case, sees that it does what its name says, loads it, and reads what that cost."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from cases import Case
from gateway import metrics
from processes import (
    Failure,
    environment,
    forget_peak,
    free_port,
    memory,
    processor_seconds,
    running,
)

CONNECTIONS = 32
START_SECONDS = 120
SETTLE_SECONDS = 0.05
# Modest: about a tenth of what one thread of the slowest peer can do.
RATE = 1000
RATE_SECONDS = 2
# A body of 1 MB is as much work as a good many of 1 KB.
LARGE_SHARE = 20
# What `x-bench-in` says. The upstream answers at /echo what it got in `x-bench-request`.
WORD = "the-benchmark-says-so"


@dataclass
class Samples:
    """Of one case, a value for each round."""

    micros: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    peak: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Bench:
    """What all cases are measured with."""

    client: Path
    upstream: int
    requests: int


def get(port: int, path: str, headers: tuple[str, ...] = ()) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        sent = dict(header.split(": ", 1) for header in headers)
        connection.request("GET", path, headers={"x-bench-in": WORD, **sent})
        response = connection.getresponse()
        response.read()
        return response
    finally:
        connection.close()


def wait_until_up(
    process: subprocess.Popen, port: int, path: str, headers: tuple[str, ...] = ()
) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        if process.poll() is not None:
            raise Failure(f"{process.args!r} ended with {process.returncode} before it answered")
        try:
            response = get(port, path, headers)
            if response.status == 200:
                return
            problem = f"it answers {response.status}"
        except (OSError, http.client.HTTPException) as error:
            problem = f"{error!r}"
        if time.monotonic() > deadline:
            raise Failure(f"{process.args!r} is not up in {START_SECONDS} s: {problem}")
        time.sleep(0.005)


def check(case: Case, port: int, number: int) -> None:
    """That the case does what its name says: a filter that does nothing would be fast."""
    path = case.path.format(number)
    shows = case.shows

    def expect(what: str, found: object, wanted: object) -> None:
        if found != wanted:
            raise Failure(f"{case.name}: {what} of {path} is {found!r}, not {wanted!r}")

    first, second, third = (get(port, path, case.headers) for _ in range(3))
    for response in (first, second, third):
        expect("the status", response.status, 200)
        expect("the length", response.getheader("content-length"), str(case.length))
    # The first may have been a miss.
    same = second.getheader("x-bench-id") == third.getheader("x-bench-id")
    expect("answered by the cache", same, shows.cached)
    wanted = shows.tag(number) if shows.tag else None
    expect("x-bench-response", third.getheader("x-bench-response"), wanted)
    echo = get(port, f"{path.rpartition('/')[0]}/echo", case.headers)
    wanted = WORD if shows.filters else None
    expect("x-bench-request", echo.getheader("x-bench-echo"), wanted)
    if shows.key:
        expect("the status without a key", get(port, path).status, 401)
        limited = third.getheader("ratelimit") is not None
        expect("limited", limited, case.ours)


def load(bench: Bench, port: int, case: Case, requests: int, rate: int | None = None) -> dict:
    """Makes this many requests, and says how that went. All of them must have gone well."""
    arguments = [
        f"address=127.0.0.1:{port}",
        f"connections={CONNECTIONS}",
        f"requests={requests}",
        f"path={case.path}",
        f"paths={case.paths}",
        f"length={case.length}",
        f"header=x-bench-in: {WORD}",
        *(f"header={header}" for header in case.headers),
        *([f"rate={rate}"] if rate else []),
    ]
    outcome = client(bench, arguments)
    if outcome["faults"]:
        raise Failure(f"{case.name}: {outcome['faults']} of {requests} requests")
    return outcome


def client(bench: Bench, arguments: list[str]) -> dict:
    finished = subprocess.run(
        [str(bench.client), *arguments],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if finished.returncode != 0:
        raise Failure(f"{bench.client.name}: {finished.stdout}{finished.stderr}")
    return json.loads(finished.stdout)


def upstream_requests(bench: Bench) -> int:
    """How many the upstream has answered, this question included."""
    connection = http.client.HTTPConnection("127.0.0.1", bench.upstream, timeout=5)
    try:
        connection.request("GET", "/status")
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    counted = re.search(r"^ *\d+ +\d+ +(\d+) *$", text, re.MULTILINE)
    if not counted:
        raise Failure(f"the upstream's status is {text!r}")
    return int(counted.group(1))


def plugin_calls(case: Case, folder: Path) -> float:
    if not case.ours:
        return 0.0
    counted = metrics(folder)
    if faults := counted.get("tollgate_plugin_faults_total", 0.0):
        raise Failure(f"{case.name}: {faults:.0f} plugin faults")
    return counted.get("tollgate_plugin_calls_total", 0.0)


def measure(bench: Bench, case: Case, samples: Samples) -> None:
    """One round of one case."""
    share = LARGE_SHARE if case.length > 1 << 16 else 1
    requests = max(bench.requests // share, 1)
    with tempfile.TemporaryDirectory(prefix="tollgate-bench-") as name:
        folder = Path(name)
        port = free_port()
        with running(case.command(folder, port, bench.upstream), folder) as process:
            wait_until_up(process, port, case.path.format(0), case.headers)
            # What was compiled at the start is the start's: the report has that apart.
            forget_peak(process)
            for number in range(case.paths):
                check(case, port, number)
            load(bench, port, case, max(requests // 8, case.paths))
            # The last answers are counted after they were sent.
            time.sleep(SETTLE_SECONDS)
            reached, calls = upstream_requests(bench), plugin_calls(case, folder)
            before = processor_seconds(process)
            load(bench, port, case, requests)
            time.sleep(SETTLE_SECONDS)
            spent = processor_seconds(process) - before
            reached = upstream_requests(bench) - reached - 1
            calls = plugin_calls(case, folder) - calls
            rate = RATE // share
            paced = load(bench, port, case, rate * RATE_SECONDS, rate)
            peak = memory(process, "VmHWM")
            check(case, port, 0)
    if reached != (0 if case.shows.cached else requests):
        raise Failure(f"{case.name}: {reached} of {requests} requests reached the upstream")
    if case.ours and case.shows.filters:
        wanted = requests * case.shows.filters * case.shows.sides
        if calls != wanted:
            raise Failure(f"{case.name}: {calls:.0f} calls of plugins, not {wanted}")
    samples.micros.append(spent / requests * 1e6)
    samples.p50.append(paced["p50_us"])
    samples.p99.append(paced["p99_us"])
    samples.peak.append(peak)
