/* guard.h: lines of a known pattern before and behind each block of the card's memory, looked at
 * when the block is freed, for cards that compute-sanitizer refuses.
 *
 * A program has them when it is linked with guard.c and --wrap for cudaMalloc and cudaFree.
 */
#ifndef HG_TESTS_GUARD_H
#define HG_TESTS_GUARD_H

/* What was written outside of a block that has been freed, or NULL; and forgets it. NULL itself in
 * a program without guards. */
__attribute__((weak)) const char *hg_guard_fault(void);

#endif
