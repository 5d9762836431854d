#!/usr/bin/env python3
"""Measures what requests cost a gateway: processor time, latency and memory, ours beside those of others.
`report.py` says how, at the top of what it writes. `make bench` builds what this needs and calls it.

Cases whose program is missing are skipped, and said to be. A case that does not do what its name says, or
answers wrongly under load, is failed: the others go on, and the exit status is 1."""

from __future__ import annotations

import argparse
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import lifetime
import plot
import reloads
import report
from cases import FRESH, Case, Programs, all_cases
from envoy import find_envoy
from gateway import Gateway
from measure import Bench, Samples, measure, wait_until_up
from peers import upstream_command, versions
from processes import Failure, environment, free_port, program, running

# Parts that are not cases, by the names that --only knows them by.
START, IDLE, RELOADS, MICRO = "start", "idle", "reloads", "micro"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--target", type=Path, required=True, help="cargo's target folder")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=30_000, help="in one measurement")
    parser.add_argument("--only", type=re.compile, help="cases that this is found in")
    parser.add_argument("--no-envoy", action="store_true", help="leave Envoy out")
    options = parser.parse_args()
    options.target = options.target.resolve(strict=True)
    if options.requests < 1 or options.rounds < 1:
        parser.error("--requests and --rounds must be at least 1")
    if not program("nginx"):
        parser.error("nginx, which is the upstream, is missing; try `apt-get install nginx-light`")
    return options


def chosen(cases: list[Case], only: re.Pattern | None) -> list[Case]:
    """The cases that were asked for, and those that their differences and goals are taken to."""
    if not only:
        return cases
    names = {case.name for case in cases if only.search(case.name)}
    for case in cases:
        if case.name in names:
            names |= {case.base or case.name, *(goal.times or case.name for goal in case.goals)}
    return [case for case in cases if case.name in names]


def measure_all(
    bench: Bench, cases: list[Case], rounds: int, failed: dict[str, str]
) -> dict[str, Samples]:
    results = {case.name: Samples() for case in cases}
    for number in range(rounds):
        began = time.monotonic()
        # To and fro, so that no case always follows the same one.
        for case in cases if number % 2 == 0 else reversed(cases):
            if case.name in failed:
                continue
            try:
                measure(bench, case, results[case.name])
            except (Failure, OSError) as failure:
                failed[case.name] = str(failure)
                print(f"  FAILED {failure}", file=sys.stderr)
                continue
            samples = results[case.name]
            print(
                f"  {case.name}: {samples.micros[-1]:.1f} us, p99 {samples.p99[-1]:.0f} us",
                file=sys.stderr,
            )
        took = time.monotonic() - began
        print(f"round {number + 1} of {rounds} took {took:.0f} s", file=sys.stderr)
    return {name: samples for name, samples in results.items() if name not in failed}


def bars(cases: list[Case], results: dict[str, Samples]) -> str:
    """What a request costs, with the cases that are somebody's whole story."""
    groups: dict[str, list[tuple[str, float, bool]]] = {}
    for case in cases:
        if case.name in results and case.table != FRESH:
            middle = report.median(results[case.name].micros)
            groups.setdefault(case.table, []).append((case.name, middle, case.ours))
    return plot.bars(
        "CPU microseconds per request, each group to its own scale", list(groups.items())
    )


def part(name: str, only: re.Pattern | None, failed: dict[str, str], run: Callable) -> list[str]:
    """What a part that is no case reports, if it was asked for."""
    if only and not only.search(name):
        return []
    print(f"{name} ...", file=sys.stderr)
    try:
        return run()
    except (Failure, OSError) as failure:
        failed[name] = str(failure)
        print(f"  FAILED {failure}", file=sys.stderr)
        return []


def micro(target: Path) -> list[str]:
    """What the parts of a request cost inside the process, as `host/benches/micro.rs` tells it."""
    try:
        executable = (target / "bench/micro.path").read_text().strip()
        guest = target / "guests/out/guest_bench_request.wasm"
        command = [executable, str(target / "bench/micro"), str(guest)]
        finished = subprocess.run(
            command, env=environment(), stdout=subprocess.PIPE, text=True, check=False
        )
    except OSError as error:
        raise Failure(f"it cannot be run: {error}") from error
    if finished.returncode != 0:
        raise Failure(f"it ended with {finished.returncode}")
    return ["", *finished.stdout.rstrip().splitlines()]


def run(options: argparse.Namespace, folder: Path, out: Path) -> bool:
    cache = folder / "plugin-cache"
    cache.mkdir(mode=0o700)
    programs = Programs(options.target, cache)
    client = programs.find("bench/release/load", "the client")
    if not client:
        raise Failure(programs.skipped[-1])
    every = all_cases(programs, not options.no_envoy)
    cases = chosen(every, options.only)
    for reason in programs.skipped:
        print(f"SKIPPED {reason}", file=sys.stderr)
    failed: dict[str, str] = {}
    origin = folder / "origin"
    origin.mkdir()
    port = free_port()
    with running(upstream_command(origin, port), origin) as process:
        wait_until_up(process, port, "/bench")
        bench = Bench(client, port, options.requests)
        results = measure_all(bench, cases, options.rounds, failed)
        gateway = Gateway(options.target / "release/tollgate", cache)
        filter_of_ours = options.target / "guests/out/guest_bench_filter.wasm"
        parts = {
            START: lambda: lifetime.starts(bench, gateway.binary),
            IDLE: lambda: lifetime.idle(bench, every),
            RELOADS: lambda: reloads.reloads(bench, gateway, filter_of_ours, out),
            MICRO: lambda: micro(options.target),
        }
        rest: list[str] = []
        for name, run_part in parts.items():
            rest += part(name, options.only, failed, run_part)
    for heading, entries in (
        ("Failed", [f"{name}: {why.partition(chr(10))[0]}" for name, why in failed.items()]),
        ("Skipped", programs.skipped),
    ):
        if entries:
            rest += ["", f"## {heading}", "", *(f"- {entry}" for entry in entries)]
    found = versions(None if options.no_envoy else find_envoy(), options.target)
    lines = report.about(options.rounds, options.requests, found)
    shown = ["", "![CPU microseconds per request](bench.svg)"] if results else []
    text = "\n".join([*lines, *shown, *report.tables(cases, results), *rest]) + "\n"
    print(text, end="")
    (out / "bench.md").write_text(text)
    if results:
        (out / "bench.svg").write_text(bars(cases, results))
    print(f"written to {out}", file=sys.stderr)
    return not failed


def main() -> int:
    options = arguments()
    # So that every `finally` runs, and no child outlives this process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    # For the peers that do not raise it themselves.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    out = options.target / "bench"
    try:
        with tempfile.TemporaryDirectory(prefix="tollgate-bench-") as folder:
            return 0 if run(options, Path(folder), out) else 1
    except Failure as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
