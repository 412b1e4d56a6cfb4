# cuda.mk: the CUDA device's library, built where nvcc is (the program runs without it), and the same
# sources for the emulator, which every machine's tests run. The library needs nvcc and a
# C compiler, none of the packages.
CUDA_LIB := $(BUILD)/libhydraglot_cuda.so
CUDA_HOME := $(patsubst %/bin/,%,$(dir $(realpath $(NVCC))))
CUDA_HOST := $(wildcard kernels/*.c kernels/cuda/*.c) core/base/error.c
CUDA_KERNELS := $(wildcard kernels/cuda/*.cu)
CUDA_ARCH := $(foreach a,80 89 90 120,-gencode arch=compute_$(a),code=sm_$(a)) \
             $(foreach a,90 120,-gencode arch=compute_$(a),code=compute_$(a))
NVCCFLAGS = -std=c++17 -O3 -I. -Werror all-warnings -Xcompiler -Wall,-Wextra,-fPIC,-fvisibility=hidden \
            $(CUDA_ARCH)
.PHONY: cuda-resources
cuda: ## build libhydraglot_cuda.so
	@if [ -z "$(NVCC)" ]; then echo "make cuda: nvcc was not found; install the CUDA toolkit"; exit 1; fi
	@$(MAKE) --no-print-directory $(CUDA_LIB)
$(BUILD)/cuda/%.o: %.cu
	@mkdir -p $(@D)
	$(call say,NVCC,$@)
	$(Q)$(NVCC) $(NVCCFLAGS) -Xptxas -v -MMD -MP -MF $(@:.o=.d) -c $< -o $@ 2> $(@:.o=.ptxas) || \
	    { cat $(@:.o=.ptxas); rm -f $@; exit 1; }
$(BUILD)/cuda/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) -std=c11 -D_GNU_SOURCE -I. -isystem $(CUDA_HOME)/include $(WARN) $(OPT) -fPIC \
	    -fvisibility=hidden -MMD -MP -c $< -o $@
$(CUDA_LIB): $(CUDA_HOST:%.c=$(BUILD)/cuda/%.o) $(CUDA_KERNELS:%.cu=$(BUILD)/cuda/%.o)
	$(call say,LINK,$@)
	$(Q)$(NVCC) -shared -cudart static -Xcompiler -static-libstdc++,-static-libgcc \
	    -Xlinker --as-needed,--exclude-libs,ALL,--no-undefined $^ -o $@

# Registers, shared memory and spills of every kernel, as the table beside this file has them.
cuda-resources: cuda
	@$(PYTHON) kernels/cuda/resources.py $(BUILD) $(NVCC)

# The same sources for the emulator, which runs them on the CPU in tests.
CUDA_RUNTIME ?= -Itests/cuda_emulator
EMULATED := $(patsubst %.c,$(BUILD)/emulated/%.o,$(wildcard kernels/cuda/*.c)) \
            $(patsubst %.cu,$(BUILD)/emulated/%.o,$(CUDA_KERNELS) $(wildcard tests/cuda_emulator/*.cu)) \
            $(patsubst %.cpp,$(BUILD)/emulated/%.o,$(filter-out %/outside.cpp,$(wildcard tests/cuda_emulator/*.cpp)))
# Chunks, panels and a workspace for small models.
EMULATED_SIZES := -DHG_CUDA_CHUNK_ROWS=64 -DHG_CUDA_PANEL_BYTES=65536 -DHG_BLAS_WORKSPACE_BYTES=4096
EMULATED_FLAGS = -I. -Itests/cuda_emulator $(EMULATED_SIZES) -fPIC -fvisibility=hidden
EMULATED_CXX = $(CXX) -std=c++17 $(EMULATED_FLAGS) -Wall -Wextra -Wshadow -Werror $(OPT) $(SANITIZE)
$(BUILD)/emulated/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CFLAGS) $(EMULATED_FLAGS) -MMD -MP -c $< -o $@
$(BUILD)/emulated/%.o: %.cu
	@mkdir -p $(@D)
	$(call say,CXX,$@)
	$(Q)$(EMULATED_CXX) -MMD -MP -x c++ -c $< -o $@
$(BUILD)/emulated/%.o: %.cpp
	@mkdir -p $(@D)
	$(call say,CXX,$@)
	$(Q)$(EMULATED_CXX) -MMD -MP -c $< -o $@
# And as a library that the whole program opens, whose card fails when a test says so.
EMULATED_LIB := $(BUILD)/emulated/libhydraglot_cuda.so
$(EMULATED_LIB): $(EMULATED) $(patsubst %,$(BUILD)/emulated/%.o,tests/cuda_emulator/outside kernels/check core/base/error)
	$(call say,LINK,$@)
	$(Q)$(CXX) $(SANITIZE) -shared -Wl,--no-undefined $^ -o $@
e2e: $(EMULATED_LIB)
CUDA_TESTS := $(call programs,tests/unit/test_cuda_*.c)
$(CUDA_TESTS): $(EMULATED)
$(CUDA_TESTS): LDLIBS += -lstdc++
# What a card's machine would need libraries for, as one flat file.
CUDA_GOLDENS := build/cuda_goldens.bin
$(CUDA_GOLDENS): tests/gpu/goldens.py tests/golden/model.safetensors
	@$(PYTHON) $< $@
$(BUILD)/tests/unit/test_cuda_goldens: | $(CUDA_GOLDENS)
GUARD := -Wl,--wrap=cudaMalloc,--wrap=cudaFree
$(BUILD)/tests/gpu/guard.o: CFLAGS += $(CUDA_RUNTIME)
$(BUILD)/tests/unit/test_cuda_guard.o: CFLAGS += $(CUDA_RUNTIME)
$(BUILD)/tests/unit/test_cuda_guard: $(BUILD)/tests/gpu/guard.o
$(BUILD)/tests/unit/test_cuda_guard: LDLIBS += $(GUARD)
include tests/gpu/gpu.mk
