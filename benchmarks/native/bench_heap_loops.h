/* The loops of bench_heap.c and bench_heap_boost.cpp.  Who includes it has defined bench_block and defines the
 * three functions below. */
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

static uint64_t bench_state;
static uint64_t bench_random(void) {
    bench_state ^= bench_state << 13;
    bench_state ^= bench_state >> 7;
    bench_state ^= bench_state << 17;
    return bench_state;
}
static uint64_t bench_size(void) { return 16 + bench_random() % 4081; }

static double bench_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
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
    for (size_t i = 0; i < sizeof heap_sizes / sizeof *heap_sizes && !(slow && i > 1); i++) {
        char name[64];
        make(heap_sizes[i]);
        snprintf(name, sizeof name, "random mix, heap %d MiB, 40 %% full", (int)(heap_sizes[i] >> 20));
        bench_case(name, rounds, random_mix, heap_sizes[i] * 2 / 5 / 2072);
    }
}

#endif
