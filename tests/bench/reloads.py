"""Memory over a thousand reloads under load."""

from __future__ import annotations

import os
import signal
import statistics
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import measure
import plot
from cases import Case
from gateway import Entry, Gateway, Setup, metrics
from measure import Bench
from processes import Failure, free_port, memory, running

RELOADS = 1000
# How long one may take until requests find it.
RELOAD_SECONDS = 30
# Routes, each with a policy of its own that every reload configures anew.
POLICIES = 10
# Requests per second meanwhile, and how many of them the client makes at a time.
RATE = 500
REQUESTS = 1000
# Memory is read after every so many.
STEP = 10
# The first ones fill what is kept. The end is compared with what there was then, each over so many.
SETTLED = 200
OVER = 100
GROWTH_MOST = 0.05


class Load(threading.Thread):
    """Requests until they are told to end. All of them must go well."""

    def __init__(self, bench: Bench, case: Case, port: int) -> None:
        super().__init__()
        self.bench, self.case, self.port = bench, case, port
        self.ending = threading.Event()
        self.requests = 0
        self.p99: list[float] = []
        self.failure: Failure | None = None

    def run(self) -> None:
        while not self.ending.is_set():
            try:
                outcome = measure.load(self.bench, self.port, self.case, REQUESTS, RATE)
            except Failure as failure:
                self.failure = failure
                return
            self.requests += REQUESTS
            self.p99.append(outcome["p99_us"])

    def end(self) -> None:
        self.ending.set()
        self.join()


def generation(number: int, wasm: Path) -> Setup:
    """Two configurations in turn: both are compiled once, and built anew for every reload."""

    def chain(route: int) -> list[Entry]:
        return [Entry("filter", f'{{ tag = "{tag(number, route)}" }}')]

    return Setup(chain, {"filter": wasm}, routes=POLICIES)


def tag(number: int, route: int) -> str:
    return f"r{route}-{number % 2}"


def reloads(bench: Bench, gateway: Gateway, wasm: Path, out: Path) -> list[str]:
    heading = ["", f"## {RELOADS:,} reloads under load", ""]
    case = Case("", "tollgate, reloading", gateway.command(generation(0, wasm)))
    case = replace(case, path="/r{}/bench", paths=POLICIES)
    with tempfile.TemporaryDirectory(prefix="tollgate-bench-") as name:
        folder, port = Path(name), free_port()
        with running(case.command(folder, port, bench.upstream), folder) as process:
            measure.wait_until_up(process, port, "/r0/bench")
            if "tollgate_reloads_total" not in metrics(folder):
                return [*heading, "Skipped: this gateway does not reload."]
            load = Load(bench, case, port)
            load.start()
            began = time.monotonic()
            points = []
            try:
                for number in range(1, RELOADS + 1):
                    rewrite(gateway, generation(number, wasm), folder, port, bench.upstream)
                    os.kill(process.pid, signal.SIGHUP)
                    wait_until_loaded(port, number)
                    if number % STEP == 0:
                        points.append((float(number), memory(process, "VmRSS") / (1 << 20)))
            finally:
                load.end()
            took = time.monotonic() - began
    if load.failure:
        raise load.failure
    (out / "reloads.svg").write_text(
        plot.line("Memory over reloads under load", "reloads", "MiB resident", points)
    )
    return [*heading, *summary(points, load, took)]


def rewrite(gateway: Gateway, setup: Setup, folder: Path, port: int, upstream: int) -> None:
    """Never half written: the gateway may look at the file by itself."""
    admin = int((folder / "admin").read_text())
    new = folder / "gateway.toml.new"
    new.write_text(gateway.configuration(setup, port, upstream, admin))
    new.rename(folder / "gateway.toml")


def wait_until_loaded(port: int, number: int) -> None:
    """Until a request finds the new configuration."""
    route = POLICIES - 1
    deadline = time.monotonic() + RELOAD_SECONDS
    while True:
        response = measure.get(port, f"/r{route}/bench")
        said = response.getheader("x-bench-response")
        if said == tag(number, route):
            return
        if time.monotonic() > deadline:
            raise Failure(f"reload {number} is not there in {RELOAD_SECONDS} s: {said!r}")
        time.sleep(0.002)


def summary(points: list[tuple[float, float]], load: Load, took: float) -> list[str]:
    def most(first: float) -> float:
        return max(mebibytes for number, mebibytes in points if first < number <= first + OVER)

    early, late = most(SETTLED), most(RELOADS - OVER)
    met = "met" if late <= early * (1 + GROWTH_MOST) else "**missed**"
    return [
        f"SIGHUP {RELOADS:,} times in {took:.0f} s, each after the one before was seen by a request. Every"
        f" time {POLICIES} policies are configured anew, while {RATE} requests per second go through them:"
        f" {load.requests:,}, all answered as they must be, p99 {statistics.median(load.p99):.0f} us.",
        "",
        "| | most MiB resident | goal |",
        "|---|--:|---|",
        f"| reloads {SETTLED} to {SETTLED + OVER} | {early:.1f} | |",
        f"| the last {OVER} | {late:.1f} | at most {GROWTH_MOST:.0%} more: {met} |",
        "",
        "![Memory over reloads](reloads.svg)",
    ]
