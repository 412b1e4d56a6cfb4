# Kernel families are compiled for their instruction set; the choice is made at run time. Those that
# the processor at hand lacks are tested through an emulation of it.
ifneq ($(findstring x86_64,$(shell $(CC) -dumpmachine)),)
X86 := $(addprefix $(BUILD)/kernels/cpu/,avx2.o avxvnni.o avx512vnni.o amx.o)
$(X86): CFLAGS += -mavx2 -mfma -mf16c
ifdef VECTOR_CC # clang takes minutes for them
$(X86): override CC = $(VECTOR_CC)
endif
# Under AddressSanitizer they are what nearly all time goes to: only their own tests, which are those
# of the emulation, have them with it.
ifneq ($(findstring address,$(SANITIZE)),)
$(X86): override SANITIZE =
SANITIZED := avx2.o
endif
AVX512 := -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni
$(BUILD)/kernels/cpu/avxvnni.o: CFLAGS += -mavxvnni
$(BUILD)/kernels/cpu/avx512vnni.o: CFLAGS += $(AVX512)
$(BUILD)/kernels/cpu/amx.o: CFLAGS += $(AVX512) -mamx-tile -mamx-int8 -mxsave

# The same sources with instructions that are beyond AVX2 taken from tests/isa_emulator. Their
# objects come before the library's, so the tests run them.
ISA_EMULATED := -Itests/isa_emulator -Wno-psabi -mavx2 -mfma -mf16c
UNIT += $(addprefix $(BUILD)/tests/emulated/,test_kernels test_device) $(BUILD)/tests/isa_emulator/test_tiles
$(BUILD)/tests/isa_emulator/%.o: CFLAGS += $(ISA_EMULATED)
$(BUILD)/tests/emulated/%: $(BUILD)/tests/unit/%.o $(addprefix $(BUILD)/emulated/,avxvnni.o avx512vnni.o amx.o $(SANITIZED)) $(SUPPORT) $(LIB)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $^ -o $@ -lcmocka $(LDLIBS)
$(BUILD)/emulated/%.o: kernels/cpu/%.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CFLAGS) $(ISA_EMULATED) -O1 -MMD -MP -c $< -o $@
else
$(BUILD)/kernels/cpu/neondot.o: CFLAGS += -march=armv8.2-a+dotprod
$(BUILD)/kernels/cpu/neoni8mm.o: CFLAGS += -march=armv8.2-a+dotprod+i8mm
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
