/* Segments with a name in /dev/shm, as the binding makes, opens, looks at and removes them. */
#ifndef AIPC_TEST_NAMED_SEGMENT_H
#define AIPC_TEST_NAMED_SEGMENT_H

#include "leaks.h"
#include "segment_fixture.h"

#include <fcntl.h>

enum { SIZE = 128 * 1024 };

static aipc_seg A, B, C;
static char path[96], temporary[112], bells[96];

static inline void new_path(void) {
    static int serial;
    snprintf(path, sizeof path, "/dev/shm/aioipc-test-c-%d-%d", (int)getpid(), ++serial);
    snprintf(temporary, sizeof temporary, "%s.new", path);
}

static inline aipc_create_options options_of(uint32_t flags, uint32_t participants) {
    return (aipc_create_options){.size = SIZE, .max_size = SIZE, .participants = participants, .flags = flags, .mode = 0600};
}

/* What the binding does: make an object under a temporary name, fill it, link it into place. */
static inline void make_object(aipc_seg *seg) {
    const int fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    aipc_segment_init(seg, fd, path);
}
static inline aipc_status fill_object(aipc_seg *seg, const aipc_create_options *options) {
    const aipc_status status = aipc_segment_create(seg, options);
    if (status == AIPC_OK) {
        strcpy(bells, seg->bell_path);
        CHECK(link(temporary, path) == 0);
    }
    CHECK(unlink(temporary) == 0);
    return status;
}
static inline aipc_status create(aipc_seg *seg, const aipc_create_options *options) {
    make_object(seg);
    return fill_object(seg, options);
}
static inline void create_with(aipc_seg *seg, uint32_t flags, uint32_t participants) {
    const aipc_create_options options = options_of(flags, participants);
    OK(create(seg, &options));
}

/* AIPC_NOT_FOUND when the name is gone. */
static inline aipc_status prepare_open(aipc_seg *seg) {
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return AIPC_NOT_FOUND;
    aipc_segment_init(seg, fd, path);
    return AIPC_OK;
}
static inline aipc_status open_path(aipc_seg *seg) {
    if (prepare_open(seg) != AIPC_OK) return AIPC_NOT_FOUND;
    const aipc_status status = aipc_segment_open(seg);
    if (status == AIPC_SYSTEM) fprintf(stderr, "  open: %s\n", strerror(seg->error));
    return status;
}

static inline aipc_status peek(aipc_segment_info *info) {
    aipc_fault fault;
    int error;
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return AIPC_NOT_FOUND;
    const aipc_status status = aipc_segment_peek(fd, path, info, &fault, &error);
    close(fd);
    return status;
}

static inline aipc_status remove_path(void) {
    int error;
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return AIPC_NOT_FOUND;
    const aipc_status status = aipc_segment_remove(fd, path, &error);
    close(fd);
    return status;
}

static inline void check_sound(aipc_seg *seg) {
    static aipc_report report;
    fixture_sound(seg, &report);
}

static inline uint64_t used_blocks(aipc_seg *seg) {
    aipc_heap_stats stats;
    aipc_ctx *ctx = enter(seg);
    OK(aipc_heap_stats_get(ctx, &stats));
    aipc_ctx_leave(ctx);
    return stats.used_blocks;
}

static inline uint32_t participants(aipc_seg *seg, aipc_participant_info infos[8]) {
    uint32_t count;
    OK(aipc_participants_list(seg, infos, 8, &count));
    return count;
}

/* Attaches in a child, takes a block, a pin and a lock, says so and waits for its end. */
static inline pid_t peer(uint32_t *said) {
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid > 0) {
        shared_wait(said, 1);
        return pid;
    }
    uint64_t payload;
    OK(open_path(&C));
    (void)fixture_object(&C, "pinned", 105, 100);
    OK(aipc_lock_try(&C, fixture_lock(&C)));
    OK(aipc_owned_allocate(enter(&C), 500, 16, &payload));
    shared_set(said, 1);
    for (;;) pause();
}

#endif
