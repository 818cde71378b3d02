/* The loops of bench_shares.c and bench_shares_boost.cpp: one process makes, copies, locks and assigns pointers that own.
 * The includer defines bench_open, bench_close and the steps.  Lines are ns per call: median, min, max. */
#ifndef AIPC_BENCH_SHARES_LOOPS_H
#define AIPC_BENCH_SHARES_LOOPS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { BENCH_ROUNDS = 15, BENCH_CALLS = 100000, BENCH_PAYLOAD = 16 };

static void bench_open(void);
static void bench_close(void);
static void bench_make(void);    /* a new object and its owner, and the end of both */
static void bench_copy(void);    /* one more owner, and its end */
static void bench_lock(void);    /* the same, from a weak pointer */
static void bench_assign(int i); /* an owning word leads to the one or the other of two objects */

static double bench_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int bench_compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void bench_line(const char *what, int step, int rounds) {
    double ns[BENCH_ROUNDS];
    for (int round = -1; round < rounds; round++) { /* the first one warms up */
        double start = bench_now();
        for (int i = 0; i < BENCH_CALLS; i++) {
            if (step == 0) bench_make();
            else if (step == 1) bench_copy();
            else if (step == 2) bench_lock();
            else bench_assign(i);
        }
        if (round >= 0) ns[round] = (bench_now() - start) / BENCH_CALLS;
    }
    qsort(ns, (size_t)rounds, sizeof *ns, bench_compare);
    printf("%-20s  %7.1f %7.1f %7.1f\n", what, ns[rounds / 2], ns[0], ns[rounds - 1]);
}

static void bench_all(int rounds) {
    bench_open();
    bench_line("make, reset", 0, rounds);
    bench_line("copy, reset", 1, rounds);
    bench_line("weak: lock, reset", 2, rounds);
    bench_line("assign in the segment", 3, rounds);
    bench_close();
}

#endif
