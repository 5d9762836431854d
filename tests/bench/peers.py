"""What Tollgate is measured beside, and the upstream that all of them share. Each function writes what
its program needs into a folder and says what to run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from envoy import ENVOY_PACKAGE
from processes import program, version

# Given a folder, its own port and the upstream's, the command to run.
Command = Callable[[Path, int, int], list[str]]

# Debian's.
NGINX_MODULES = Path("/usr/lib/nginx/modules")
BODY_BYTES = 1024
LARGE_BYTES = 1 << 20
# More than are ever held open at once, for those that must be told.
CONNECTIONS_MAX = 16384
# For bodies of 1 MB: in memory, in pieces of a size that serves them best. By itself nginx writes what the
# client has not taken yet to a file, in pieces of 4 KiB.
NGINX_LARGE = (
    "      proxy_max_temp_file_size 0;\n      proxy_buffers 16 64k;\n"
    "      proxy_busy_buffers_size 128k;\n"
)


def nginx_command(folder: Path, server: str, workers: int = 1, modules: str = "") -> list[str]:
    temporary = "".join(
        f"  {kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.geteuid() == 0 else ""
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"{modules}{user}daemon off;\nworker_processes {workers};\npid {folder}/pid;\nerror_log stderr error;\n"
        f"events {{ worker_connections {CONNECTIONS_MAX}; }}\n"
        f"http {{\n{temporary}  access_log off;\n  keepalive_requests 1000000000;\n"
        f"  default_type text/plain;\n{server}}}\n"
    )
    return [program("nginx") or "nginx", "-p", str(folder), "-c", str(configuration)]


def upstream_command(folder: Path, port: int) -> list[str]:
    """Answers each path by its end: `/echo` says what it got in `x-bench-request`, `/cached` may be
    cached, `/large` is large. `x-bench-id` is another in each answer that it makes."""
    body = "b" * BODY_BYTES
    (folder / "large").write_bytes(b"l" * LARGE_BYTES)
    said = "add_header x-bench-id $request_id;"
    return nginx_command(
        folder,
        f"  open_file_cache max=10;\n  server {{\n    listen 127.0.0.1:{port};\n"
        "    location = /status { stub_status; }\n"
        f"    location ~ /echo$ {{\n      {said}\n      add_header x-bench-echo $http_x_bench_request;\n"
        f'      return 200 "{body}";\n    }}\n'
        f"    location ~ /cached$ {{\n      {said}\n      add_header cache-control max-age=3600;\n"
        f'      return 200 "{body}";\n    }}\n'
        f"    location = /large {{ {said} root {folder}; }}\n"
        f'    location / {{ {said} return 200 "{body}"; }}\n  }}\n',
    )


def nginx_proxy(http: str = "", location: str = "", workers: int = 1, modules: str = "") -> Command:
    """FOLDER in what is added stands for the folder."""

    def command(folder: Path, port: int, upstream: int) -> list[str]:
        server = (
            f"{http}  upstream origin {{\n    server 127.0.0.1:{upstream};\n    keepalive 64;\n"
            "    keepalive_requests 1000000000;\n  }\n"
            f"  server {{\n    listen 127.0.0.1:{port};\n    location / {{\n{location}"
            "      proxy_pass http://origin;\n      proxy_http_version 1.1;\n"
            '      proxy_set_header Connection "";\n    }\n  }\n'
        )
        return nginx_command(folder, server.replace("FOLDER", str(folder)), workers, modules)

    return command


def nginx_cache() -> Command:
    return nginx_proxy(
        "  proxy_cache_path FOLDER/cache keys_zone=bench:10m;\n", "      proxy_cache bench;\n"
    )


def nginx_key_and_limit(key: str) -> Command:
    """A table of keys and a limit that is never reached, as an operator of nginx would write them."""
    return nginx_proxy(
        f'  map $http_x_api_key $consumer {{ default ""; "{key}" alice; }}\n'
        "  limit_req_zone $consumer zone=rate:10m rate=1000000r/s;\n",
        '      if ($consumer = "") { return 401; }\n      limit_req zone=rate burst=1000000 nodelay;\n',
    )


def nginx_lua(tag: str) -> Command:
    """The benchmark's filter, in LuaJIT."""
    modules = "".join(
        f"load_module {NGINX_MODULES}/{name}.so;\n"
        for name in ("ndk_http_module", "ngx_http_lua_module")
    )
    return nginx_proxy(
        location="      access_by_lua_block {\n"
        "        local value = ngx.var.http_x_bench_in\n"
        '        if value then ngx.req.set_header("x-bench-request", value) end\n      }\n'
        f'      header_filter_by_lua_block {{ ngx.header["x-bench-response"] = "{tag}" }}\n',
        modules=modules,
    )


def haproxy_proxy(cache: bool = False, threads: int = 1) -> Command:
    def command(folder: Path, port: int, upstream: int) -> list[str]:
        store = "cache bench\n  total-max-size 16\n  max-age 3600\n" if cache else ""
        use = "  http-request cache-use bench\n  http-response cache-store bench\n" if cache else ""
        configuration = folder / "haproxy.cfg"
        configuration.write_text(
            f"global\n  nbthread {threads}\n  maxconn {CONNECTIONS_MAX // 4}\n"
            "defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n"
            f"{store}frontend main\n  bind 127.0.0.1:{port}\n  default_backend origin\n"
            f"backend origin\n{use}  server origin 127.0.0.1:{upstream}\n"
        )
        return [program("haproxy") or "haproxy", "-db", "-q", "-f", str(configuration)]

    return command


def varnish_proxy(cache: bool = False) -> Command:
    """Varnish has a thread for each connection at work; it cannot be held to one."""

    def command(folder: Path, port: int, upstream: int) -> list[str]:
        what = "hash" if cache else "pass"
        configuration = folder / "bench.vcl"
        configuration.write_text(
            "vcl 4.1;\n"
            f'backend origin {{ .host = "127.0.0.1"; .port = "{upstream}"; }}\n'
            f"sub vcl_recv {{ return ({what}); }}\n"
        )
        varnish = [
            program("varnishd") or "varnishd",
            "-F",
            "-j",
            "none",
            "-n",
            str(folder / "work"),
        ]
        pools = ["-p", "thread_pools=1", "-p", "thread_pool_min=100"]
        where = ["-a", f"127.0.0.1:{port}", "-f", str(configuration), "-s", "malloc,64m"]
        return [*varnish, *pools, *where]

    return command


def bare_proxy(bare: Path) -> Command:
    return lambda _, port, upstream: [str(bare), f"127.0.0.1:{port}", f"127.0.0.1:{upstream}"]


def pingora_proxy(pingora: Path, threads: int = 1) -> Command:
    def command(_: Path, port: int, upstream: int) -> list[str]:
        return [str(pingora), f"127.0.0.1:{port}", f"127.0.0.1:{upstream}", str(threads)]

    return command


def versions(envoy: str | None, target: Path) -> list[str]:
    """What is measured, in the programs' own words."""
    found = []
    for name, option in (("nginx", "-v"), ("haproxy", "-v"), ("varnishd", "-V")):
        if executable := program(name):
            found.append(version([executable, option]))
    if envoy:
        found.append(ENVOY_PACKAGE)
    if (target / "bench/release/bench-pingora").exists():
        lock = (Path(__file__).parent / "pingora/Cargo.lock").read_text()
        _, _, rest = lock.partition('name = "pingora-proxy"\nversion = "')
        found.append(f"pingora-proxy {rest.partition(chr(34))[0]}")
    return found
