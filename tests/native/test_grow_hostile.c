// variants: plain asan
/* Damaged words of holes, of the end of the heap and of the sizes: growing, trimming, refilling and shrinking answer with
 * a status, never with a crash, a look outside or an endless loop. */
#include "grow_fixture.h"

enum { SIZE = 512 * 1024, BEYOND = 1 << 20, BLOCKS = 5, BLOCK = 50000 };

static uint8_t *image;
static uint64_t holes[16];
static int hole_count;
static bool noticed;
static uint64_t tried, missed;

static void answer(aipc_status status) {
    CHECK(status >= AIPC_OK && status <= AIPC_SYSTEM);
    noticed |= status == AIPC_CORRUPT;
}

static void make_image(void) {
    uint64_t block[BLOCKS];
    grow_create(SIZE, SIZE + BEYOND);
    for (int i = 0; i < BLOCKS; i++) block[i] = take(&A, BLOCK);
    for (int i = 0; i < BLOCKS; i += 2) give(&A, block[i]);
    (void)trim(&A);
    for (uint64_t at = A.heap->hole_first; at != 0; at = ((struct aipc_hole *)(void *)(A.base + at))->next)
        holes[hole_count++] = at;
    CHECK(hole_count >= 3);
    fixture_detach(&A);
    image = malloc(SIZE);
    CHECK(image != NULL && pread(fixture_fd, image, SIZE, 0) == SIZE);
}

static aipc_status no_wait(aipc_seg *seg, const uint32_t *word, uint32_t seen) {
    (void)seg, (void)word, (void)seen;
    return AIPC_OK;
}

static void use(aipc_ctx *ctx) {
    static aipc_report report;
    aipc_heap_stats stats;
    uint64_t payload;
    memset(&report, 0, sizeof report);
    answer(aipc_check(ctx, &report));
    noticed |= report.findings != 0;
    answer(aipc_heap_stats_get(ctx, &stats));
    for (uint64_t size = 1000; size < SIZE + BEYOND; size *= 2) {
        const aipc_status status = aipc_heap_allocate(ctx, size, size % 4096 == 0 ? 4096 : 16, 0, NULL, &payload);
        answer(status);
        if (status == AIPC_OK) answer(aipc_deallocate(ctx, payload));
    }
    aipc_trim trim = {0};
    aipc_status status = aipc_trim_next(ctx, &trim);
    for (int i = 0; i < 1000 && status == AIPC_OK; i++) {
        answer(aipc_trim_punch(&A, &trim));
        answer(aipc_trim_done(ctx, &trim));
        status = aipc_trim_next(ctx, &trim);
    }
    answer(status);
    CHECK(status != AIPC_OK);
    aipc_growth growth = aipc_growth_by(65536);
    do status = aipc_grow_prepare(&A, &growth);
    while (status == AIPC_AGAIN);
    answer(status);
    if (status == AIPC_OK) answer(aipc_grow_finish(ctx, &growth));
    answer(aipc_shrink_to_fit(ctx));
}

/* The word at `offset` of a segment that nobody has is `value`. */
static void try(uint64_t offset, uint64_t value) {
    if (memcmp(image + offset, &value, 8) == 0) return;
    NOTE("word at %" PRIu64 " is %" PRIx64, offset, value);
    CHECK(ftruncate(fixture_fd, 0) == 0);
    CHECK(pwrite(fixture_fd, image, SIZE, 0) == SIZE && pwrite(fixture_fd, &value, 8, (off_t)offset) == 8);
    noticed = false;
    alarm(20);
    aipc_segment_init(&A, dup(fixture_fd), "");
    A.stall_ns = 2000000;
    A.idle = no_wait;
    const aipc_status status = aipc_segment_open(&A);
    answer(status);
    if (status == AIPC_OK) {
        aipc_ctx *ctx = enter(&A);
        use(ctx);
        aipc_ctx_leave(ctx);
        answer(aipc_segment_detach(&A));
    }
    tried++;
    missed += !noticed && status == AIPC_OK;
}

static void try_all(uint64_t offset) {
    uint64_t was;
    memcpy(&was, image + offset, 8);
    const uint64_t hostile[] = {0, 1, 8, 40, 4096, 4096 - 40, was + 8, was - 4096, was + 4096, was ^ UINT64_C(1) << 47,
                                SIZE - 8, SIZE, SIZE + BEYOND, SIZE + BEYOND - 8, UINT64_MAX, UINT64_MAX - 39,
                                UINT64_C(1) << 32 | 1 << 20, UINT64_C(1) << 32, holes[0], holes[1], holes[2]};
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) try(offset, hostile[i]);
    for (int byte = 0; byte < 8; byte++) try(offset, was ^ UINT64_C(0xff) << 8 * byte);
}

static void damaged_holes(void) {
    for (int i = 0; i < hole_count; i++)
        for (uint64_t at = 0; at < 24; at += 8) try_all(holes[i] + at);
    fprintf(stderr, "  %" PRIu64 " words of holes, %" PRIu64 " unnoticed\n", tried, missed);
    CHECK_EQ(missed, 0);
}

/* Who is at work on it, and when it was seen: any number may be there. */
static void damaged_claims(void) {
    for (int i = 0; i < hole_count; i++)
        for (uint64_t at = 24; at < 40; at += 8) try_all(holes[i] + at);
}

static void damaged_ends_and_sums(void) {
    struct aipc_header *header = NULL;
    const uint64_t heap = sizeof *header;
    tried = missed = 0;
#define HEAP(field) heap + offsetof(struct aipc_heap, field)
    try_all(offsetof(struct aipc_header, size));
    const uint64_t words[] = {HEAP(end), HEAP(free_bytes), HEAP(used_blocks), HEAP(hole_first), HEAP(hole_last),
                              HEAP(hole_bytes), HEAP(hole_count)};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) try_all(words[i]);
    fprintf(stderr, "  %" PRIu64 " other words, %" PRIu64 " unnoticed\n", tried, missed);
    CHECK_EQ(missed, 0);
    try_all(HEAP(trims));
    try_all(HEAP(holes_moved));
    try_all(offsetof(struct aipc_header, max_size));
}

int main(void) {
    make_image();
    RUN(damaged_holes);
    RUN(damaged_claims);
    RUN(damaged_ends_and_sums);
    fixture_end();
    free(image);
    return SUMMARY();
}
