# `make` lists the targets. FEATURES=vendored links OpenSSL and zlib in, instead of using the system's.
FEATURES ?= system-ssl
PREFIX ?= /usr/local
DESTDIR ?=
BROKERS ?=
ONLY ?=
SECONDS ?= 60

export CARGO_FLAGS := --no-default-features --features $(FEATURES)
# The Python extension must not link the interpreter; one value everywhere, or every step builds it again.
export PYO3_BUILD_EXTENSION_MODULE := 1
export BROKERS ONLY
export FUZZ_SECONDS := $(SECONDS)

install := tests/setup/install.sh

.PHONY: help demo test chaos bench sanitize miri fuzz install docs
.DEFAULT_GOAL := help

help:
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

demo: ## see real records processed in parallel, in order per key, by C, Ruby and Python (BROKERS=host:port: on your Kafka)
	@$(install) build demo
	@tests/demo/run.sh

test: ## set up and run every test, those against a real Apache Kafka included (ONLY="ruby python": these steps only)
	@tests/setup/suite.sh

chaos: ## kill and halt members and three brokers at random, without and with transactions (CHAOS_SECONDS=600 each, CHAOS_SEED=n, CHAOS_PART=)
	@$(install) build kafka
	@cargo build --locked --quiet -p libkarafka-tests --bins $(CARGO_FLAGS)
	@cargo run --locked --quiet -p libkarafka-tests --bin chaos $(CARGO_FLAGS)

bench: ## speed, waiting, latency and memory beside a plain librdkafka loop, and what peers reach
	@$(install) build bench kafka
	@tests/bench/run.sh

sanitize: ## the suites under ThreadSanitizer and AddressSanitizer (ONLY="thread c": these only; needs a nightly Rust)
	@tests/sanitize/run.sh $(ONLY)

miri: ## the engine and the ABI's handles under Miri (ONLY="handles retry": these only; needs a nightly Rust)
	@tests/handles/miri.sh $(ONLY)

fuzz: ## feed metadata, configuration, sealed records and the ABI with arbitrary bytes (SECONDS=60 each; needs a nightly Rust)
	@tests/fuzz/run.sh $(ONLY)

install: ## build for release and install library, header and karafka.pc (PREFIX=/usr/local DESTDIR=)
	@$(install) build
	@PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' tests/setup/install-library.sh

docs: ## build the reference pages into target/doc
	@$(install) build
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps -p karafka $(CARGO_FLAGS)
