/* The loops of bench_catalog.c and bench_catalog_boost.cpp: N names constructed, found and destroyed by one
 * process.  They are constructed in a random order and then used in that of the caller's array: the caller's own
 * memory is at hand, and each object is somewhere else in the segment than the one before.  The includer defines bench_open, bench_construct, bench_find,
 * bench_give_back (may be empty), bench_range (lists a hundred neighbours), bench_destroy and bench_close.  Lines are ns per call: median, min, max. */
#ifndef AIPC_BENCH_CATALOG_LOOPS_H
#define AIPC_BENCH_CATALOG_LOOPS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BENCH_RANGES = 20, BENCH_LINES = 5, BENCH_ROUNDS = 15, BENCH_PAYLOAD = 16, BENCH_CALLS = 200000, BENCH_NAME = 32 };

static void bench_open(size_t names);
static void bench_construct(const char *name, size_t i);
static void bench_find(const char *name, size_t i);
static void bench_give_back(size_t i);
static void bench_range(const char *name);
static void bench_destroy(const char *name, size_t i);
static void bench_close(void);

static char (*bench_names)[BENCH_NAME];
static uint32_t *bench_order;
static uint64_t bench_state = 88172645463325252u;

static uint64_t bench_random(void) {
    bench_state ^= bench_state << 13;
    bench_state ^= bench_state >> 7;
    bench_state ^= bench_state << 17;
    return bench_state;
}

static void bench_shuffle(size_t n) {
    for (size_t i = 0; i < n; i++) bench_order[i] = (uint32_t)i;
    for (size_t i = n; i-- > 1;) {
        size_t j = (size_t)(bench_random() % (i + 1));
        uint32_t swap = bench_order[i];
        bench_order[i] = bench_order[j];
        bench_order[j] = swap;
    }
}

static double bench_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void step_construct(size_t i) { bench_construct(bench_names[i], i); }
static void step_find(size_t i) { bench_find(bench_names[i], i); }
static void step_give_back(size_t i) { bench_give_back(i); }
static void step_range(size_t i) { bench_range(bench_names[i]); }
static void step_destroy(size_t i) { bench_destroy(bench_names[i], i); }

typedef struct bench_line {
    const char *what;
    void (*step)(size_t i);
    double ns[BENCH_ROUNDS];
} bench_line;

static int bench_compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double bench_pass(const bench_line *line, size_t names) {
    int times = line->step == step_find ? 3 : 1;
    size_t calls = line->step == step_range && names > BENCH_RANGES ? BENCH_RANGES : names;
    if (line->step == step_construct) bench_shuffle(names);
    double start = bench_now();
    for (int t = 0; t < times; t++)
        for (size_t i = 0; i < calls; i++) line->step(line->step == step_construct ? bench_order[i] : i);
    return (bench_now() - start) / (double)calls / times;
}

/* Small numbers of names are constructed and destroyed many times over. */
static void bench_round(bench_line *lines, int round, size_t names) {
    int repeats = names < BENCH_CALLS / 10 ? (int)(BENCH_CALLS / 10 / names) : 1;
    for (int l = 0; l < BENCH_LINES; l++) lines[l].ns[round] = 0;
    for (int r = 0; r < repeats; r++)
        for (int l = 0; l < BENCH_LINES; l++)
            lines[l].ns[round] += bench_pass(&lines[l], names) / repeats;
}

static void bench_curve(int rounds, size_t most) {
    bench_names = (char (*)[BENCH_NAME])malloc(most * BENCH_NAME);
    bench_order = (uint32_t *)malloc(most * sizeof *bench_order);
    bench_shuffle(most); /* neighbours in the array are none in a sorted index */
    for (size_t i = 0; i < most; i++) snprintf(bench_names[i], BENCH_NAME, "object-%07u", (unsigned)bench_order[i]);
    for (size_t names = 10; names <= most; names *= 10) {
        bench_line lines[] = {{"construct", step_construct, {0}}, {"find", step_find, {0}},
                              {"unpin", step_give_back, {0}}, {"list 100", step_range, {0}},
                              {"destroy", step_destroy, {0}}};
        bench_open(names);
        bench_round(lines, 0, names); /* warms up: first touch of the pages, growth */
        for (int round = 0; round < rounds; round++) bench_round(lines, round, names);
        bench_close();
        for (int l = 0; l < BENCH_LINES; l++) {
            qsort(lines[l].ns, (size_t)rounds, sizeof(double), bench_compare);
            printf("%-9s %8zu names  %7.1f %7.1f %7.1f\n", lines[l].what, names, lines[l].ns[rounds / 2],
                   lines[l].ns[0], lines[l].ns[rounds - 1]);
        }
        fflush(stdout);
    }
}

#endif
