"""What was measured, in Markdown."""

from __future__ import annotations

import datetime
import os
import platform
from pathlib import Path
from statistics import median

from cases import Case, Goal
from measure import CONNECTIONS, LARGE_SHARE, RATE, RATE_SECONDS, Samples

METHOD = """\
Each case is a program that is started, seen to do what its name says (filters wrote what they must, hits
did not ask the upstream, keys are asked for), warmed up, loaded and stopped, one at a time in front of
one nginx that answers from memory. A round does so for every case, to and fro in turn, so that a slow
spell of the machine hits all alike. Afterwards the upstream's own counter must show every request of the
load (of cache hits: none), and Tollgate's that each plugin was called for each.

- **CPU us** is user and system time of the program's processes (not the client's or the upstream's) over
  {requests} GETs on {connections} kept connections{share}: median [least, most] of {rounds} rounds.
  Requests per second are not given: they would tell of client and upstream too. **difference** is taken
  within each round, to the program's own pass-through.
- **p50, p99** are microseconds at {rate} requests per second for {seconds} s, from when a request was
  due, so that a stall is charged for all that came meanwhile; client and upstream are in them.
- **peak** is the most memory that was resident while requests came, all processes together.
- **goal**: what the case is meant to cost at most, and what it did (medians of paired rounds).

One worker each, unless it is said; Varnish has a thread per connection. Tollgate writes its access log (to
/dev/null), counts its metrics and cleans what it forwards in all of its rows; the others log nothing."""


def about(rounds: int, requests: int, versions: list[str]) -> list[str]:
    now = datetime.datetime.now(datetime.UTC)
    text = METHOD.format(
        requests=f"{requests:,}",
        share=f" (a {LARGE_SHARE}th of it for 1 MB)",
        connections=CONNECTIONS,
        rounds=rounds,
        rate=f"{RATE:,}",
        seconds=RATE_SECONDS,
    )
    return [
        f"# What it costs, {now:%Y-%m-%d %H:%M} UTC",
        "",
        f"{processor()}, {os.cpu_count()} cores, Linux {platform.release()}. {'; '.join(versions)}.",
        "",
        text,
    ]


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def spread(values: list[float], sign: str = "") -> str:
    middle = median(values)
    return f"{middle:{sign}.1f} [{min(values):{sign}.1f}, {max(values):{sign}.1f}]"


def differences(case: Case, results: dict[str, Samples]) -> list[float]:
    if not case.base or case.base not in results:
        return []
    return [mine - its for mine, its in zip(results[case.name].micros, results[case.base].micros)]


def judged(goal: Goal, case: Case, results: dict[str, Samples]) -> str:
    """A goal, and whether it was reached."""
    if goal.times is None:
        found = differences(case, results)
        wanted, shape = f"{goal.most:+.0f}", "+.1f"
    else:
        other = results.get(goal.times)
        pairs = zip(results[case.name].micros, other.micros) if other else ()
        found = [mine / its for mine, its in pairs]
        wanted, shape = f"{goal.most:.2f} x {goal.times}", ".2f"
    if not found:
        return f"{wanted}: not measured"
    middle = median(found)
    return f"{wanted}: {middle:{shape}}, {'met' if middle <= goal.most else '**missed**'}"


def table(cases: list[Case], results: dict[str, Samples]) -> list[str]:
    lines = [
        "| case | CPU us/request | difference | p50 | p99 | peak MiB | goal |",
        "|---|--:|--:|--:|--:|--:|---|",
    ]
    for case in cases:
        samples = results[case.name]
        found = differences(case, results)
        cells = [
            case.name,
            spread(samples.micros),
            spread(found, "+") if found else "",
            f"{median(samples.p50):.0f}",
            f"{median(samples.p99):.0f}",
            f"{median(samples.peak) / (1 << 20):.0f}",
            "; ".join(judged(goal, case, results) for goal in case.goals),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def tables(cases: list[Case], results: dict[str, Samples]) -> list[str]:
    """A table for each group of cases that has results."""
    lines: list[str] = []
    for name in dict.fromkeys(case.table for case in cases):
        chosen = [case for case in cases if case.table == name and case.name in results]
        if chosen:
            lines += ["", f"## {name[0].upper()}{name[1:]}", "", *table(chosen, results)]
    return lines
