# What there is to do here. Everything installs what it lacks first, and works in folders named .build*.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Arguments for the program that `run` starts: make run ARGS="--limits 5000000"
ARGS ?=

# What narrows a run of the benchmarks, and older results to compare it with:
#   make bench ONLY=fanout,pingpong ROUNDS=3 BASE=old.json
ONLY ?=
ROUNDS ?=
BASE ?=

# What narrows a run of `test-numa`; all shapes without it. ONLY names checks there.
SHAPES ?=

# How long `soak` stays with each of its scenarios.
SOAK_SECONDS ?= 60

# How long `chaos` stays with each start method.
CHAOS_SECONDS ?= 60

# How long `process-faults` goes on, with faults in an order that differs from run to run; all of them without it.
FAULT_SECONDS ?=

# How long `fuzz` goes on with each of its targets.
FUZZ_SECONDS ?= 600

# A machine with a Swift toolchain has clang, but not always a cc.
ifeq ($(origin CC),default)
CC := $(shell command -v cc || echo clang)
endif

SWIFT_TEST := .ci/swift-test
# A cached plan of a package elsewhere does not notice new files of this one.
BUILD_DEPENDENT := swift build --disable-build-manifest-caching
BENCH := .build/bench-package/release/bench
ENGINE_BENCH := .build/engine/engine.tsv
BENCH_OPTIONS = --engine $(ENGINE_BENCH) \
  $(if $(ONLY),--only $(ONLY)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(BASE),--base $(BASE))
ENGINE := CShim/CWorkerPool
ENGINE_SOURCES := $(wildcard $(ENGINE)/src/*/*.c $(ENGINE)/src/*/*/*.c)
ENGINE_HEADERS := $(wildcard $(ENGINE)/include/*.h $(ENGINE)/src/*/*.h $(ENGINE)/src/*/*/*.h)
CXX_FILES := $(wildcard $(ENGINE)/include/*.h $(ENGINE)/src/queue/*.[ch] $(ENGINE)/src/park/*.[ch])
PRIMES_SOURCES := $(wildcard CShim/CPrimeVectors/src/*.c)
# Test drivers and the C program.
C_TEST_SOURCES := $(wildcard Tests/*/*.c)
# What the package trait Sandbox compiles in another way.
SANDBOX_SOURCES := $(wildcard $(ENGINE)/src/process/child/wp_process_sandbox*.c) \
  $(foreach name,sandbox filter widths breakouts cgroups,Tests/ProcessEngineCheck/$(name).c)
# Not that of ForkJoinPool, which includes the header of a JDK: it is compiled with these warnings where there is one.
C_BENCH_SOURCES := $(wildcard Sources/bench/Engine/*.c Sources/bench/Instructions/*.c Sources/bench/Peers/c-loop/*.c Sources/bench/Sources/*/*.c)
C_FLAGS := -std=c11 -D_GNU_SOURCE -I$(ENGINE)/include -ITests/CStress/include -ICShim/CPrimeVectors/include \
  -ISources/bench/Sources/CPrimeKernel/include
CXX_FLAGS := -std=c++20 -D_GNU_SOURCE -I$(ENGINE)/include
WARNINGS := -Wall -Wextra -Wconversion -Wshadow -Werror

.PHONY: help run test test-consumer test-c test-starts test-cgroups test-numa test-sandbox tsan asan docs model soak faults process-faults chaos fuzz simulate bench bench-peers bench-headline bench-instructions \
  bench-smoke bench-test bench-binary bench-engine lint lint-swift lint-c lint-layers format setup clean

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: setup ## Build in release mode and run the main job (ARGS="--limits 5000000 --workers 2").
	@swift build -c release --product primes
	@.build/release/primes $(ARGS)

test: setup ## Run all tests, the package that depends on this one, and the C program.
	$(SWIFT_TEST)
	@$(MAKE) --no-print-directory test-consumer test-c test-starts

# A program of another package, with the dynamic and with the static standard library, and the tests of that package, in
# which a pool is made inside the test runner of either library.
test-consumer:
	@cd Tests/Consumer && $(BUILD_DEPENDENT) --scratch-path .build && .build/debug/consumer | tail -n 1
	@cd Tests/Consumer && for configuration in debug release; do \
	  $(BUILD_DEPENDENT) -c $$configuration --scratch-path .build-static --static-swift-stdlib; \
	  .build-static/$$configuration/consumer | tail -n 1; done
	@cd Tests/Consumer && log=.build/tests.log && \
	  { swift test --disable-build-manifest-caching --scratch-path .build >$$log 2>&1 && \
	    grep 'Executed [1-9].* 0 failures' $$log | tail -n 1 && grep 'Test run with [1-9].*passed' $$log; } || \
	  { tail -n 40 $$log; exit 1; }

# With the package trait, and so in a build of its own.
SANDBOX_BUILD := .build-sandbox
BUILD_SANDBOX := swift build --traits Sandbox --scratch-path $(SANDBOX_BUILD)

test-sandbox: setup ## Check the sandbox of worker processes, which needs a build with the package trait.
	@.ci/need seccomp.h=libseccomp-dev
	@$(BUILD_SANDBOX) --product process-engine-check
	@$(BUILD_SANDBOX) --product ProcessScenarios
	@for method in fork reexec; do \
	  for scenario in sandbox-refuses sandbox-allows sandbox-not-granted sandbox-filter sandbox-widths sandbox-breakouts deaths; do \
	    $(SANDBOX_BUILD)/debug/process-engine-check $$scenario $$method; done; \
	  for scenario in sandbox deaths; do $(SANDBOX_BUILD)/debug/ProcessScenarios $$method $$scenario; done; done

# In an emulated machine: the cgroups of this one belong to whoever runs it.
test-cgroups: ## Check the memory cgroups of workers, with v1 and with v2, in a machine of their own (some minutes).
	@Tests/CgroupMachine/run.sh

test-numa: setup ## Check NUMA machines of several shapes, emulated, some minutes (SHAPES="uniform4 sparse" ONLY=pinned).
	@ONLY="$(ONLY)" Tests/NumaMachine/run.sh $(SHAPES)

# Re-executed workers of a program that is linked and started in every way that there is.
test-starts: setup
	@Tests/StartProgram/run.sh

test-c: .build/c-program .build/fuzz/replay .build/engine-fuzz/replay
	@.build/c-program
	@.build/fuzz/replay Tests/TopologyFuzz/corpus/*
	@.build/engine-fuzz/replay Tests/EngineFuzz/corpus/*

.build/c-program: Tests/CProgram/main.c $(ENGINE_SOURCES) $(ENGINE_HEADERS)
	@mkdir -p $(@D)
	@$(CC) $(C_FLAGS) -O2 -o $@ $(filter %.c,$^) -lnuma -lpthread

# What the fuzzer has found, once more; any compiler can do that.
FUZZED_SOURCES := $(wildcard $(ENGINE)/src/topology/*.c) $(ENGINE)/src/base/wp_error.c $(ENGINE)/src/platform/wp_affinity.c

.build/fuzz/replay: $(wildcard Tests/TopologyFuzz/*.c) $(FUZZED_SOURCES) $(ENGINE_HEADERS)
	@mkdir -p $(@D)
	@$(CC) $(C_FLAGS) -O2 -o $@ $(filter %.c,$^) -lnuma -lpthread

.build/engine-fuzz/replay: Tests/EngineFuzz/fuzz.c Tests/TopologyFuzz/replay.c $(ENGINE_SOURCES) $(ENGINE_HEADERS)
	@mkdir -p $(@D)
	@$(CC) $(C_FLAGS) -O2 -o $@ $(filter %.c,$^) -lnuma -lpthread

# A forked child that starts threads is what this package is about; TSan refuses it unless told.
tsan: setup ## Run all tests under ThreadSanitizer.
	TSAN_OPTIONS='die_after_fork=0 suppressions=$(CURDIR)/.ci/tsan-suppressions' \
	  $(SWIFT_TEST) --sanitize=thread --scratch-path .build-tsan

asan: setup ## Run all tests under AddressSanitizer, with leak detection.
	ASAN_OPTIONS=detect_leaks=1 LSAN_OPTIONS='suppressions=$(CURDIR)/.ci/lsan-suppressions:print_suppressions=0' \
	  $(SWIFT_TEST) --sanitize=address --scratch-path .build-asan

# Machines of 2, 4 and 8 nodes, whose shape the engine reads. UPDATE=1 writes the tables into the article.
UPDATE ?=
SIMULATION := .build/steal-simulation
SIMULATED ?= two-sockets four-nodes eight-nodes
SIMULATED_FOLDERS = $(SIMULATED:%=Tests/TopologyTests/Fixtures/%)

simulate: setup $(SIMULATION) ## Simulate stealing on several nodes; fails if its article says otherwise (UPDATE=1 corrects it).
	@Tests/StealSimulation/run.sh $(if $(UPDATE),--update) $(SIMULATION) $(SIMULATED_FOLDERS)

$(SIMULATION): $(wildcard Tests/StealSimulation/*.[ch]) $(ENGINE_SOURCES) $(ENGINE_HEADERS)
	@mkdir -p $(@D)
	@$(CC) $(C_FLAGS) -O2 -o $@ $(filter %.c,$^) -lnuma -lpthread

model: ## Check the protocols of queue, sleep, future and collector with the Spin model checker (some minutes).
	@.ci/need spin=spin gcc=gcc
	@Tests/Models/run.sh

soak: setup ## Check what thread pools hold on to under lasting load, and random programs, a minute each (SOAK_SECONDS=600).
	@swift build -c release --product ThreadSoak
	@swift build -c release --product ThreadPrograms
	@soak=.build/release/ThreadSoak; failed=0; for scenario in $$($$soak list); do \
	  echo "$$scenario: $$($$soak $$scenario $(SOAK_SECONDS))" || failed=1; done; \
	  echo "random programs: $$(.build/release/ThreadPrograms seconds $(SOAK_SECONDS))" || failed=1; exit $$failed

faults: setup ## Plant known faults into the thread engine, which random programs have to find (half an hour).
	@Tests/ThreadPrograms/faults.sh

PROCESS_FAULTS := .build/process-faults/engine-faults

process-faults: setup ## Let each system call of a process pool fail, in each of its processes, ten minutes (FAULT_SECONDS=50).
	@Tests/EngineFaults/build.sh $(PROCESS_FAULTS)
	@failed=0; $(PROCESS_FAULTS) $(if $(FAULT_SECONDS),seconds $(FAULT_SECONDS),all) || failed=1; \
	  $(PROCESS_FAULTS) delayed || failed=1; exit $$failed

chaos: setup ## Kill random processes of a pool under load, a minute with each start method (CHAOS_SECONDS=600).
	@swift build -c release --product ProcessChaos
	@failed=0; for method in fork reexec; do \
	  echo "$$method: $$(.build/release/ProcessChaos $$method $(CHAOS_SECONDS))" || failed=1; done; exit $$failed

fuzz: setup ## Fuzz the reading of topologies and of workers' bytes, ten minutes for each target (FUZZ_SECONDS=60).
	@Tests/TopologyFuzz/run.sh $(FUZZ_SECONDS)
	@Tests/EngineFuzz/run.sh $(FUZZ_SECONDS)
	@Tests/WireFuzz/run.sh $(FUZZ_SECONDS)

bench: bench-binary bench-engine ## Compare with other pools of Swift, 9 minutes (ONLY=fanout ROUNDS=3 BASE=old.json).
	@$(BENCH) $(BENCH_OPTIONS)

bench-peers: bench-binary bench-engine ## The same with oneTBB, rayon, ForkJoinPool, Go, Python and a loop in C, too.
	@$(MAKE) --no-print-directory -C Sources/bench/Peers OUT=$(CURDIR)/.build/peers
	@$(BENCH) $(BENCH_OPTIONS) --peers .build/peers/peers.tsv

bench-headline: bench-binary ## How many times as fast as Python's process pool the main job is: one line.
	@.ci/need /usr/bin/python3=python3
	@$(BENCH) headline

# Medians of 5: which worker steals what differs from run to run.
bench-instructions: setup ## Count the engine's instructions for a task and for a join, with callgrind.
	@.ci/need valgrind=valgrind
	@mkdir -p .build/instructions
	@clang $(C_FLAGS) -O2 -fPIC -o .build/instructions/instructions Sources/bench/Instructions/main.c $(ENGINE_SOURCES) -lnuma -lpthread
	@for load in "fanout 300000" "spawn-fib 24"; do for run in 1 2 3 4 5; do \
	  valgrind --tool=callgrind --callgrind-out-file=.build/instructions/out .build/instructions/instructions $$load 2 2>&1 | \
	    awk 'NF == 1 && $$1 ~ /^[0-9]+$$/ { n = $$1 } /Collected/ { printf "%.1f\n", $$NF / n }'; done | \
	  sort -n | awk -v name="$$load" 'NR == 3 { print name ": " $$1 " instructions" }'; done

# Whether all benchmarks run and answer rightly, in seconds; how fast, it does not say.
bench-smoke: bench-binary bench-engine
	@$(BENCH) --smoke --rounds 3 --engine $(ENGINE_BENCH) --output .build/bench-smoke

# Built as the benchmarks are, so that nothing is built twice.
bench-test: setup
	swift test --disable-xctest --disable-testable-imports -c release --package-path Sources/bench --scratch-path .build/bench-package

bench-binary: setup
	@$(BUILD_DEPENDENT) -c release --product bench --package-path Sources/bench --scratch-path .build/bench-package

# The subjects of the engine's own benchmarks: C, since Swift sees none of its parts.
bench-engine:
	@$(MAKE) --no-print-directory -C Sources/bench/Engine OUT=$(CURDIR)/$(patsubst %/,%,$(dir $(ENGINE_BENCH)))

# The compiler's symbol graph of the library, and the catalogue beside its sources. A link that leads nowhere is an error.
docs: setup ## Build the documentation into .build/docs.
	@swift build --target WorkerPool
	@mkdir -p .build/symbols
	@swift symbolgraph-extract -module-name WorkerPool -target $$(uname -m)-unknown-linux-gnu -I .build/debug/Modules \
	  -Xcc -fmodule-map-file=CShim/CNuma/module.modulemap \
	  -Xcc -fmodule-map-file=.build/debug/CWorkerPool.build/module.modulemap \
	  -minimum-access-level public -output-dir .build/symbols
	@docc convert Sources/WorkerPool/WorkerPool.docc --additional-symbol-graph-dir .build/symbols --warnings-as-errors \
	  --fallback-display-name WorkerPool --fallback-bundle-identifier WorkerPool --output-path .build/docs

lint: setup lint-swift lint-c lint-layers ## Check format and warnings of Swift, C, and C as C++, and the layers of the engine.

lint-swift:
	swift format lint --strict --parallel --recursive Sources Tests Package.swift
	@! grep -rnE --include='*.swift' '@unchecked Sendable|nonisolated\(unsafe\)|import CWorkerPool' \
	  Sources/WorkerPool Sources/WorkerPoolFoundation | grep -v /Engine/ \
	  || { echo "these belong in Sources/WorkerPool/Engine alone" >&2; exit 1; }

# gcc compiles in full, since some of its warnings need the optimiser. The second loop reads as C++ what has to be
# legible to it: the public headers for users, the queues and what they sleep on for a model checker.
lint-c:
	@.ci/need gcc=gcc g++=g++ seccomp.h=libseccomp-dev
	for file in $(ENGINE_SOURCES) $(PRIMES_SOURCES) $(C_TEST_SOURCES) $(C_BENCH_SOURCES); do \
	  gcc $(C_FLAGS) $(WARNINGS) -O2 -S -o /dev/null $$file; \
	  clang $(C_FLAGS) $(WARNINGS) -Watomic-implicit-seq-cst -fsyntax-only $$file; done
	for file in $(SANDBOX_SOURCES); do \
	  gcc $(C_FLAGS) -DWP_SANDBOX $(WARNINGS) -O2 -S -o /dev/null $$file; \
	  clang $(C_FLAGS) -DWP_SANDBOX $(WARNINGS) -Watomic-implicit-seq-cst -fsyntax-only $$file; done
	@# A header has inline functions that it does not use.
	for file in $(CXX_FILES); do for compiler in g++ clang++; do \
	  $$compiler -x c++ $(CXX_FLAGS) -Wall -Wextra -Wno-unused-function -Werror -fsyntax-only $$file; done; done

# Which file of the engine may use which.
lint-layers: setup
	@.ci/layers

format: ## Rewrite Swift files the way `lint` wants them.
	swift format --in-place --parallel --recursive Sources Tests Package.swift

setup: ## Install what the build needs and this machine lacks (libnuma-dev).
	@.ci/need numa.h=libnuma-dev

clean: ## Remove everything that was built.
	rm -rf .build .build-* Tests/Consumer/.build* Sources/bench/.build*
