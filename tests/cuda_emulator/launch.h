/* launch.h: how a kernel of the emulator is started: with copies of its arguments. */
#ifndef HG_TESTS_EMULATOR_LAUNCH_H
#define HG_TESTS_EMULATOR_LAUNCH_H

#include <functional>
#include <tuple>

/* A launch: run now, or taken down while a graph is captured. */
struct emulator_job {
    dim3 grid, block;
    const char *name;
    std::function<void()> run;
};
void emulator_launch(cudaStream_t stream, emulator_job job);

/* Arguments are copied at the launch, as CUDA does. */
template <class... Parameters, class... Arguments>
static inline void emulator_call(cudaStream_t stream, dim3 grid, const char *name,
                                 void (*kernel)(Parameters...), const Arguments &...arguments)
{
    std::tuple<Parameters...> copy(arguments...);
    emulator_launch(stream, {grid, 128, name, [=] { std::apply(kernel, copy); }});
}
#define HG_LAUNCH(kernel, grid, shared_bytes, queue, ...)                                          \
    ((void)(shared_bytes), emulator_call((queue).stream, grid, #kernel, kernel, __VA_ARGS__))

/* Blocks of a kernel that one processor of the card holds: a card of the emulator's own. */
#define HG_RESIDENT(kernel, shared_bytes, out) ((void)(shared_bytes), *(out) = 2, emulator_ask())
cudaError_t emulator_ask(void);

#endif
