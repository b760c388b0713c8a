# Needs Rust, a C and C++ compiler, and Python 3.11 or later with venv and pip.
# Everything else comes from the package registries, into .venv and target.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

CC ?= cc
CXX ?= c++
PYTHON ?= python3
PREFIX ?= /usr/local
LIBDIR ?= lib
DESTDIR ?=
CARGO ?= cargo

# One target directory and one profile for Rust's tests, the C ABI and the
# Python module, so that the dependencies are built once.
export CARGO_TARGET_DIR ?= $(CURDIR)/target
VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin
LIB := $(CURDIR)/build/lib
EXAMPLES := $(CURDIR)/build/examples

WARNINGS := -Wall -Wextra -Wpedantic -Werror
CFLAGS ?= -O1 -g
CXXFLAGS ?= -O1 -g
INCLUDES := -I$(CURDIR)/include -I$(CURDIR)/bindings/cpp/include
LINK := -L$(LIB) -Wl,-rpath,$(LIB) -lepochwal -pthread

RUST_SOURCES := Cargo.toml Cargo.lock bindings/build.sh $(shell find src -name '*.rs')
PYTHON_SOURCES := python/pyproject.toml python/Cargo.toml \
	$(shell find python/src python/epochwal -name '*.rs' -o -name '*.py' -o -name '*.pyi')
HEADERS := $(shell find include bindings/cpp/include -name '*.h' -o -name '*.hpp')
C_EXAMPLES := $(patsubst examples/c/%.c,$(EXAMPLES)/c/%,$(wildcard examples/c/*.c))
CPP_EXAMPLES := $(patsubst examples/cpp/%.cpp,$(EXAMPLES)/cpp/%,$(wildcard examples/cpp/*.cpp))
REPLICAS := $(EXAMPLES)/replication/replica
SQLITE_HOST := $(EXAMPLES)/sqlite/host
SQLITE_EXTENSION := $(EXAMPLES)/sqlite/epochwal_vfs.so

# What the test scripts of C and C++ and the cross-language tests are told.
TEST_ENV := CC='$(CC)' CXX='$(CXX)' EPOCHWAL_LIB_DIR='$(LIB)' EPOCHWAL_EXAMPLES='$(EXAMPLES)'

.PHONY: help
help:
	@echo 'make demo          real SQLite commits, kills, three replicas, and what comes back'
	@echo 'make sqlite-host   many SQLite databases in one group commit, killed and compared'
	@echo 'make sqlite-shell  the same in SQLite'"'"'s own shell, where that is installed'
	@echo 'make test          lint, then all tests: test-rust test-c test-cpp test-install'
	@echo '                   test-python test-cross'
	@echo 'make lint          rustfmt, clippy, ruff, mypy, stubtest, pyright'
	@echo 'make bench         bench-commits and bench-paths: all figures, into build/bench'
	@echo 'make bench-quick   a look of less than two minutes, without rivals'
	@echo 'make bench-commits durable commits per second, BENCH="--help" for options'
	@echo 'make bench-paths   submit, faces, recovery, the spool; BENCH="--help" too'
	@echo 'make bench-sqlite  many SQLite databases: one log against a WAL each'
	@echo 'make counts        instructions of the main paths beside their baseline'
	@echo 'make header        regenerate include/epochwal.h'
	@echo 'make doxygen       the reference of the C and C++ headers, into build/doxygen/html'
	@echo 'make stubs         copy the docstrings of the Python module to its stub'
	@echo 'make install       PREFIX=$(PREFIX) LIBDIR=$(LIBDIR) DESTDIR=$(DESTDIR)'
	@echo 'make uninstall     takes that away again'
	@echo 'make check-extra   clang, sanitizers, valgrind, Miri, doxygen, where they are present'
	@echo 'make check-packages  the wheel and the sdist, each tested in an empty environment'
	@echo 'make fuzz          FUZZ_SECONDS=60 each, FUZZ=target for one; needs nightly and cargo-fuzz'
	@echo 'make mutants       do the tests see a changed library? SINCE=<commit>, MUTANTS="--shard 0/8"'
	@echo 'make clean'

# What is built

build/venv.stamp: python/requirements-dev.txt
	@mkdir -p build
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

# The shared library under the name that its SONAME asks for.
build/lib.stamp: $(RUST_SOURCES)
	@mkdir -p $(LIB)
	CARGO='$(CARGO)' bindings/build.sh --quiet
	cp $(CARGO_TARGET_DIR)/debug/libepochwal.so $(LIB)/libepochwal.so.0
	ln -sf libepochwal.so.0 $(LIB)/libepochwal.so
	cp $(CARGO_TARGET_DIR)/debug/libepochwal.a $(LIB)/libepochwal.a
	@touch $@

build/python.stamp: build/venv.stamp $(RUST_SOURCES) $(PYTHON_SOURCES)
	VIRTUAL_ENV=$(VENV) $(BIN)/maturin develop --quiet -m python/Cargo.toml
	@touch $@

$(EXAMPLES)/c/%: examples/c/%.c build/lib.stamp $(HEADERS)
	@mkdir -p $(@D)
	$(CC) -std=c11 $(WARNINGS) $(CFLAGS) $(INCLUDES) $< -o $@ $(LINK)

$(EXAMPLES)/cpp/%: examples/cpp/%.cpp build/lib.stamp $(HEADERS)
	@mkdir -p $(@D)
	$(CXX) -std=c++17 $(WARNINGS) $(CXXFLAGS) $(INCLUDES) $< -o $@ $(LINK)

# The demo's replicas in C and C++ and the SQLite host, with SQLite from its
# sources: those that cargo fetches are the same everywhere, and no header need
# be installed. Threads each have a connection of their own.
build/sqlite/sqlite3-mt.o: examples/demo/sqlite/Cargo.toml examples/demo/sqlite/Cargo.lock
	@mkdir -p $(@D)
	$(CARGO) metadata --locked --format-version 1 --manifest-path $< \
	    | $(PYTHON) examples/demo/sqlite/take.py $(@D)
	$(CC) -O1 -DSQLITE_THREADSAFE=2 -DSQLITE_OMIT_LOAD_EXTENSION -c $(@D)/sqlite3.c -o $@

$(REPLICAS)-c: examples/demo/replication/replica.c build/sqlite/sqlite3-mt.o build/lib.stamp $(HEADERS)
	@mkdir -p $(@D)
	$(CC) -std=c11 $(WARNINGS) $(CFLAGS) $(INCLUDES) -Ibuild/sqlite $< build/sqlite/sqlite3-mt.o -o $@ $(LINK) -lm

$(REPLICAS)-cpp: examples/demo/replication/replica.cpp build/sqlite/sqlite3-mt.o build/lib.stamp $(HEADERS)
	@mkdir -p $(@D)
	$(CXX) -std=c++17 $(WARNINGS) $(CXXFLAGS) $(INCLUDES) -Ibuild/sqlite $< build/sqlite/sqlite3-mt.o -o $@ $(LINK) -lm

$(SQLITE_HOST): $(wildcard examples/sqlite/*.[ch]) build/sqlite/sqlite3-mt.o build/lib.stamp $(HEADERS)
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_XOPEN_SOURCE=700 $(WARNINGS) $(CFLAGS) $(INCLUDES) -Ibuild/sqlite \
	    $(filter %.c,$^) build/sqlite/sqlite3-mt.o -o $@ $(LINK) -lm

build/many_threads.stamp: examples/many_threads.rs $(RUST_SOURCES)
	@mkdir -p $(EXAMPLES)
	$(CARGO) build --example many_threads
	cp $(CARGO_TARGET_DIR)/debug/examples/many_threads $(EXAMPLES)/many_threads
	@touch $@

.PHONY: build examples
build: build/lib.stamp build/python.stamp
examples: $(C_EXAMPLES) $(CPP_EXAMPLES) $(REPLICAS)-c $(REPLICAS)-cpp $(SQLITE_HOST) \
	build/many_threads.stamp

# What is shown

.PHONY: demo
demo: build/python.stamp $(C_EXAMPLES) $(CPP_EXAMPLES) $(REPLICAS)-c $(REPLICAS)-cpp
	$(BIN)/python examples/demo/demo.py --examples $(EXAMPLES) $(DEMO_ARGS)

# The same VFS for a program that loads it, such as SQLite's own shell.
$(SQLITE_EXTENSION): $(wildcard examples/sqlite/extension/*.[ch]) examples/sqlite/vfs.c \
		examples/sqlite/wal.c examples/sqlite/recover.c $(wildcard examples/sqlite/*.h) \
		build/sqlite/sqlite3-mt.o build/lib.stamp $(HEADERS)
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_XOPEN_SOURCE=700 $(WARNINGS) $(CFLAGS) -shared -fPIC \
	    -include examples/sqlite/extension/extension.h $(INCLUDES) -Ibuild/sqlite \
	    -Iexamples/sqlite $(filter %.c,$^) -o $@ $(LINK)

.PHONY: sqlite-shell
sqlite-shell: $(SQLITE_EXTENSION)
	$(PYTHON) examples/sqlite/extension/shell.py --extension $(SQLITE_EXTENSION) $(KILLS)

.PHONY: sqlite-host
sqlite-host: $(SQLITE_HOST)
	$(PYTHON) examples/sqlite/kills.py --host $(SQLITE_HOST) $(KILLS)

# What is tested

.PHONY: test test-rust test-c test-cpp test-install test-python test-cross
test: lint test-rust
	@# These wait for disks and children more than they compute.
	+@$(MAKE) --no-print-directory -j2 --output-sync=target \
	    test-cross test-cpp test-c test-python test-install

test-rust:
	$(CARGO) test --quiet --workspace
	$(CARGO) test --quiet --features shuttle,sim --test interleavings
	$(CARGO) test --quiet --features loom --lib weak_tests

test-c: build/lib.stamp
	$(TEST_ENV) tests/c/run.sh

test-cpp: build/lib.stamp
	$(TEST_ENV) tests/cpp/run.sh

# The venv has cmake, where the system has none.
test-install: build/lib.stamp build/venv.stamp
	PATH='$(BIN)':"$$PATH" $(TEST_ENV) tests/install/run.sh

test-python: build/python.stamp
	$(BIN)/pytest -q -c python/pyproject.toml python/tests
	$(BIN)/pytest -q tests/reader

test-cross: build/python.stamp examples
	$(TEST_ENV) $(BIN)/pytest -q tests/cross tests/docs

# What is checked

.PHONY: lint
lint: build/python.stamp
	$(CARGO) fmt --all --check
	$(CARGO) clippy --quiet --workspace --all-targets -- -D warnings
	$(CARGO) clippy --quiet --features shuttle,sim --all-targets -- -D warnings
	$(CARGO) clippy --quiet --features loom --lib --tests -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --quiet --no-deps --package epochwal
	cd fuzz && $(CARGO) fmt --check
	cd benches && $(CARGO) fmt --all --check
	cd python && $(CARGO) fmt --check
	cd python && $(CARGO) clippy --quiet --all-targets -- -D warnings
	$(BIN)/ruff check python tests examples benches
	$(BIN)/ruff format --check tests examples benches python
	cd python && $(BIN)/mypy
	cd python && $(BIN)/stubtest epochwal --mypy-config-file pyproject.toml
	@# It runs on node; what is missing is named.
	cd python && if command -v node >/dev/null; \
		then $(BIN)/pyright --pythonpath $(BIN)/python --warnings; \
		else echo 'missing: node, for pyright'; fi
	$(BIN)/mypy --strict tests/reader
	MYPYPATH=tests/reader:examples/demo:examples/sqlite $(BIN)/mypy --strict tests/cross
	$(BIN)/mypy --strict tests/docs
	$(BIN)/mypy --strict examples/demo
	$(BIN)/mypy --strict examples/sqlite
	$(BIN)/mypy --strict benches/paths/commit.py

.PHONY: header
header:
	$(CARGO) run --quiet -p header

.PHONY: stubs
stubs: build/python.stamp
	$(BIN)/python python/tests/stub_docs.py

# A public name without a text is an error.
.PHONY: doxygen
doxygen:
	@command -v doxygen >/dev/null || { echo 'doxygen is missing' >&2; exit 1; }
	@rm -rf build/doxygen
	@mkdir -p build/doxygen
	EPOCHWAL_VERSION=$$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1) \
	    doxygen docs/doxygen/Doxyfile

# Other compilers, sanitizers, valgrind, Miri and doxygen. What is missing is named,
# and nothing that is missing counts as passed.
.PHONY: check-extra
check-extra: build/venv.stamp examples
	PATH='$(BIN)':"$$PATH" $(TEST_ENV) tests/extra.sh

# The benchmarks build their rivals, and the counts the library for release.
.PHONY: check-benches
check-benches:
	cd benches && $(BENCH_CARGO) clippy --quiet --all-targets -- -D warnings
	cd benches && $(BENCH_CARGO) test --quiet -p turns --lib
	$(CARGO) run --quiet --release -p counts -- --check

# Builds for release, twice, and asks pip for what the tests need.
.PHONY: check-packages
check-packages: build/venv.stamp
	PYTHON=$(BIN)/python python/tests/check_packages.sh $(PACKAGES_PROFILE)

# Needs a nightly compiler and cargo-fuzz. Its corpus is part of `make test`.
.PHONY: fuzz
fuzz:
	fuzz/run.sh $(FUZZ)

# The library with one operator, arm or result changed at a time: a change
# that no test sees is printed as missed. .cargo/mutants.toml says what is
# changed and which tests look. Hours for all of it; SINCE takes only what was
# changed since a commit, and MUTANTS hands on options.
.PHONY: mutants
mutants:
	@$(CARGO) mutants --version >/dev/null 2>&1 || { \
	    echo 'cargo-mutants is missing: cargo install --locked cargo-mutants' >&2; exit 1; }
	@mkdir -p build
	$(if $(SINCE),git diff $(SINCE) -- src > build/since.diff)
	env -u CARGO_TARGET_DIR $(CARGO) mutants --output build \
	    $(if $(SINCE),--in-diff build/since.diff) $(MUTANTS)

# What is measured

# A workspace and a target directory of their own: neither the rivals nor the
# features that the benchmarks choose get into what is tested and installed.
BENCH_CARGO := CARGO_TARGET_DIR='$(CARGO_TARGET_DIR)/bench' $(CARGO)
BENCH_RUN := $(BENCH_CARGO) run --release --manifest-path benches/Cargo.toml
FIGURES := $(CURDIR)/build/bench

.PHONY: bench bench-quick bench-commits bench-paths bench-sqlite
bench: bench-commits bench-paths

bench-commits:
	@mkdir -p $(FIGURES)
	$(BENCH_RUN) -p commits --features rivals -- \
		--json $(FIGURES)/commits.json --svg $(FIGURES)/commits.svg $(BENCH)

bench-paths: build/bench/faces.stamp
	$(BENCH_RUN) -p paths --features rivals -- \
		$(BENCH_FACES) --json $(FIGURES)/paths.json $(BENCH)

bench-quick: build/bench/faces.stamp
	$(BENCH_RUN) -p commits -- --quick
	$(BENCH_RUN) -p paths -- $(BENCH_FACES) --quick

# The host finds the release library in place of the one that it was linked to.
bench-sqlite: $(SQLITE_HOST) build/bench/faces.stamp
	@mkdir -p $(FIGURES)/lib
	ln -sf ../libepochwal.so $(FIGURES)/lib/libepochwal.so.0
	LD_LIBRARY_PATH=$(FIGURES)/lib $(PYTHON) examples/sqlite/bench.py --host $(SQLITE_HOST) $(BENCH)

# The C ABI and the Python package, built for release and away from those that
# are tested.
BENCH_FACES := --library $(FIGURES)/libepochwal.so \
	--python $(PYTHON) --python-path $(FIGURES)/python
build/bench/faces.stamp: $(RUST_SOURCES) $(PYTHON_SOURCES)
	CARGO='$(CARGO)' bindings/build.sh --quiet --release
	cd python && PYO3_PYTHON=$(PYTHON) $(CARGO) build --quiet --release
	rm -rf $(FIGURES)/python
	mkdir -p $(FIGURES)/python/epochwal
	cp $(CARGO_TARGET_DIR)/release/libepochwal.so $(FIGURES)
	cp python/epochwal/*.py $(FIGURES)/python/epochwal
	cp $(CARGO_TARGET_DIR)/release/lib_native.so $(FIGURES)/python/epochwal/_native.abi3.so
	@touch $@

# Instructions of the main paths, which are the same from run to run.
.PHONY: counts counts-write
counts:
	$(CARGO) run --quiet --release -p counts
counts-write:
	$(CARGO) run --quiet --release -p counts -- --write

# What is installed

# Root may have no cargo: then `make release`, and as root bindings/install.sh.
.PHONY: release install uninstall
release:
	CARGO='$(CARGO)' bindings/build.sh --release
	$(CARGO) build --release -p epochwal-cli
install: release
	DESTDIR='$(DESTDIR)' LIBDIR='$(LIBDIR)' sh bindings/install.sh '$(PREFIX)' \
	    '$(CARGO_TARGET_DIR)/release'
uninstall:
	DESTDIR='$(DESTDIR)' LIBDIR='$(LIBDIR)' sh bindings/install.sh --uninstall '$(PREFIX)'

.PHONY: clean
clean:
	rm -rf build $(VENV) .pytest_cache .mypy_cache .ruff_cache
	$(CARGO) clean
