/* outside.cpp: the emulated device as a library of its own, which a whole service opens in the
 * place of libhydraglot_cuda.so: another process says which calls fail, and is told what happened.
 *
 * A file "cuda.control" beside the running binary holds an emulator_control, nine words of 64 bits
 * in the processor's order; it is mapped when the library is opened. Without it the card is well.
 * Linked into that library only (kernels/cuda/cuda.mk).
 */
#include <cstdlib>
#include <fcntl.h>
#include <new>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/cuda_emulator/emulator.h"

static_assert(sizeof(emulator_control) == 72 && std::atomic<int64_t>::is_always_lock_free,
              "words that another process can map");

static std::string beside_binary(const char *name)
{
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path);
    std::string binary(path, n > 0 ? (size_t)n : 0);
    return binary.substr(0, binary.rfind('/') + 1) + name;
}

__attribute__((constructor)) static void map_control(void)
{
    int file = open(beside_binary("cuda.control").c_str(), O_RDWR);
    if (file < 0) {
        const hg_emulator_machine well = {13000, 1, 9, (size_t)4 << 30, 3};
        hg_emulator_set_machine(&well);
        return;
    }
    void *words =
        mmap(NULL, sizeof(emulator_control), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (words == MAP_FAILED) abort();
    emulator_asked = (emulator_control *)words;
}
