/* A real segment for C tests: a memfd that every process of the test attaches to for itself. */
#ifndef AIPC_TEST_SEGMENT_FIXTURE_H
#define AIPC_TEST_SEGMENT_FIXTURE_H

#include "aipc.h"
#include "harness.h"

#include <string.h>
#include <sys/mman.h>

enum { FIXTURE_SIZE = 256 * 1024, FIXTURE_PARTICIPANTS = 8 };

static uint64_t fixture_size = FIXTURE_SIZE; /* of the next one made */
static uint64_t fixture_max_size;            /* 0: as large */
static int fixture_fd = -1; /* keeps the memfd between attachments */
static char fixture_bells[96];

#define OK(call) CHECK_EQ((call), AIPC_OK)

static inline void fixture_attach(aipc_seg *seg) {
    aipc_segment_init(seg, dup(fixture_fd), "");
    OK(aipc_segment_open(seg));
}

static inline void fixture_detach(aipc_seg *seg) { OK(aipc_segment_detach(seg)); }

/* Forgets the last segment and makes a new one; attached as *seg. */
static inline void fixture_create(aipc_seg *seg) {
    int error;
    if (fixture_fd >= 0) {
        close(fixture_fd);
        (void)aipc_os_remove_directory(fixture_bells, &error);
    }
    fixture_fd = memfd_create("aipc-test", MFD_CLOEXEC);
    CHECK(fixture_fd >= 0);
    aipc_segment_init(seg, dup(fixture_fd), "");
    OK(aipc_segment_create(seg, &(aipc_create_options){.size = fixture_size, .max_size = fixture_max_size > fixture_size ? fixture_max_size : fixture_size,
                                                       .participants = FIXTURE_PARTICIPANTS, .mode = 0600}));
    strcpy(fixture_bells, seg->bell_path);
}

static inline void fixture_end(void) {
    int error;
    if (fixture_fd < 0) return;
    close(fixture_fd);
    fixture_fd = -1;
    (void)aipc_os_remove_directory(fixture_bells, &error);
}

static inline aipc_ctx *enter(aipc_seg *seg) {
    aipc_ctx *ctx;
    OK(aipc_ctx_enter(seg, &ctx));
    return ctx;
}

/* A named object with a zeroed payload of `size` bytes, found or made; pinned. */
static inline void *fixture_object(aipc_seg *seg, const char *name, uint64_t type, uint64_t size) {
    aipc_object_spec spec = {.kind = AIPC_NAMED, .name = name, .name_size = (uint32_t)strlen(name),
                             .type = type, .size = size, .count = 1};
    aipc_object_ref ref;
    bool created;
    aipc_ctx *ctx = enter(seg);
    OK(aipc_find_or_construct(ctx, &spec, &ref, &created));
    aipc_ctx_leave(ctx);
    return seg->base + ref.payload;
}

static inline struct aipc_lock *fixture_lock(aipc_seg *seg) {
    return fixture_object(seg, "lock", AIPC_TYPE_LOCK, sizeof(struct aipc_lock));
}

/* The whole fsck must find nothing. */
static inline void fixture_sound(aipc_seg *seg, aipc_report *report) {
    aipc_ctx *ctx = enter(seg);
    memset(report, 0, sizeof *report);
    OK(aipc_check(ctx, report));
    aipc_ctx_leave(ctx);
    for (uint64_t i = 0; i < report->findings && i < AIPC_REPORT_ROOM; i++)
        fprintf(stderr, "  %s at %" PRIu64 ": %" PRIu64 ", expected %" PRIu64 "\n", report->finding[i].what,
                report->finding[i].offset, report->finding[i].found, report->finding[i].expected);
    CHECK_EQ(report->findings, 0);
}

/* Whether somebody hung up, and is not yet proven dead. */
static inline bool fixture_suspects(const aipc_seg *seg) {
    uint64_t all = 0;
    for (int i = 0; i < AIPC_MAX_PARTICIPANTS / 64; i++) all |= seg->suspects[i];
    return all != 0;
}

/* Sleeps on a bell until something may have changed: what every blocking wait does. */
static inline void fixture_sleep(aipc_seg *seg, uint32_t bell, int fd) {
    uint64_t tokens[16];
    uint32_t count;
    int watch;
    aipc_ctx *ctx = enter(seg);
    OK(aipc_watch_open(seg, &watch));
    OK(aipc_watch_refresh(seg));
    OK(aipc_watch_collect(ctx));
    if (!aipc_bell_arm(seg, bell)) (void)aipc_os_poll2(fd, watch, UINT64_MAX);
    aipc_os_drain(fd);
    aipc_bell_woken(seg, bell);
    OK(aipc_watch_collect(ctx));
    OK(aipc_wait_collect(ctx, bell, tokens, 16, &count));
    aipc_ctx_leave(ctx);
}

#endif
