# Kernel families are compiled for their instruction set; the choice is made at run time. Those that
# the processor at hand lacks are tested through an emulation of it.
ifneq ($(findstring x86_64,$(shell $(CC) -dumpmachine)),)
$(BUILD)/kernels/cpu/avx%.o: CFLAGS += -mavx2 -mfma -mf16c
ifdef VECTOR_CC # no fuzz target gets to these files, which clang takes minutes for
$(BUILD)/kernels/cpu/avx%.o: override CC = $(VECTOR_CC)
$(BUILD)/kernels/cpu/avx%.o: override SANITIZE =
endif
$(BUILD)/kernels/cpu/avxvnni.o: CFLAGS += -mavxvnni
$(BUILD)/kernels/cpu/avx512vnni.o: CFLAGS += -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni

# The same sources with instructions that are beyond AVX2 taken from tests/isa_emulator. Their
# objects come before the library's, so the tests run them.
UNIT += $(addprefix $(BUILD)/tests/emulated/,test_kernels test_device)
$(BUILD)/tests/emulated/%: $(BUILD)/tests/unit/%.o $(BUILD)/emulated/avxvnni.o $(BUILD)/emulated/avx512vnni.o $(SUPPORT) $(LIB)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $^ -o $@ -lcmocka $(LDLIBS)
$(BUILD)/emulated/avx%.o: kernels/cpu/avx%.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) -Itests/isa_emulator $(CFLAGS) -O1 -Wno-psabi -mavx2 -mfma -mf16c -MMD -MP -c $< -o $@
else
$(BUILD)/kernels/cpu/neondot.o: CFLAGS += -march=armv8.2-a+dotprod
endif

# The kernels and their tests for Arm, on an emulated processor. tests/arm stands in for the
# libraries that no package has for it everywhere.
ARM_SRC := $(wildcard kernels/*.c kernels/cpu/*.c core/base/*.c) \
           $(addprefix tests/support/,device_harness.c random_model.c)
arm: ## the kernel tests for Arm, on an emulated processor
	@$(MAKE) --no-print-directory -j$(JOBS) arm-run BUILD=build/arm CC=aarch64-linux-gnu-gcc \
	    OPT=-O2 PKG_CFLAGS=-Itests/arm
arm-run: $(BUILD)/arm/test_kernels $(BUILD)/arm/test_device
	$(call run_all,$^,qemu-aarch64 -cpu max)
$(BUILD)/arm/%: $(ARM_SRC:%.c=$(BUILD)/%.o) $(BUILD)/tests/unit/%.o
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) -static $^ -o $@ -lm
.PHONY: arm arm-run
