# hydraglot: `make run` and `make check` do everything from a bare machine; `make help` lists more.
SHELL := /bin/bash
ifeq ($(origin CC),default)
CC := gcc
endif
CLANG ?= clang
BUILD ?= build
JOBS ?= $(shell nproc)
PYTHON := /usr/bin/python3
NVCC ?= $(firstword $(shell command -v nvcc) $(wildcard /usr/local/cuda/bin/nvcc))
FUZZ_SECONDS ?= 5

PKGS := libwebsockets sqlite3 icu-i18n icu-uc jansson openssl libarchive zlib
WARN := -Wall -Wextra -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes \
        -Wwrite-strings -Wvla -Wno-missing-field-initializers -Werror
OPT ?= -O3 -g
SANITIZE ?=
CFLAGS = -std=c11 -D_GNU_SOURCE -I. -pthread $(WARN) $(OPT) $(SANITIZE) $(PKG_CFLAGS)
PKG_CFLAGS = $(eval PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS)))$(PKG_CFLAGS)
PKG_LIBS = $(eval PKG_LIBS := $(shell pkg-config --libs $(PKGS)))$(PKG_LIBS)
LDLIBS = $(PKG_LIBS) -ldl -lm -pthread

LIB_SRC := $(filter-out core/cli/main.c,$(wildcard core/*/*.c)) $(wildcard kernels/*.c kernels/cpu/*.c db/*.c)
LIB := $(BUILD)/libhydraglot.a
SUPPORT_SRC := $(wildcard tests/support/*.c)
SUPPORT := $(SUPPORT_SRC:%.c=$(BUILD)/%.o)
BIN := $(BUILD)/hydraglot
programs = $(patsubst %.c,$(BUILD)/%,$(wildcard $(1)))
UNIT := $(call programs,tests/unit/test_*.c)
GOLDEN := $(call programs,tests/golden/test_*.c)
BENCH := $(call programs,tests/bench/bench_*.c)
FUZZ := $(call programs,tests/fuzz/fuzz_*.c)
# What has threads of its own, for ThreadSanitizer.
THREADED := $(call programs,$(addprefix tests/unit/test_,$(addsuffix .c,workers device engine* fingerprint store runtime conversation)))
# V=1 shows the commands.
Q := $(if $(V),,@)
say = @$(if $(V),true,printf '  %-5s %s\n' $(1) $(2))
# Runs each program of a list; the first failure ends it.
run_all = @set -e; for t in $(1); do echo "== $$t"; $(2) $$t; done
# As many at once as there are cores; what one prints is kept, and shown when it fails.
run_tests = @printf '%s\n' $(1) | xargs -P $(JOBS) -I{} sh -c \
    '$(2) {} > {}.log 2>&1 && echo "== {}" || { cat {}.log; echo "{} failed"; exit 255; }'

.PHONY: all run check check-long deps deps-check lint unit fixtures golden e2e quick-golden asan tsan tsan-run \
        fuzz fuzz-run fuzz-build bench bench-peers train-deps cuda clean help
all: $(BIN) ## build the program
	@if [ -n "$(NVCC)" ]; then $(MAKE) --no-print-directory cuda; fi

run: deps ## install what is missing, build, start the service
	@$(MAKE) --no-print-directory -j$(JOBS) all
	$(BIN) serve

check: deps-check ## install what the tests need and pass them all
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory -j$(JOBS) unit
	@$(MAKE) --no-print-directory arm
	@$(MAKE) --no-print-directory -j$(JOBS) golden
	@$(MAKE) --no-print-directory e2e
	@$(MAKE) --no-print-directory asan
	@$(MAKE) --no-print-directory tsan
	@$(MAKE) --no-print-directory fuzz
	@echo "make check: all passed"

check-long: check train-deps ## what takes longer: whole counts, ten minutes of fuzzing for each target
	$(PYTHON) tests/lint/lint.py --jobs $(JOBS) --deep
	@$(MAKE) --no-print-directory fuzz FUZZ_SECONDS=600
	$(BUILD)/tests/golden/test_quality reference
	@$(MAKE) --no-print-directory autobahn
	HYDRAGLOT_LONG=1 $(PYTHON) -m pytest -q tests/e2e
	HYDRAGLOT_LONG=1 $(BUILD)/tests/golden/test_smollm2
	HYDRAGLOT_LONG=1 $(BUILD)/tests/unit/test_cuda_kernels
	HYDRAGLOT_LONG=1 $(BUILD)/tests/unit/test_cuda_recovery
	HYDRAGLOT_LONG=1 $(BUILD)/tests/unit/test_cuda_goldens
	HYDRAGLOT_LONG=1 $(BUILD)/tests/unit/test_cuda_chunks
	HYDRAGLOT_LONG=1 $(BUILD)/tests/unit/test_segments
	HYDRAGLOT_LONG=1 $(BUILD)/tests/unit/test_swaps
	HYDRAGLOT_LONG=1 $(BUILD)/tests/unit/test_generation_faults

deps: ## install what building needs, and only that
	@.ci/deps build
deps-check: ## install what the tests need
	@.ci/deps build test

# ---- compiling -----------------------------------------------------------------------------------
include kernels/cpu/isa.mk

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CFLAGS) -MMD -MP -c $< -o $@
# The schema becomes a C string, which db/migrate.c includes.
$(BUILD)/db/schema.sql.inc: db/schema.sql
	@mkdir -p $(@D)
	sed 's/\\/\\\\/g; s/"/\\"/g; s/.*/"&\\n"/' $< > $@
$(BUILD)/db/migrate.o: $(BUILD)/db/schema.sql.inc
$(BUILD)/db/migrate.o: CFLAGS += -I$(BUILD)
$(LIB): $(LIB_SRC:%.c=$(BUILD)/%.o)
	@rm -f $@
	$(call say,AR,$@)
	$(Q)ar rcs $@ $^
$(BIN): $(BUILD)/core/cli/main.o $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $^ -o $@ $(LDLIBS)
$(BUILD)/tests/fuzz/%: $(BUILD)/tests/fuzz/%.o $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) -fsanitize=fuzzer $^ -o $@ $(LDLIBS)
$(BUILD)/tests/%: $(BUILD)/tests/%.o $(SUPPORT) $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $^ -o $@ -lcmocka $(LDLIBS)
# What it counts calls of.
$(BUILD)/tests/unit/test_carry: LDLIBS += -Wl,--wrap=hg_carry_restore,--wrap=hg_carry_outside,--wrap=hg_rules_apply_open

# ---- tests ---------------------------------------------------------------------------------------
unit: $(UNIT) ## the unit tests
	$(call run_tests,$^)
fixtures: ## fetch the real files that the goldens are about
	@.ci/fixtures build/fixtures
golden: $(GOLDEN) | fixtures ## tokens, logits and translations against what others computed
	$(call run_tests,$^)
e2e: $(BIN) | fixtures ## the whole program: command line, foreign websocket clients, a real browser
	$(PYTHON) -m pytest -q tests/e2e

asan: ## the unit tests under AddressSanitizer and UBSan
	@$(MAKE) --no-print-directory -j$(JOBS) unit BUILD=build/asan OPT='-O1 -g' \
	    SANITIZE='-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer'
tsan: ## what has threads, under ThreadSanitizer
	@$(MAKE) --no-print-directory -j$(JOBS) tsan-run BUILD=build/tsan OPT='-O1 -g' SANITIZE='-fsanitize=thread'
# Without address randomisation: some kernels' layouts are more than ThreadSanitizer knows.
tsan-run: $(THREADED)
	$(call run_tests,$^,setarch -R)

fuzz: ## every parser of outside input, FUZZ_SECONDS each, under sanitizers
	@$(MAKE) --no-print-directory -j$(JOBS) fuzz-build BUILD=build/fuzz CC=$(CLANG) VECTOR_CC=$(CC) OPT='-O1 -g' \
	    SANITIZE='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all'
	@$(MAKE) --no-print-directory -j$(JOBS) fuzz-run BUILD=build/fuzz
fuzz-build: $(FUZZ)
# As many at once as there are cores; what one prints is kept, and shown when it fails.
fuzz-run: $(patsubst fuzz_%,fuzz-run-%,$(notdir $(FUZZ)))
fuzz-run-%:
	@found=$(BUILD)/corpus/$*; mkdir -p $$found; \
	$(BUILD)/tests/fuzz/fuzz_$* -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=4096 \
	    -verbosity=0 -print_final_stats=1 -artifact_prefix=$$found/ $$found tests/fuzz/corpus/$* \
	    > $$found.log 2>&1 || { cat $$found.log; exit 1; }; \
	echo "== fuzz_$*: $$(awk '/executed_units/ {print $$2}' $$found.log) inputs"

lint: ## warnings as errors in gcc and clang, clang-tidy, format, sizes
	@$(PYTHON) tests/lint/lint.py --jobs $(JOBS)
	@if [ -n "$(NVCC)" ]; then $(MAKE) --no-print-directory cuda-resources; fi

bench: $(BIN) $(BENCH) ## tokens per second, latency, steps against the machine's roofline
	$(BIN) bench
	$(call run_all,$(BENCH))
bench-peers: ## the same work on llama.cpp, built here, in turns with ours
	@.ci/deps build peers
	@$(MAKE) --no-print-directory -j$(JOBS) fixtures $(BUILD)/tests/bench/peer_hydraglot
	@.ci/peers build/peers
	$(PYTHON) tests/bench/bench_peers.py

include kernels/cuda/cuda.mk
include plugins/train/train.mk
include tests/e2e/autobahn.mk

clean: ## remove what was built
	rm -rf build
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

.SECONDARY: # keep the objects of tests
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
