# `make` lists what there is. Everything works from a fresh clone: what is missing on the machine is
# installed first, and where that needs root it says so.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
# cargo parallelises by itself, and two cargos in one target folder wait for each other.
.NOTPARALLEL:

# Where rustup puts cargo; a shell that was open before it was installed does not look there.
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin

TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
TOLLGATE := $(TARGET)/release/tollgate
PLUGINS := $(patsubst %/Cargo.toml,%,$(wildcard plugins/*/Cargo.toml))
# This one is built for another target.
WASIP2 := tests/guests/wasip2
GUESTS := $(filter-out $(WASIP2),$(wildcard tests/guests/*))
# The crates that become components, on this machine: checked and unit-tested apart from the gateway,
# so that neither changes what features the other's dependencies are compiled with.
NATIVE := --target-dir $(TARGET)/native --workspace --exclude tollgate --exclude tollgate-tests
# The plugins of the examples, each outside the workspace as those of third parties are.
EXAMPLES := $(wildcard examples/*/*/Cargo.toml)

ROOT := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
# $(call install,program,Debian package)
install = PATH="$$PATH:/usr/sbin" command -v $(1) >/dev/null || { \
	echo "$(1) is missing. This needs root: $(ROOT) apt-get install -y $(2)"; \
	$(ROOT) apt-get update -qq && $(ROOT) apt-get install -y -qq --no-install-recommends $(2); }

# $(call if_target,target,command): runs it if rustc can build for the target.
if_target = rustup target add $(1) >/dev/null 2>&1 || true; \
	if [ -d "$$(rustc --print sysroot)/lib/rustlib/$(1)" ]; then $(2); \
	else echo 'Left out: rustc here cannot build for $(1) (rustup target add $(1)).'; fi

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: plugins ## Send real requests through a chain of three plugins, and explain each
	@examples/quickstart/demo.sh demo

.PHONY: run
run: plugins ## The demo's gateway and upstream, until Ctrl-C
	@examples/quickstart/demo.sh run

.PHONY: test
test: plugins guests ## Every test: SDK, plugins, gateway, and the real binary over real sockets
	failed=0; \
	cargo test $(NATIVE) --no-fail-fast || failed=1; \
	for example in $(EXAMPLES); do \
		cargo test --target-dir $(TARGET)/native --manifest-path $$example || failed=1; done; \
	cargo test --release --no-fail-fast || failed=1; \
	exit $$failed

# What `bench` may be told: BENCH_ONLY='a regular expression' for the cases and parts (start, idle, reloads,
# micro) that it is found in, BENCH_ROUNDS and BENCH_REQUESTS for how many, BENCH_ENVOY=0 to leave Envoy out.
BENCH_OPTIONS = $(if $(BENCH_ONLY),--only '$(BENCH_ONLY)') $(if $(BENCH_ROUNDS),--rounds $(BENCH_ROUNDS)) \
	$(if $(BENCH_REQUESTS),--requests $(BENCH_REQUESTS)) $(if $(filter 0,$(BENCH_ENVOY)),--no-envoy)

.PHONY: bench
bench: bench-programs plugins guests ## What requests cost, ours beside six others (a quarter of an hour)
	PYTHONDONTWRITEBYTECODE=1 tests/bench/run.py --target $(TARGET) $(BENCH_OPTIONS)

# The peers, the client, the filter for each of them, and what measures inside the process. `binary` must
# come after it: that puts the gateway without the feature `bench` back into its place.
.PHONY: bench-programs
bench-programs: tools
	@$(call install,nginx,nginx-light)
	@[ -f /usr/lib/nginx/modules/ngx_http_lua_module.so ] || { \
		$(call install,ngx_http_lua_module.so,libnginx-mod-http-lua); }
	@$(call install,haproxy,haproxy)
	@$(call install,varnishd,varnish)
	@$(call install,python3,python3)
	@python3 -m pip --version >/dev/null 2>&1 || { $(call install,pip3,python3-pip); }
	@$(call install,cmake,cmake)
	for program in load bare-hyper; do cargo build --release --target-dir $(TARGET)/bench \
		--manifest-path tests/bench/$$program/Cargo.toml; done
	cargo build --release --target-dir $(TARGET)/bench --manifest-path tests/bench/pingora/Cargo.toml \
		|| echo 'Left out: pingora, which could not be built.'
	$(call if_target,wasm32-wasip1,cargo build --release --target wasm32-wasip1 \
		--manifest-path tests/bench/proxy-wasm-filter/Cargo.toml --target-dir $(TARGET)/bench)
	$(call if_target,wasm32-wasip2,cargo build --release --target wasm32-wasip2 \
		-p guest-bench-filter -p guest-bench-request --target-dir $(TARGET)/bench \
		--config 'profile.release.strip="debuginfo"')
	cargo bench --features tollgate/bench --bench micro --no-run --message-format=json-render-diagnostics \
		| sed -n 's/.*"executable":"\([^"]*\/micro-[^"]*\)".*/\1/p' > $(TARGET)/bench/micro.path

.PHONY: fmt
fmt: cargo ## Format all Rust code
	cargo fmt --all

.PHONY: lint
lint: tools ## Formatting, clippy and rustdoc, all without a warning
	cargo fmt --all --check
	cargo clippy --release --all-targets --features tollgate/bench -- -D warnings
	cargo clippy $(NATIVE) --all-targets -- -D warnings
	for example in $(EXAMPLES); do cargo clippy --target-dir $(TARGET)/native \
		--manifest-path $$example --all-targets -- -D warnings; done
	RUSTDOCFLAGS='-D warnings' cargo doc --target-dir $(TARGET)/native -p tollgate-plugin --no-deps

.PHONY: plugins
plugins: binary ## The gateway and the bundled plugins
	$(TOLLGATE) plugin build $(PLUGINS) --out $(TARGET)/release/plugins

# The components that the integration tests load.
.PHONY: guests
guests: binary
	$(TOLLGATE) plugin build $(GUESTS) --out $(TARGET)/guests/out
	$(call if_target,wasm32-wasip2,cargo build --release --target wasm32-wasip2 -p guest-wasip2 \
		--target-dir $(TARGET)/guests --config 'profile.release.strip="debuginfo"' \
		&& cp $(TARGET)/guests/wasm32-wasip2/release/guest_wasip2.wasm $(TARGET)/guests/out/)

# Always the default members together: another selection changes what features their dependencies are
# compiled with, and compiles wasmtime again.
.PHONY: binary
binary: tools
	cargo build --release

# A C compiler is what aws-lc-sys needs; curl is the demo's client.
.PHONY: tools
tools: cargo
	@$(call install,cc,build-essential)
	@$(call install,curl,curl)

.PHONY: cargo
cargo:
	@command -v cargo >/dev/null || { \
		$(call install,curl,curl ca-certificates); \
		echo 'Rust is missing. Installing it for this user, without root, from https://rustup.rs'; \
		curl --proto =https --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --no-modify-path || { \
			echo 'That failed. Install Rust 1.95 or later in another way, and run make again.'; exit 1; }; }
