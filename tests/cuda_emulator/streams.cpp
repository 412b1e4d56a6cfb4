/* streams.cpp: the emulator's streams and events: in which order work is done.
 *
 * A stream is a list of work that nobody has waited for yet. It is done when the stream, the whole
 * device or an event behind it is waited for, or when another stream that waits for such an event
 * gets that far; then in order, and no further than is needed. So what relies on work without
 * having ordered it finds it undone, and memory that is written again too early is read as it then
 * is.
 */
#include <deque>
#include <set>

#include "tests/cuda_emulator/emulator.h"

struct CUstream_st {
    std::deque<std::function<void()>> work;
    size_t done;
};
struct CUevent_st {
    cudaStream_t stream; /* NULL: nothing was recorded */
    size_t until;        /* work of the stream before it */
};

static std::set<cudaStream_t> streams;
static long events;

long emulator_streams_held(void)
{
    return events + (long)streams.size();
}

static void do_until(cudaStream_t stream, size_t until)
{
    while (streams.count(stream) && stream->done < until && !stream->work.empty()) {
        std::function<void()> next = stream->work.front();
        stream->work.pop_front();
        stream->done++;
        next();
    }
}

void emulator_queue(cudaStream_t stream, std::function<void()> work)
{
    if (stream)
        stream->work.push_back(work);
    else
        work();
}

void emulator_drain(cudaStream_t stream)
{
    if (stream) do_until(stream, (size_t)-1);
}

void emulator_drain_all(void)
{
    for (cudaStream_t stream : std::set<cudaStream_t>(streams)) emulator_drain(stream);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags)
{
    CALL();
    if (flags != cudaStreamNonBlocking) return cudaErrorInvalidValue;
    *out = new CUstream_st();
    streams.insert(*out);
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    emulator_drain(stream);
    streams.erase(stream);
    delete stream;
    CALL();
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    CALL();
    emulator_drain(stream);
    return emulator_work_error();
}

cudaError_t cudaDeviceSynchronize(void)
{
    CALL();
    emulator_drain_all();
    return emulator_work_error();
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags)
{
    CALL();
    if (flags != cudaEventDisableTiming) return cudaErrorInvalidValue;
    *out = new CUevent_st();
    events++;
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    events--;
    delete event;
    CALL();
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    CALL();
    *event = {stream, stream->done + stream->work.size()};
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    CALL();
    if (event->stream) do_until(event->stream, event->until);
    return emulator_work_error();
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags)
{
    (void)flags;
    CALL();
    CUevent_st now = *event;
    emulator_queue(stream, [now] {
        if (now.stream) do_until(now.stream, now.until);
    });
    return cudaSuccess;
}
