"""What is not a cost per request: to start, and to hold connections that do nothing."""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import measure
from cases import PASS_THROUGH, Case
from gateway import CONFIGURATIONS, Entry, Gateway, Setup
from measure import Bench
from peers import Command
from processes import STOP_SECONDS, Failure, free_port, memory, running

ROUTES = 1000
WARM_STARTS = 5
WARM_SECONDS_GOAL = 1.0
IDLE_CONNECTIONS = 4000
IDLE_BYTES_GOAL = 20 * 1024


def starts(bench: Bench, binary: Path) -> list[str]:
    """From the start of the process to its first answer, without and with compiled plugins."""
    with tempfile.TemporaryDirectory(prefix="tollgate-bench-") as name:
        cache = Path(name) / "cache"
        cache.mkdir(mode=0o700)

        # A bundled plugin of usual size, so configured that each shows which one it is.
        def chain(number: int) -> list[Entry]:
            value = f"t{number % CONFIGURATIONS}"
            return [Entry("headers", f'{{ response.set.x-bench-response = "{value}" }}')]

        setup = Setup(chain, routes=ROUTES)
        command = Gateway(binary, cache).command(setup)
        cold, peak = start(bench, command)
        warm = [start(bench, command)[0] for _ in range(WARM_STARTS)]
    middle = statistics.median(warm)
    met = "met" if middle <= WARM_SECONDS_GOAL else "**missed**"
    return [
        "",
        "## Start",
        "",
        f"From the start of the process to its first answer, with {ROUTES:,} routes and"
        f" {CONFIGURATIONS} distinct configurations of `headers`.",
        "",
        "| | seconds | goal |",
        "|---|--:|---|",
        f"| nothing compiled yet (most memory: {peak / (1 << 20):.0f} MiB) | {cold:.2f} | |",
        f"| compiled before, median of {WARM_STARTS} | {middle:.3f} [{min(warm):.3f}, {max(warm):.3f}]"
        f" | {WARM_SECONDS_GOAL:.0f}: {met} |",
    ]


def start(bench: Bench, command: Command) -> tuple[float, int]:
    with tempfile.TemporaryDirectory(prefix="tollgate-bench-") as name:
        folder, port = Path(name), free_port()
        line = command(folder, port, bench.upstream)
        began = time.monotonic()
        with running(line, folder) as process:
            measure.wait_until_up(process, port, "/r0/bench")
            took = time.monotonic() - began
            response = measure.get(port, f"/r{ROUTES - 1}/bench")
            said = response.getheader("x-bench-response")
            if said != f"t{(ROUTES - 1) % CONFIGURATIONS}":
                raise Failure(f"the last route's plugin says {said!r}")
            return took, memory(process, "VmHWM")


def idle(bench: Bench, cases: list[Case]) -> list[str]:
    """What a connection costs that has made a request and now does nothing."""
    lines = [
        "",
        "## Idle connections",
        "",
        f"Memory for each of {IDLE_CONNECTIONS:,} kept connections that made one request and do nothing"
        " now. What the kernel keeps for their sockets is not in it.",
        "",
        "| | bytes per connection | goal |",
        "|---|--:|---|",
    ]
    for case in cases:
        if case.table != PASS_THROUGH:
            continue
        try:
            each = idle_bytes(bench, case)
        except Failure as failure:
            lines.append(f"| {case.name} | failed: {str(failure).partition(chr(10))[0]} | |")
            continue
        met = "met" if each <= IDLE_BYTES_GOAL else "**missed**"
        goal = f"{IDLE_BYTES_GOAL:,}: {met}" if case.ours else ""
        lines.append(f"| {case.name} | {each:,.0f} | {goal} |")
    return lines


def idle_bytes(bench: Bench, case: Case) -> float:
    with tempfile.TemporaryDirectory(prefix="tollgate-bench-") as name:
        folder, port = Path(name), free_port()
        with running(case.command(folder, port, bench.upstream), folder) as process:
            measure.wait_until_up(process, port, case.path)
            measure.load(bench, port, case, 2000)
            before = memory(process, "VmRSS")
            with holding(bench, port, case):
                return (memory(process, "VmRSS") - before) / IDLE_CONNECTIONS


@contextlib.contextmanager
def holding(bench: Bench, port: int, case: Case) -> Iterator[None]:
    """Keeps connections open."""
    arguments = [f"address=127.0.0.1:{port}", f"path={case.path}", f"length={case.length}"]
    client = subprocess.Popen(
        [str(bench.client), *arguments, f"connections={IDLE_CONNECTIONS}", "hold=true"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        # It says so once all are open.
        outcome = json.loads(client.stdout.readline() or "{}")
        if outcome.get("requests") != IDLE_CONNECTIONS or outcome["faults"]:
            raise Failure(f"{case.name}: the connections could not be opened: {outcome}")
        yield
    finally:
        client.stdin.close()
        client.wait(STOP_SECONDS)
