/* The loops of bench_heap.c and bench_heap_boost.cpp.  Who includes it has defined bench_block and defines the
 * functions below. */
#ifndef AIPC_BENCH_HEAP_LOOPS_H
#define AIPC_BENCH_HEAP_LOOPS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static bench_block bench_allocate(uint64_t size);
static void bench_free(bench_block block);
static void bench_touch(bench_block block); /* write its first word, as a user would */
static bool bench_try(uint64_t size, bench_block *block); /* false: full */
static void bench_take_many(uint64_t size, uint64_t count);
static void bench_drop_many(void);          /* all of those, at most 1,000 */

static uint64_t bench_state;
static uint64_t bench_random(void) {
    bench_state ^= bench_state << 13;
    bench_state ^= bench_state >> 7;
    bench_state ^= bench_state << 17;
    return bench_state;
}
static uint64_t bench_largest = 4096;
static uint64_t bench_size(void) { return 16 + bench_random() % (bench_largest - 15); }

/* Processor time: what else the machine does counts for less. */
static double bench_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static bench_block *bench_live;
static uint64_t bench_pairs = 1000000; /* of one round */

/* Allocate and free 64 bytes, beside what lives. */
static double pairs_64(uint64_t live) {
    const uint64_t pairs = bench_pairs;
    (void)live;
    const double start = bench_now();
    for (uint64_t i = 0; i < pairs; i++) {
        const bench_block block = bench_allocate(64);
        bench_touch(block);
        bench_free(block);
    }
    return (bench_now() - start) / (double)pairs;
}

/* Replaces a random block by one of random size. */
static double random_mix(uint64_t live) {
    const uint64_t pairs = bench_pairs;
    const double start = bench_now();
    for (uint64_t i = 0; i < pairs; i++) {
        bench_block *block = &bench_live[bench_random() % live];
        bench_free(*block);
        *block = bench_allocate(bench_size());
        bench_touch(*block);
    }
    return (bench_now() - start) / (double)pairs;
}

/* Of one block among a hundred; ten times a hundred, as the clock is slow. */
static double take_many(uint64_t live) {
    const uint64_t rounds = bench_pairs / 1000;
    double spent = 0;
    (void)live;
    for (uint64_t i = 0; i < rounds; i++) {
        const double start = bench_now();
        for (int n = 0; n < 10; n++) bench_take_many(100, 100);
        spent += bench_now() - start;
        bench_drop_many();
    }
    return spent / (double)rounds / 1000;
}

/* How much of 100 bytes nobody has when there is no room any more, after much coming and going. */
static void bench_full(uint64_t heap) {
    const uint64_t room = heap / 16;
    uint64_t live = 0, held = 0, *sizes = (uint64_t *)calloc(room, sizeof *sizes);
    bench_live = (bench_block *)calloc(room, sizeof *bench_live);
    for (int turn = 0; turn < 40; turn++) {
        for (uint64_t i = 0; i < live / 3; i++) { /* a random third goes */
            const uint64_t gone = bench_random() % live;
            bench_free(bench_live[gone]);
            held -= sizes[gone];
            bench_live[gone] = bench_live[--live];
            sizes[gone] = sizes[live];
        }
        for (uint64_t size = bench_size(); bench_try(size, &bench_live[live]); size = bench_size()) {
            held += size;
            sizes[live++] = size;
        }
    }
    const double lost = 100 - 100 * (double)held / (double)heap;
    if (live != 0) printf("%-44s %8.1f %8.1f %8.1f\n", "of 100 bytes lost when full, 16 MiB (no ns)", lost, lost, lost);
    free(bench_live);
    free(sizes);
}

static int bench_compare(const void *a, const void *b) {
    const double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

/* Runs `loop` with `live` blocks of random sizes allocated; the first round only warms. */
static void bench_case(const char *name, int rounds, double (*loop)(uint64_t live), uint64_t live) {
    double ns[64];
    if (rounds > 64) rounds = 64;
    bench_state = 88172645463325252u;
    bench_live = (bench_block *)calloc(live + 1, sizeof *bench_live);
    for (uint64_t i = 0; i < live; i++) bench_touch(bench_live[i] = bench_allocate(bench_size()));
    for (int i = -1; i < rounds; i++) ns[i < 0 ? 0 : i] = loop(live);
    for (uint64_t i = 0; i < live; i++) bench_free(bench_live[i]);
    free(bench_live);
    qsort(ns, (size_t)rounds, sizeof *ns, bench_compare);
    printf("%-44s %8.1f %8.1f %8.1f\n", name, ns[rounds / 2], ns[0], ns[rounds - 1]);
    fflush(stdout);
}

/* `slow`: an algorithm whose time grows with the number of blocks gets shorter rounds, and no large heaps. */
static void bench_all(int rounds, void (*make)(uint64_t bytes), bool slow) {
    static const uint64_t heap_sizes[] = {1 << 20, 16 << 20, 64 << 20, 256 << 20, 1 << 30};
    if (slow) bench_pairs = 20000;
    make(64 << 20);
    bench_case("pair 64 B", rounds, pairs_64, 0);
    bench_case("pair 64 B, 10,000 live", rounds, pairs_64, 10000);
    bench_case("random 16-4096 B, 10,000 live", rounds, random_mix, 10000);
    bench_case("allocate_many 100 x 100 B, a block", rounds, take_many, 0);
    make(16 << 20);
    bench_full(16 << 20);
    for (size_t i = 0; i < sizeof heap_sizes / sizeof *heap_sizes && !(slow && i > 1); i++) {
        char name[64];
        make(heap_sizes[i]);
        snprintf(name, sizeof name, "random mix, heap %d MiB, 40 %% full", (int)(heap_sizes[i] >> 20));
        bench_case(name, rounds, random_mix, heap_sizes[i] * 2 / 5 / 2072);
    }
}

/* From a thousand to ten million live blocks of 16 to 64 bytes. */
static void bench_scale(int rounds, void (*make)(uint64_t bytes), bool slow) {
    bench_largest = 64;
    for (uint64_t live = 1000; live <= (slow ? 100000u : 10000000u); live *= 10) {
        char name[64];
        make(live * 100 + (1 << 20));
        bench_pairs = slow ? 2000 : 300000;
        snprintf(name, sizeof name, "random 16-64 B, %d live", (int)live);
        bench_case(name, rounds, random_mix, live);
    }
}

#endif
