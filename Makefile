# hydraglot. `make help` lists the targets.
SHELL := /bin/bash
CC ?= gcc
CLANG ?= clang
BUILD ?= build
PKGS := libwebsockets sqlite3 icu-i18n icu-uc jansson openssl libarchive
WARN := -Wall -Wextra -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes \
        -Wwrite-strings -Wvla -Wno-missing-field-initializers -Werror
BASE := -std=c11 -D_GNU_SOURCE -I. -pthread $(WARN)
OPT ?= -O3 -g
SANITIZE ?=
CFLAGS = $(BASE) $(OPT) $(SANITIZE) $(shell pkg-config --cflags $(PKGS))
LDLIBS = $(shell pkg-config --libs $(PKGS)) -ldl -lm -pthread

LIB_SRC := $(filter-out core/cli/main.c,$(wildcard core/*/*.c)) $(wildcard kernels/cpu/*.c) $(wildcard db/*.c)
LIB_OBJ := $(LIB_SRC:%.c=$(BUILD)/%.o)
LIB := $(BUILD)/libhydraglot.a
BIN := $(BUILD)/hydraglot
UNIT := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c tests/golden/test_*.c))

.PHONY: all help unit clean
all: $(BIN) ## build the binary

# Kernel families are compiled for their instruction set; the choice is made at run time.
$(BUILD)/kernels/cpu/avx2%.o: CFLAGS += -mavx2 -mfma -mf16c
$(BUILD)/kernels/cpu/avx512%.o: CFLAGS += -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mavx2 -mfma -mf16c

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -MMD -MP -c $< -o $@
# The schema becomes a C string, which db/migrate.c includes.
$(BUILD)/db/schema.sql.inc: db/schema.sql
	@mkdir -p $(@D)
	sed 's/\\/\\\\/g; s/"/\\"/g; s/.*/"&\\n"/' $< > $@
$(BUILD)/db/migrate.o: $(BUILD)/db/schema.sql.inc
$(BUILD)/db/migrate.o: CFLAGS += -I$(BUILD)
$(LIB): $(LIB_OBJ)
	@rm -f $@
	ar rcs $@ $^
$(BIN): $(BUILD)/core/cli/main.o $(LIB)
	$(CC) $(CFLAGS) $^ -o $@ $(LDLIBS)
$(BUILD)/tests/%: $(BUILD)/tests/%.o $(LIB)
	$(CC) $(CFLAGS) $^ -o $@ -lcmocka $(LDLIBS)

unit: $(UNIT) ## build and run the unit and golden tests
	@set -e; for t in $(UNIT); do echo "== $$t"; $$t; done

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'
clean: ## remove what was built
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
