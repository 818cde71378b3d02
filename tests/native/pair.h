/* Two words that must change together, with and without an undo log: what the crash and step harnesses
 * prove themselves on.  Without the log a death between the stores shows as a torn pair. */
#ifndef AIPC_TEST_PAIR_H
#define AIPC_TEST_PAIR_H

#include "atomics.h"
#include "harness.h"

#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

static struct pair {
    uint64_t words[2], old[2], logged;
    int torn; /* how often a survivor found the pair torn; written by the test process only */
} *pair;

static void pair_reset(void *ctx) {
    (void)ctx;
    if (pair == NULL) {
        pair = mmap(NULL, sizeof *pair, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        CHECK(pair != MAP_FAILED);
    }
    memset(pair, 0, offsetof(struct pair, torn));
}

static void pair_write_bare(void *ctx) {
    (void)ctx;
    aipc_store_release64(&pair->words[0], 1);
    aipc_store_release64(&pair->words[1], 1);
}

static void pair_write_logged(void *ctx) {
    (void)ctx;
    aipc_store_relaxed64(&pair->old[0], pair->words[0]);
    aipc_store_relaxed64(&pair->old[1], pair->words[1]);
    aipc_store_release64(&pair->logged, 1);
    pair_write_bare(NULL);
    aipc_store_release64(&pair->logged, 0);
}

static void pair_count_torn(void *ctx) {
    (void)ctx;
    pair->torn += pair->words[0] != pair->words[1];
}

static void pair_recover(void *ctx) {
    (void)ctx;
    if (aipc_load_acquire64(&pair->logged) != 0) {
        aipc_store_release64(&pair->words[0], pair->old[0]);
        aipc_store_release64(&pair->words[1], pair->old[1]);
        aipc_store_release64(&pair->logged, 0);
    }
    CHECK_EQ(pair->words[0], pair->words[1]);
}

static const struct scenario bare_pair = {.setup = pair_reset, .run = pair_write_bare, .survive = pair_count_torn};
static const struct scenario logged_pair = {.setup = pair_reset, .run = pair_write_logged, .survive = pair_recover};

#endif
