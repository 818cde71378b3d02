/* The heap alone, crash safety on: ns of processor time per allocate + free pair.
 *
 *     bench_heap best_fit|tlsf|seq_fit [rounds [scale]]
 *
 * One line per case, `name  median  min  max`, the same names and loops as bench_heap_boost.cpp; a driver
 * runs both in turn.  The segment is made by hand (tests/native/heap_fixture.h): what is measured is the short
 * lock, the log and the heap, with a context entered once. */
#include "heap_fixture.h"
#include "memory.h"

typedef uint64_t bench_block;
#include "bench_heap_loops.h"

static bench_block bench_allocate(uint64_t size) {
    uint64_t payload;
    if (aipc_heap_allocate(&ctx, size, 16, 0, NULL, &payload) != AIPC_OK) abort();
    return payload;
}
static bool bench_try(uint64_t size, bench_block *block) {
    return aipc_heap_allocate(&ctx, size, 16, 0, NULL, block) == AIPC_OK;
}
static void bench_free(bench_block payload) {
    if (aipc_heap_free(&ctx, payload, 0, NULL) != AIPC_OK) abort();
}
static void bench_touch(bench_block payload) { *(volatile uint64_t *)(void *)(seg.base + payload) = payload; }

static uint64_t many[1000], many_count;
static void bench_take_many(uint64_t size, uint64_t count) {
    if (aipc_allocate_many(&ctx, &(aipc_many){&size, true, count, 16, many + many_count}) != AIPC_OK) abort();
    many_count += count;
}
static void bench_drop_many(void) {
    uint64_t freed;
    if (aipc_deallocate_many(&ctx, many, many_count, &freed) != AIPC_OK) abort();
    many_count = 0;
}

int main(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "best_fit";
    const int rounds = argc > 2 ? atoi(argv[2]) : 5;
    fixture_algorithm = strcmp(name, "tlsf") == 0 ? AIPC_TLSF : strcmp(name, "seq_fit") == 0 ? AIPC_SEQ_FIT : AIPC_BEST_FIT;
    (argc > 3 ? bench_scale : bench_all)(rounds, fixture_make, fixture_algorithm == AIPC_SEQ_FIT);
    return 0;
}
