# gpu.mk: the checks that need a card. They ask for nvcc, a C compiler, make and Python: not for the
# packages of the rest, nor for a network. Only the card's own architecture is built.
GPU_PYTHON ?= python3
GPU_SRC := $(wildcard kernels/*.c kernels/cpu/*.c core/base/*.c) \
           $(addprefix tests/support/,device_harness.c random_model.c)
GPU_TESTS := $(patsubst %,$(BUILD)/%,plain/kernels plain/chunks plain/goldens guarded/kernels guarded/chunks guarded/goldens \
                                  guarded/guard)
GPU_OBJECTS = $(patsubst %,$(BUILD)/cuda/%.o,$(basename $(wildcard kernels/cuda/*.c kernels/cuda/*.cu)))
GPU_LINK = $(NVCC) -cudart static -ldl
# tests/arm stands in for the tests' libraries.
GPU_FLAGS = BUILD=$(1) OPT=-O2 PYTHON=$(GPU_PYTHON) CUDA_RUNTIME='$(2)' PKG_CFLAGS='-Itests/arm $(3)'
# What is built for the card at hand; where there is none card.py says so.
define gpu_make
@card=$$($(GPU_PYTHON) tests/gpu/card.py arch) || exit 1; \
if [ -z "$(NVCC)" ]; then echo "nvcc was not found; install the CUDA toolkit"; exit 1; fi; \
$(MAKE) --no-print-directory -j$(JOBS) $(1) CUDA_ARCH="-gencode arch=compute_$$card,code=sm_$$card" \
    $(call GPU_FLAGS,build/gpu,-isystem $(CUDA_HOME)/include,-DHG_ON_CARD)
endef
.PHONY: gpu-check gpu-bench gpu-measure gpu-emulated gpu-build

gpu-check: ## every kernel and the golden sentences on a card; compute-sanitizer
	$(call gpu_make,gpu-build)
	@bash tests/gpu/check.sh build/gpu
gpu-bench: ## copy bandwidth, then steps, prompts and batches as shares of it, beside PyTorch; else computed
	@if ! $(GPU_PYTHON) tests/gpu/card.py > /dev/null; then exec $(GPU_PYTHON) tests/gpu/report.py; fi; \
	$(MAKE) --no-print-directory gpu-measure
gpu-measure:
	$(eval BEGUN := $(shell date +%s))
	$(call gpu_make,build/gpu/bench)
	@bash tests/gpu/bench.sh build/gpu $(BEGUN)
# The same programs on the emulator: what is left to be shown is the hardware.
gpu-emulated:
	@$(MAKE) --no-print-directory -j$(JOBS) gpu-build GPU_OBJECTS='$$(EMULATED)' GPU_LINK='$$(CXX)' \
	    $(call GPU_FLAGS,build/gpu-emulated,-Itests/cuda_emulator,)
	@bash tests/gpu/check.sh build/gpu-emulated
gpu-build: $(GPU_TESTS) | $(CUDA_GOLDENS)
GPU_LINKED = $(BUILD)/tests/gpu/guard.o $(GPU_SRC:%.c=$(BUILD)/%.o) $(GPU_OBJECTS)
ifneq ($(filter gpu-build build/gpu%,$(MAKECMDGOALS)),)
$(BUILD)/guarded/%: $(BUILD)/tests/unit/test_cuda_%.o $(GPU_LINKED)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(GPU_LINK) $^ -o $@ -Xlinker --wrap=cudaMalloc -Xlinker --wrap=cudaFree -lm -lpthread
$(BUILD)/plain/%: $(BUILD)/tests/unit/test_cuda_%.o $(filter-out %/guard.o,$(GPU_LINKED))
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(GPU_LINK) $^ -o $@ -lm -lpthread
$(BUILD)/tests/gpu/bench.o: CFLAGS += $(CUDA_RUNTIME)
$(BUILD)/bench: $(BUILD)/tests/gpu/bench.o $(BUILD)/core/cli/bench_shape.o $(filter-out %/guard.o,$(GPU_LINKED))
	$(call say,LINK,$@)
	$(Q)$(GPU_LINK) $^ -o $@ -lm -lpthread
endif
