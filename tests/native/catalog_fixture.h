/* A real segment in a memfd, and short names for what every test of the catalog does. */
#ifndef AIPC_TEST_CATALOG_FIXTURE_H
#define AIPC_TEST_CATALOG_FIXTURE_H

#include "check.h"
#include "lock.h"
#include "harness.h"
#include "names.h"
#include "retire.h"
#include "segment.h"

#include <string.h>
#include <sys/mman.h>

static aipc_seg seg;
static aipc_ctx *ctx;
static int fixture_fd = -1; /* survives the attachment: others attach through it */
static uint32_t fixture_flags = AIPC_FLAG_LAST_DETACH; /* and AIPC_FLAG_ORDERED, where a test wants both kinds of index */

static inline aipc_status never_wait(aipc_seg *s, const uint32_t *word, uint32_t seen) {
    (void)s, (void)word, (void)seen;
    return AIPC_OK;
}

static inline void fixture_make(uint64_t size) {
    fixture_fd = memfd_create("catalog", MFD_CLOEXEC);
    CHECK(fixture_fd >= 0);
    aipc_segment_init(&seg, dup(fixture_fd), "");
    const aipc_create_options options = {.size = size, .max_size = size, .participants = 8,
                                         .flags = fixture_flags, .mode = 0600};
    CHECK_EQ(aipc_segment_create(&seg, &options), AIPC_OK);
    CHECK_EQ(aipc_ctx_enter(&seg, &ctx), AIPC_OK);
}

static inline void fixture_drop(void) {
    aipc_ctx_leave(ctx);
    CHECK_EQ(aipc_segment_detach(&seg), AIPC_OK);
    close(fixture_fd);
}

static inline aipc_report sound_as(aipc_ctx *c) {
    static aipc_report report;
    report = (aipc_report){0};
    CHECK_EQ(aipc_heap_check(c, &report), AIPC_OK);
    CHECK_EQ(aipc_catalog_check(c, &report), AIPC_OK);
    for (uint64_t i = 0; i < report.findings && i < AIPC_REPORT_ROOM; i++)
        fprintf(stderr, "  %s at %" PRIu64 ": %" PRIu64 ", expected %" PRIu64 "\n", report.finding[i].what,
                report.finding[i].offset, report.finding[i].found, report.finding[i].expected);
    CHECK_EQ(report.findings, 0);
    return report;
}
static inline aipc_report sound(void) { return sound_as(ctx); }

static inline uint64_t used_blocks(aipc_ctx *c) {
    aipc_heap_stats stats;
    CHECK_EQ(aipc_heap_stats_get(c, &stats), AIPC_OK);
    return stats.used_blocks;
}

static inline bool no_orphans(const aipc_ctx *c) {
    for (int i = 0; i < AIPC_ORPHANS; i++)
        if (c->shared->orphan[i] != 0) return false;
    return c->shared->hazard[0] == 0 && c->shared->hazard[1] == 0;
}

static inline aipc_object_spec spec_of(const char *name, uint64_t size) {
    return (aipc_object_spec){.kind = AIPC_NAMED, .name = name, .name_size = (uint32_t)strlen(name), .type = 107,
                              .size = size, .count = 1};
}

static inline aipc_status construct_as(aipc_ctx *c, const char *name, uint64_t size, aipc_object_ref *ref) {
    const aipc_object_spec spec = spec_of(name, size);
    return aipc_construct(c, &spec, ref);
}
static inline aipc_object_ref construct(const char *name, uint64_t size) {
    aipc_object_ref ref;
    CHECK_EQ(construct_as(ctx, name, size, &ref), AIPC_OK);
    CHECK(ref.holding != 0);
    return ref;
}
static inline aipc_status find_as(aipc_ctx *c, const char *name, aipc_object_ref *ref) {
    return aipc_find(c, AIPC_NAMED, name, (uint32_t)strlen(name), ref);
}
static inline aipc_object_ref find(const char *name) {
    aipc_object_ref ref;
    CHECK_EQ(find_as(ctx, name, &ref), AIPC_OK);
    return ref;
}
static inline bool exists(const char *name) {
    aipc_object_ref ref;
    const aipc_status status = find_as(ctx, name, &ref);
    CHECK(status == AIPC_OK || status == AIPC_NOT_FOUND);
    return status == AIPC_OK;
}
static inline aipc_status unpin_as(aipc_ctx *c, aipc_object_ref *ref) {
    const aipc_status status = aipc_unpin(c, c->seg->slot, ref->holding);
    ref->holding = 0;
    return status;
}
static inline void unpin(aipc_object_ref *ref) { CHECK_EQ(unpin_as(ctx, ref), AIPC_OK); }

static inline void make(const char *name, uint64_t size) { /* and keep no pin */
    aipc_object_ref ref = construct(name, size);
    unpin(&ref);
}
static inline void destroy(const char *name) {
    const aipc_object_ref ref = find(name);
    CHECK_EQ(aipc_destroy(ctx, &ref), AIPC_OK);
}

/* All that `wanted` (NULL: everything) leads to, one after the other. */
static uint64_t list_room[1 << 17];
static inline aipc_list list_as(aipc_ctx *c, const aipc_wanted *wanted) {
    const aipc_wanted all = {.kind = 0};
    aipc_list list = {.room = list_room, .size = sizeof list_room};
    CHECK_EQ(aipc_catalog_list(c, wanted == NULL ? &all : wanted, &list), AIPC_OK);
    return list;
}
static inline const aipc_listed *listed_next(const aipc_listed *at) {
    return (const void *)((const uint8_t *)at + aipc_listed_size(at->name_size));
}
static inline aipc_object_ref ref_of(const aipc_listed *at) {
    return (aipc_object_ref){.object = at->object, .payload = at->payload, .size = at->size, .type = at->type,
                             .serial = at->serial, .hash = at->hash, .count = at->count, .kind = at->kind};
}

/* Destroys every named object. */
static inline void destroy_all_as(aipc_ctx *c) {
    const aipc_list list = list_as(c, NULL);
    const aipc_listed *at = list.room;
    for (uint64_t i = 0; i < list.objects; i++, at = listed_next(at)) {
        const aipc_object_ref ref = ref_of(at);
        CHECK_EQ(aipc_destroy(c, &ref), AIPC_OK);
    }
    CHECK_EQ(aipc_catalog_collect(c), AIPC_OK);
}

/* Only the table of names is left in the heap. */
static inline void check_empty(void) {
    const aipc_report report = sound();
    CHECK_EQ(report.objects, 0);
    CHECK_EQ(report.holdings, 0);
    CHECK_EQ(used_blocks(ctx), 1);
    CHECK(no_orphans(ctx));
}

static uint64_t random_state = 88172645463325252u;
static inline uint64_t next_random(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}
static inline uint64_t below(uint64_t n) { return next_random() % n; }

#endif
