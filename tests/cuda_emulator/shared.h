/* shared.h: shared arrays of a block whose every access is seen: bounds and races.
 *
 * A kernel's array is a view; an element of it is an object that tells reading from writing.
 */
#ifndef HG_TESTS_EMULATOR_SHARED_H
#define HG_TESTS_EMULATOR_SHARED_H

#include <stddef.h>
#include <stdint.h>

/* An array of the block, with what is known of each element's accesses in this barrier interval. */
struct emulator_shadow {
    uint32_t written, read;  /* interval of the last access, 0: never */
    uint16_t writer, reader; /* thread */
    bool readers;            /* more than one thread read in that interval */
};

struct emulator_array {
    const char *site; /* of the declaration */
    char *data;
    emulator_shadow *shadow;
    size_t bytes, count;
};

emulator_array *emulator_shared(const char *site, size_t bytes, size_t count);
void emulator_access(emulator_array *array, size_t index, bool write);

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
