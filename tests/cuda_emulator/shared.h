/* shared.h: shared arrays of a block whose every access is seen: bounds and races.
 *
 * A kernel's array is a view; an element of it is an object that tells reading from writing. Two
 * threads' accesses to one element, one of them a write, must be ordered: by a barrier of the
 * block, or by one of the warp when both are of that warp. While an asynchronous copy into an
 * element is under way nobody may touch it; when its thread has waited, it counts as that thread's
 * write.
 */
#ifndef HG_TESTS_EMULATOR_SHARED_H
#define HG_TESTS_EMULATOR_SHARED_H

#include <stddef.h>
#include <stdint.h>

/* What is known of an element's last accesses. An interval is the time between two barriers of the
 * block, an epoch that between two of the warp. */
struct emulator_shadow {
    uint32_t written, read;             /* interval of the last access, 0: never */
    uint32_t written_epoch, read_epoch; /* of the warp that did it */
    uint16_t writer, reader;            /* thread */
    bool readers;                       /* more than one thread read in that interval */
    bool reader_warps;                  /* of more than one warp */
    bool coming;                        /* an asynchronous copy is under way */
};

struct emulator_array {
    const char *site; /* of the declaration */
    char *data;
    emulator_shadow *shadow;
    size_t bytes, count;
};

emulator_array *emulator_shared(const char *site, size_t bytes, size_t count);
void emulator_access(emulator_array *array, size_t index, bool write);

/* An asynchronous copy of count elements, and the wait for all but the newest groups of them. */
void emulator_copy(emulator_array *array, size_t index, size_t count, const void *from);
void emulator_copy_commit(void);
void emulator_copy_wait(const char *site, uint32_t left);

/* One element: reading and writing are told apart. */
template <class T> struct emulator_element {
    emulator_array *array;
    size_t index;

    T *at(bool write) const
    {
        emulator_access(array, index, write);
        return (T *)(void *)array->data + (index < array->count ? index : 0);
    }
    operator T() const { return *at(false); }
    T operator=(T value) const { return *at(true) = value; }
    T operator=(const emulator_element &other) const { return *this = (T)other; }
    T operator+=(T value) const { return *this = (T) * this + value; }
};

template <class T> struct emulator_view {
    emulator_array *array;
    emulator_element<T> operator[](size_t index) const { return {array, index}; }
};

#endif
