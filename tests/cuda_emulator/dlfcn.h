/* dlfcn.h: stands in for the system's where kernels/cuda/blas.c is compiled for the emulator: its
 * one library is the emulator's own cuBLASLt (cublaslt.cpp).
 */
#ifndef HG_TESTS_EMULATOR_DLFCN_H
#define HG_TESTS_EMULATOR_DLFCN_H

#define RTLD_NOW      2
#define RTLD_LOCAL    0
#define RTLD_NODELETE 0x1000
#define dlopen        emulator_dlopen
#define dlsym         emulator_dlsym
#define dlclose       emulator_dlclose

#ifdef __cplusplus
extern "C" {
#endif

void *emulator_dlopen(const char *file, int flags);
void *emulator_dlsym(void *library, const char *name);
int emulator_dlclose(void *library);

#ifdef __cplusplus
}
#endif
#endif
