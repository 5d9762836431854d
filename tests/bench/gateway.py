"""Tollgate: the configurations that are measured."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from processes import Failure, free_port

# An instance that serves as many calls as may be asked of it.
REUSED = "{ calls = 1000000 }"
# The key that `api_key` knows, and its SHA-256.
KEY = "wonderland"
KEY_SHA256 = "a71a7c7011f53a1bab3642ec2ce12593f05230ace8de1e3e7645f69efac1443d"


@dataclass(frozen=True)
class Entry:
    """One entry of a chain: a plugin, by name, and its configuration in TOML."""

    plugin: str
    config: str = "{}"


@dataclass(frozen=True)
class Setup:
    # The chain of the route of this number.
    chain: Callable[[int], list[Entry]] = lambda number: []
    # Those of third parties: name and component.
    plugins: dict[str, Path] = field(default_factory=dict)
    # One for everything, or `/r0/...`, `/r1/...` and so on.
    routes: int = 1
    reused: bool = False
    workers: int = 1
    page_scan: bool = True


@dataclass(frozen=True)
class Gateway:
    binary: Path
    # The folder of compiled plugins.
    cache: Path

    def command(self, setup: Setup) -> Callable[[Path, int, int], list[str]]:
        def command(folder: Path, port: int, upstream: int) -> list[str]:
            configuration = folder / "gateway.toml"
            admin = free_port()
            configuration.write_text(self.configuration(setup, port, upstream, admin))
            (folder / "admin").write_text(str(admin))
            return [str(self.binary), "run", str(configuration)]

        return command

    def configuration(self, setup: Setup, port: int, upstream: int, admin: int) -> str:
        lines = [
            "[runtime]",
            f"workers = {setup.workers}",
            *([] if setup.page_scan else ["page-scan = false"]),
            f'plugin-cache = "{self.cache}"',
            f'[admin]\naddress = "127.0.0.1:{admin}"',
            f'[listeners.main]\naddress = "127.0.0.1:{port}"',
            f'[upstreams.origin]\nservers = ["http://127.0.0.1:{upstream}"]',
        ]
        lines += [f'[plugins.{name}]\nwasm = "{wasm}"' for name, wasm in setup.plugins.items()]
        # One policy for each entry that is not as another.
        policies: dict[Entry, str] = {}
        for number in range(setup.routes):
            chain = setup.chain(number)
            names = [policies.setdefault(entry, f"p{len(policies)}") for entry in chain]
            name, path = ("all", "") if setup.routes == 1 else (f"r{number}", f"/r{number}")
            lines.append(f'[routes.{name}]\nmatch = "{path}/{{rest+}}"\nupstream = "origin"')
            lines.append(f"chain = {json.dumps(names)}")
        instances = REUSED if setup.reused else '"fresh"'
        for entry, name in policies.items():
            lines.append(f'[policies.{name}]\nplugin = "{entry.plugin}"\nconfig = {entry.config}')
            lines.append(f"instances = {instances}")
        return "\n".join(lines) + "\n"


def metrics(folder: Path) -> dict[str, float]:
    """The sum of each metric over its labels, of the gateway that runs in this folder."""
    port = int((folder / "admin").read_text())
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    except (OSError, http.client.HTTPException) as error:
        raise Failure(f"the admin listener does not answer: {error!r}") from error
    finally:
        connection.close()
    sums: dict[str, float] = {}
    for name, value in re.findall(r"^(\w+)(?:\{.*\})? ([0-9.e+-]+)$", text, re.MULTILINE):
        sums[name] = sums.get(name, 0.0) + float(value)
    return sums


# Chains, given a number: other numbers below `CONFIGURATIONS` are other configurations.

CONFIGURATIONS = 100


def tag(number: int, place: int = 0, count: int = 1) -> str:
    """What a filter writes that is in this place of a chain of so many."""
    return f"t{(number * count + place) % CONFIGURATIONS}"


def filters(name: str, count: int) -> Callable[[int], list[Entry]]:
    """The benchmark's filter, so many in a row, each with a tag of its own."""
    return lambda number: [
        Entry(name, f'{{ tag = "{tag(number, place, count)}" }}') for place in range(count)
    ]


def key_and_limit(number: int) -> list[Entry]:
    consumer = f'{{ sha256 = ["{KEY_SHA256}"], claims = {{ number = {number} }} }}'
    return [
        Entry("api-key", f"{{ consumers.alice = {consumer} }}"),
        Entry("rate-limit", f'{{ per = "principal", rate = "{1_000_000 + number}/s" }}'),
    ]


def cache(number: int) -> list[Entry]:
    """By RFC 9111 alone; the other numbers' lifetimes are for answers that name none."""
    return [Entry("http-cache", f'{{ ttl = "{number}h" }}' if number else "{}")]
