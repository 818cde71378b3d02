/* A segment made by hand: just what heap*.c, journal.c and domain.c need, in shared memory between two
 * guard pages, with a table of what the test owns.  One participant; a death is settled by recover().
 *
 * A block has one of two keepers: the table, or the orphan word of the context that is about to link it
 * there.  Both change through the log, so after recover() every used block is in the table. */
#ifndef AIPC_TEST_HEAP_FIXTURE_H
#define AIPC_TEST_HEAP_FIXTURE_H

#include "harness.h"
#include "heap.h"
#include "retire.h"

#include <string.h>
#include <sys/mman.h>

enum { FIXTURE_PARTICIPANTS = 2, FIXTURE_TABLE = 64 };

typedef struct fixture {
    struct aipc_header header;
    struct aipc_heap heap;
    struct aipc_catalog catalog; /* of owned blocks */
    struct aipc_waits waits; /* for whoever frees while a damaged line says that somebody waits */
    struct aipc_slot slots[FIXTURE_PARTICIPANTS];
    struct aipc_context contexts[FIXTURE_PARTICIPANTS * AIPC_CONTEXTS];
    uint64_t table[FIXTURE_TABLE]; /* payloads the test owns */
    uint64_t align[2];
} fixture;

static fixture *shared;
static uint64_t shared_size;
static aipc_seg seg;
static aipc_ctx ctx;
static uint64_t *const no_orphan = NULL;
static uint32_t fixture_algorithm = AIPC_BEST_FIT; /* of the heaps made from now on */

/* The contract of all algorithms. */
#define RUN_EACH(test)                                                                            \
    do {                                                                                          \
        static const char *const names[] = {NULL, "best_fit", "tlsf", "seq_fit"};                 \
        for (uint32_t each = AIPC_BEST_FIT; each <= AIPC_SEQ_FIT; each++) {                       \
            fixture_algorithm = each;                                                             \
            fprintf(stderr, "%s: ", names[each]);                                                 \
            RUN(test);                                                                            \
        }                                                                                         \
        fixture_algorithm = AIPC_BEST_FIT;                                                        \
    } while (0)

static aipc_status fixture_idle(aipc_seg *s, const uint32_t *word, uint32_t seen) {
    (void)s, (void)word, (void)seen;
    return AIPC_INTERRUPTED;
}
static aipc_status fixture_recover(aipc_ctx *c, uint32_t slot, uint32_t generation) {
    (void)c, (void)slot, (void)generation;
    return AIPC_INTERRUPTED;
}

/* A fresh heap of at least `size` bytes; the same memory when it is the same size. */
static inline void fixture_make(uint64_t size) {
    const uint64_t begin = (sizeof(fixture) + 15) / 16 * 16 + 8, total = (begin + size + 4095) & ~UINT64_C(4095);
    if (shared == NULL || shared_size != total) {
        if (shared != NULL) CHECK(munmap((uint8_t *)shared - 4096, shared_size + 8192) == 0);
        uint8_t *memory = mmap(NULL, total + 8192, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        CHECK(memory != MAP_FAILED);
        shared = (fixture *)(void *)(memory + 4096);
        CHECK(mprotect(shared, total, PROT_READ | PROT_WRITE) == 0);
        shared_size = total;
    }
    memset(shared, 0, begin);
    seg = (aipc_seg){.base = (uint8_t *)shared, .mapped = total, .limit = total, .seed = UINT64_C(0x5eed5eed5eed5eed),
                     .header = &shared->header, .heap = &shared->heap, .catalog = &shared->catalog,
                     .waits = &shared->waits, .slots = shared->slots,
                     .contexts = shared->contexts, .heap_begin = begin, .participants = FIXTURE_PARTICIPANTS,
                     .algorithm = fixture_algorithm,
                     .self = aipc_identity(0, 1), .generation = 1, .fd = -1, .bell_dir = -1, .watch_epoll = -1,
                     .idle = fixture_idle, .recover = fixture_recover, .stall_ns = 1000000};
    shared->header.size = total;
    shared->header.max_size = total;
    shared->slots[0].life = aipc_life(1, AIPC_SLOT_LIVE);
    ctx = (aipc_ctx){.seg = &seg, .shared = &shared->contexts[0], .lock_word = aipc_lock_word(0, 0, 1)};
    aipc_heap_format(&seg, begin, total);
}

/* What recovery.c does for a dead participant, as far as the heap goes: roll back, unlock, free what only the
 * dead context knew. */
static inline void fixture_recover_dead(void) {
    struct aipc_domain *domain = &shared->heap.domain;
    if (aipc_load_seq_cst32(&domain->lock) != 0) {
        CHECK_EQ(aipc_journal_recover(&seg, domain), AIPC_OK);
        CHECK_EQ(aipc_load_relaxed64(&domain->head), 0);
        (void)aipc_exchange_seq_cst32(&domain->lock, 0);
    }
    CHECK_EQ(aipc_load_relaxed64(&domain->head), 0);
    for (int i = 0; i < AIPC_ORPHANS; i++) {
        CHECK_EQ(aipc_orphan_free(&ctx, &ctx.shared->orphan[i]), AIPC_OK);
    }
}

static inline aipc_report fixture_report(void) {
    static aipc_report report;
    memset(&report, 0, sizeof report);
    CHECK_EQ(aipc_heap_check(&ctx, &report), AIPC_OK);
    return report;
}

/* Checks the heap; prints the first finding when there is one. */
static inline aipc_report fixture_sound(void) {
    aipc_report report = fixture_report();
    if (report.findings != 0)
        fprintf(stderr, "  %s at %" PRIu64 ": %" PRIx64 ", not %" PRIx64 "\n", report.finding[0].what,
                report.finding[0].offset, report.finding[0].found, report.finding[0].expected);
    CHECK_EQ(report.findings, 0);
    return report;
}

/* ---- what is in a block ------------------------------------------------------------------------ */
static inline uint64_t usable_size(uint64_t payload) {
    uint64_t size = 0;
    uint32_t flags;
    CHECK_EQ(aipc_heap_size_of(&seg, payload, &size, &flags), AIPC_OK);
    return size;
}
static inline uint8_t pattern_of(uint64_t payload) { return (uint8_t)(payload >> 4 ^ payload >> 12 ^ 0x5a); }
static inline void fill(uint64_t payload) { memset(seg.base + payload, pattern_of(payload), usable_size(payload)); }
static inline void check_filled(uint64_t payload) {
    const uint64_t size = usable_size(payload);
    const uint8_t *bytes = seg.base + payload;
    CHECK_EQ(bytes[0], pattern_of(payload));
    CHECK(memcmp(bytes, bytes + 1, size - 1) == 0);
}

static inline uint64_t allocate(uint64_t size, uint64_t alignment) {
    uint64_t payload = 0;
    CHECK_EQ(aipc_heap_allocate(&ctx, size, alignment, 0, no_orphan, &payload), AIPC_OK);
    CHECK_EQ(payload % alignment, 0);
    CHECK(usable_size(payload) >= size);
    return payload;
}
static inline void release(uint64_t payload) { CHECK_EQ(aipc_heap_free(&ctx, payload, 0, no_orphan), AIPC_OK); }

/* Moves a payload between its orphan word and the table, in one transaction of the heap's domain. */
static inline void move_word(uint64_t *from, uint64_t *to) {
    CHECK_EQ(aipc_domain_lock(&ctx, &shared->heap.domain), AIPC_OK);
    aipc_tx tx = aipc_tx_begin(&seg, &shared->heap.domain);
    aipc_tx_set(&tx, to, *from);
    aipc_tx_set(&tx, from, 0);
    aipc_tx_commit(&tx);
    aipc_domain_unlock(&ctx, &shared->heap.domain);
}

/* ---- contents that say whose they are, wherever they lie ---------------------------------------- */
static inline uint8_t content_byte(uint64_t name, uint64_t i) { return (uint8_t)(1 + (name * 31 + i * 7) % 251); }
static inline void write_content(uint64_t payload, uint64_t name, uint64_t size) {
    for (uint64_t i = 0; i < size; i++) seg.base[payload + i] = content_byte(name, i);
}
static inline bool has_content(uint64_t payload, uint64_t name, uint64_t size) {
    for (uint64_t i = 0; i < size; i++)
        if (seg.base[payload + i] != content_byte(name, i)) return false;
    return true;
}

#endif
