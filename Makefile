# make build | check | test | demo | bench | soak | help

# One target directory for all checkouts: RocksDB takes minutes to compile.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/tailwater/target
# Everything is built with the one profile, so that RocksDB is compiled once.
CARGO_FLAGS := --release --locked

.DEFAULT_GOAL := help
.PHONY: help setup tools build check fmt lint doc deny test demo bench soak

help:
	@echo "make build   the binary, in $(CARGO_TARGET_DIR)/release/tailwater"
	@echo "make demo    the main job on throw-away servers, with a kill -9 in the middle"
	@echo "make check   formatting, lints, documentation, dependencies: the inner loop"
	@echo "make test    every test, against real servers"
	@echo "make bench   each way beside its peer: times, ratios, CPU and memory"
	@echo "make soak    long fault loops"
	@echo "make setup   installs what is missing on Debian (the targets above call it)"
	@echo "make tools   installs cargo-deny and cargo-nextest"

setup:
	@deploy/setup.sh

tools:
	cargo install --locked cargo-deny cargo-nextest

build: setup
	cargo build $(CARGO_FLAGS)

check: setup fmt lint doc deny

fmt:
	cargo fmt --check

lint:
	cargo clippy $(CARGO_FLAGS) --all-targets -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" cargo doc $(CARGO_FLAGS) --no-deps --document-private-items

# The advisories come over the network; without it the rest is checked all the same.
deny:
	@if ! command -v cargo-deny >/dev/null; then \
	  echo "make check: cargo-deny is not installed, dependencies were NOT checked (make tools)"; \
	elif cargo deny fetch db >/dev/null 2>&1; then cargo deny check; \
	else \
	  echo "make check: the advisory database cannot be reached, known vulnerabilities were NOT checked"; \
	  cargo deny check bans licenses sources; \
	fi

test: setup
	@if command -v cargo-nextest >/dev/null; then cargo nextest run $(CARGO_FLAGS) --no-fail-fast; \
	else cargo test $(CARGO_FLAGS) --no-fail-fast; fi

demo: build
	@python3 deploy/demo/demo.py

# BENCH_ROUNDS and BENCH_TURNS make it smaller; BENCH="mysql" measures one way alone.
bench: setup
	cargo test $(CARGO_FLAGS) --test bench -- $(BENCH)

# The fault loops of the tests, many more times (TAILWATER_SOAK is the number of kills); the differential run with 3,000 DDL
# statements a server (TAILWATER_DIFFERENTIAL); and the reader that never reads for ten minutes, by itself: it looks at times.
SOAK := TAILWATER_SOAK=$${TAILWATER_SOAK:-50} cargo test $(CARGO_FLAGS) --test it -- --nocapture
soak: setup
	$(SOAK) --test-threads=4 crash power_cut kill_9 through_kills
	TAILWATER_DIFFERENTIAL=$${TAILWATER_DIFFERENTIAL:-3000} cargo test $(CARGO_FLAGS) --test it -- --nocapture differential
	$(SOAK) never_reads_for_long
