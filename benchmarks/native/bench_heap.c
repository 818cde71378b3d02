/* The heap alone, crash safety on: ns per allocate + free pair.
 *
 *     bench_heap [rounds]
 *
 * One line per case, `name  median  min  max`, the same names and loops as bench_heap_boost.cpp; a driver
 * runs both in turn.  The segment is made by hand (tests/native/heap_fixture.h): what is measured is the short
 * lock, the log and the heap, with a context entered once. */
#include "heap_fixture.h"

typedef uint64_t bench_block;
#include "bench_heap_loops.h"

static bench_block bench_allocate(uint64_t size) {
    uint64_t payload;
    if (aipc_heap_allocate(&ctx, size, 16, 0, NULL, &payload) != AIPC_OK) abort();
    return payload;
}
static void bench_free(bench_block payload) {
    if (aipc_heap_free(&ctx, payload, 0, NULL) != AIPC_OK) abort();
}
static void bench_touch(bench_block payload) { *(volatile uint64_t *)(void *)(seg.base + payload) = payload; }

int main(int argc, char **argv) {
    bench_all(argc > 1 ? atoi(argv[1]) : 5, fixture_make, false);
    return 0;
}
