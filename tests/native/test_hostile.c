// variants: plain asan
/* Damaged bytes of a segment that nobody has: whoever opens it gets a status from everything, never a crash, a look
 * outside or an endless loop.
 *
 * The segment's address space goes on behind its end, so that a step across it is a SIGBUS. */
#include "segment_fixture.h"

#include "leaks.h"

enum { SIZE = 28 * 1024, BEYOND = 1 << 20, PARTICIPANTS = 2, KEPT = 6 };

static aipc_seg seg;
static int object = -1; /* the memfd */
static uint8_t *bytes;  /* its bytes, however they are used */
static uint8_t image[SIZE];
static char bells[96];
static uint64_t kept[KEPT];
static bool noticed;

static void crashed(int signal_number) {
    dprintf(2, "signal %d in %s [%s]\n", signal_number, harness_test, harness_note);
    signal(signal_number, SIG_DFL); /* and again, for the debugger */
}

/* ---- the two images: one left in good order, one by the dead -------------------------------------------- */

static void make_segment(void) {
    object = memfd_create("aipc-hostile", MFD_CLOEXEC);
    CHECK(object >= 0);
    aipc_segment_init(&seg, dup(object), "");
    OK(aipc_segment_create(&seg, &(aipc_create_options){.size = SIZE, .max_size = SIZE + BEYOND,
                                                        .participants = PARTICIPANTS, .mode = 0600}));
    strcpy(bells, seg.bell_path);
    bytes = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, object, 0);
    CHECK(bytes != MAP_FAILED);
    (void)fixture_lock(&seg);
    (void)fixture_object(&seg, "kept", 105, 200);
    (void)fixture_object(&seg, "other", 106, 10);
    aipc_ctx *ctx = enter(&seg);
    for (int i = 0; i < KEPT; i++) OK(aipc_heap_allocate(ctx, 30 + (uint64_t)i * 40, 16, 0, NULL, &kept[i]));
    for (int i = 0; i < KEPT; i += 2) OK(aipc_deallocate(ctx, kept[i]));
    aipc_ctx_leave(ctx);
}

/* Owned blocks, a held lock, waiters, and all three domains in the middle of a transaction. */
static void leave_a_mess(void) {
    uint32_t bell, node;
    uint64_t payload;
    int fd;
    struct aipc_lock *lock = fixture_lock(&seg);
    aipc_ctx *ctx = enter(&seg);
    OK(aipc_bell_take(&seg, &bell, &fd));
    OK(aipc_lock_try(&seg, lock));
    for (int i = 0; i < 3; i++) CHECK_EQ(aipc_lock_wait(ctx, lock, bell, 1, false, &node), AIPC_AGAIN);
    OK(aipc_owned_allocate(ctx, 100, 16, &payload));
    OK(aipc_heap_allocate(ctx, 100, 16, 0, &ctx->shared->orphan[0], &payload));
    aipc_ctx_leave(ctx);
    struct aipc_domain *const domains[] = {&seg.heap->domain, &seg.catalog->domain, &seg.waits->domain};
    uint64_t *const words[] = {&seg.heap->used_blocks, &seg.catalog->count, (uint64_t *)(void *)&seg.waits->free_node};
    aipc_ctx *three[3];
    for (int i = 0; i < 3; i++) {
        three[i] = enter(&seg);
        OK(aipc_domain_lock(three[i], domains[i]));
        aipc_tx tx = aipc_tx_begin(&seg, domains[i]);
        for (uint64_t n = 0; n < 5; n++) aipc_tx_set(&tx, words[i], *words[i] + 1);
    }
    memcpy(image, bytes, SIZE);
    for (int i = 0; i < 3; i++) { /* and for ourselves, in good order */
        aipc_tx tx = {.seg = &seg, .domain = domains[i], .undo = 5};
        aipc_tx_abort(&tx);
        aipc_domain_unlock(three[i], domains[i]);
        aipc_ctx_leave(three[i]);
    }
}

static void end_segment(void) {
    int error;
    memcpy(bytes, image, SIZE);
    munmap(bytes, SIZE);
    close(object);
    (void)aipc_os_remove_directory(bells, &error);
}

/* ---- using it -------------------------------------------------------------------------------------- */

static aipc_status no_wait(aipc_seg *s, const uint32_t *word, uint32_t value) {
    (void)s, (void)word, (void)value;
    return AIPC_OK;
}

/* Any answer will do. */
static void answer(aipc_status status) {
    CHECK(status >= AIPC_OK && status <= AIPC_SYSTEM);
    if (status == AIPC_CORRUPT) {
        CHECK(seg.fault.what != NULL);
        noticed = true;
    }
}

static void use_heap(aipc_ctx *ctx) {
    uint64_t payload, size;
    uint32_t flags;
    aipc_heap_stats stats;
    for (int i = 0; i < KEPT; i++) {
        answer(aipc_heap_size_of(&seg, kept[i], &size, &flags));
        answer(aipc_deallocate(ctx, kept[i]));
    }
    for (uint64_t size_wanted = 10; size_wanted < SIZE; size_wanted *= 3) {
        const aipc_status status = aipc_heap_allocate(ctx, size_wanted, size_wanted % 4 == 2 ? 16 : 64, 0, NULL, &payload);
        answer(status);
        if (status == AIPC_OK) answer(aipc_deallocate(ctx, payload));
    }
    answer(aipc_owned_allocate(ctx, 50, 16, &payload));
    answer(aipc_heap_stats_get(ctx, &stats));
}

static void use_catalog(aipc_ctx *ctx) {
    static uint64_t room[256];
    const aipc_wanted all = {.kind = 0}, range = {.kind = AIPC_NAMED, .prefix = "k", .prefix_size = 1};
    aipc_list list = {.room = room, .size = sizeof room};
    aipc_object_spec spec = {.kind = AIPC_NAMED, .name = "fresh", .name_size = 5, .type = 109, .size = 100, .count = 1};
    aipc_object_ref ref;
    bool created;
    aipc_status status = aipc_construct(ctx, &spec, &ref);
    answer(status);
    if (status == AIPC_OK) answer(aipc_unpin(ctx, seg.slot, ref.holding));
    status = aipc_find(ctx, AIPC_NAMED, "kept", 4, &ref);
    answer(status);
    if (status == AIPC_OK) {
        const volatile uint8_t *payload = seg.base + ref.payload;
        for (uint64_t i = 0; i < ref.size; i++) (void)payload[i]; /* all of it is there */
        status = aipc_pin(ctx, &ref);
        answer(status);
        answer(aipc_destroy(ctx, &ref));
        if (status == AIPC_OK) answer(aipc_unpin(ctx, seg.slot, ref.holding));
    }
    spec.name = "other";
    answer(aipc_find_or_construct(ctx, &spec, &ref, &created));
    answer(aipc_catalog_list(ctx, &all, &list));
    answer(aipc_catalog_list(ctx, &range, &list));
    answer(aipc_catalog_reserve(ctx, 30));
    answer(aipc_catalog_shrink(ctx));
    answer(aipc_catalog_collect(ctx));
}

static void use_lock(aipc_ctx *ctx) {
    static aipc_report report;
    aipc_object_ref ref;
    aipc_lock_stats stats;
    uint32_t bell, node, count;
    uint64_t tokens[8];
    int fd;
    aipc_status status = aipc_find(ctx, AIPC_NAMED, "lock", 4, &ref);
    answer(status);
    if (status != AIPC_OK || ref.type != AIPC_TYPE_LOCK || ref.size < sizeof(struct aipc_lock)) return;
    struct aipc_lock *lock = (void *)(seg.base + ref.payload);
    status = aipc_bell_take(&seg, &bell, &fd);
    answer(status);
    if (status != AIPC_OK) return;
    answer(aipc_watch_open(&seg, &fd));
    answer(aipc_watch_refresh(&seg));
    answer(aipc_watch_collect(ctx));
    answer(aipc_lock_try_recover(ctx, lock));
    status = aipc_lock_wait(ctx, lock, bell, 1, false, &node);
    answer(status);
    if (status == AIPC_AGAIN) {
        answer(aipc_lock_look(ctx, lock, node));
        answer(aipc_lock_release_slow(ctx, lock));
        answer(aipc_wait_collect(ctx, bell, tokens, 8, &count));
        answer(aipc_lock_cancel(ctx, lock, node));
    }
    aipc_lock_stats_get(&seg, lock, &stats);
    memset(&report, 0, sizeof report);
    answer(aipc_lock_check(ctx, lock, &report));
    noticed |= report.findings != 0;
    answer(aipc_lock_release_slow(ctx, lock));
    answer(aipc_lock_close(ctx, lock));
}

static void check(aipc_ctx *ctx) {
    static aipc_report report;
    memset(&report, 0, sizeof report);
    answer(aipc_check(ctx, &report));
    noticed |= report.findings != 0;
}

/* True when the damage was noticed. */
static bool use_segment(void) {
    aipc_participant_info infos[PARTICIPANTS];
    aipc_segment_info info;
    aipc_ctx *ctx;
    uint32_t count;
    int error;
    noticed = false;
    alarm(20);
    aipc_segment_init(&seg, dup(object), "");
    answer(aipc_segment_peek(object, "", &info, &seg.fault, &error));
    seg.stall_ns = 200000;
    seg.idle = no_wait;
    const aipc_status status = aipc_segment_open(&seg);
    if (status != AIPC_OK) {
        const uint32_t expected = 1u << AIPC_INCOMPATIBLE | 1u << AIPC_CORRUPT | 1u << AIPC_GONE | 1u << AIPC_SYSTEM |
                                  1u << AIPC_STALLED | 1u << AIPC_NO_SLOT | 1u << AIPC_FULL | 1u << AIPC_AGAIN;
        if ((expected >> status & 1) == 0) CHECK_EQ(status, AIPC_CORRUPT);
        noticed = true;
    } else {
        OK(aipc_ctx_enter(&seg, &ctx));
        check(ctx);
        use_heap(ctx);
        use_catalog(ctx);
        use_lock(ctx);
        answer(aipc_participants_list(&seg, infos, PARTICIPANTS, &count));
        check(ctx);
        aipc_ctx_leave(ctx);
        answer(aipc_segment_detach(&seg));
    }
    CHECK(seg.base == NULL && seg.fd == -1);
    if (strcmp(seg.bell_path, bells) != 0 && seg.bell_path[0] != '\0') /* the damage was in the uuid */
        (void)aipc_os_remove_directory(seg.bell_path, &error);
    return noticed;
}

/* ---- damage -------------------------------------------------------------------------------------------- */

static struct area {
    const char *name;
    uint64_t begin, flips, noticed;
} areas[12];
static int area_count;

static void map_areas(void) {
    area_count = 0;
#define AREA(what, at) areas[area_count++] = (struct area){.name = what, .begin = at}
    AREA("header", 0);
    AREA("heap: log", aipc_offset(&seg, seg.heap));
    AREA("heap", aipc_offset(&seg, &seg.heap->end));
    AREA("catalog: log", aipc_offset(&seg, seg.catalog));
    AREA("catalog", aipc_offset(&seg, &seg.catalog->table));
    AREA("waits: log", aipc_offset(&seg, seg.waits));
    AREA("waits", aipc_offset(&seg, &seg.waits->free_node));
    AREA("slots", aipc_offset(&seg, seg.slots));
    AREA("contexts", aipc_offset(&seg, seg.contexts));
    AREA("nodes", aipc_offset(&seg, seg.nodes));
    AREA("blocks", seg.heap_begin);
}

static void damage(uint64_t offset, uint8_t change) {
    int area = area_count - 1;
    while (areas[area].begin > offset) area--;
    NOTE("%s, byte %" PRIu64 " (+%" PRIu64 ") ^ %02x", areas[area].name, offset, offset - areas[area].begin, change);
    memcpy(bytes, image, SIZE);
    bytes[offset] ^= change;
    areas[area].flips++;
    areas[area].noticed += use_segment();
}

static void flip_every_byte(const char *what) {
    const int fds = leaks_fds();
    for (uint64_t offset = 0; offset < SIZE; offset++) {
        const uint8_t bit = (uint8_t)(1u << offset % 8);
        if (harness_full()) {
            damage(offset, 0xff);
            for (unsigned b = 0; b < 8; b++) damage(offset, (uint8_t)(1u << b));
        } else if (offset % 3 == 0 || areas[1].begin > offset) {
            damage(offset, offset % 2 == 0 ? 0xff : bit);
        }
    }
    for (int i = 0; i < area_count; i++)
        fprintf(stderr, "  %s, %-13s %6" PRIu64 " flips, %6" PRIu64 " noticed\n", what, areas[i].name, areas[i].flips,
                areas[i].noticed);
    CHECK_EQ(leaks_fds(), fds);
}

static uint64_t random_state;
static uint64_t below(uint64_t n) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % n;
}

/* Bytes, words, and words that look like what belongs there. */
static void garble(void) {
    memcpy(bytes, image, SIZE);
    for (uint64_t n = 1 + below(12); n > 0; n--) {
        const uint64_t at = sizeof(struct aipc_header) * (below(20) != 0) + below((SIZE - sizeof(struct aipc_header)) / 8) * 8;
        const uint64_t lies[] = {random_state, 0, below(SIZE / 8) * 8, seg.heap_begin + below(200) * 16, below(130),
                                 below(3) << 32 | below(3), UINT64_MAX};
        memcpy(bytes + at, &lies[below(7)], below(2) != 0 ? 8 : 4);
    }
}
static void random_damage(void) {
    random_state = 88172645463325252u;
    const uint64_t rounds = harness_full() ? 60000 : 1500;
    uint64_t count = 0;
    for (uint64_t n = 0; n < rounds; n++) {
        NOTE("round %" PRIu64, n);
        garble();
        count += use_segment();
    }
    fprintf(stderr, "  %" PRIu64 " times many bytes at random, %" PRIu64 " noticed\n", rounds, count);
}

static void truncation(void) {
    for (uint64_t length = 0; length < SIZE; length += 4096)
        for (int ragged = 0; ragged < 2; ragged++) {
            NOTE("%" PRIu64 " bytes are left", length + (uint64_t)ragged * 100);
            memcpy(bytes, image, SIZE);
            CHECK(ftruncate(object, (off_t)length + ragged * 100) == 0);
            aipc_segment_init(&seg, dup(object), "");
            const aipc_status status = aipc_segment_open(&seg);
            CHECK(status == AIPC_INCOMPATIBLE || status == AIPC_CORRUPT);
            CHECK(ftruncate(object, SIZE) == 0);
        }
}

static void a_segment_left_in_good_order(void) {
    make_segment();
    map_areas();
    OK(aipc_segment_detach(&seg));
    memcpy(image, bytes, SIZE);
    CHECK(!use_segment());
    truncation();
    flip_every_byte("sound");
    random_damage();
    end_segment();
}

static void a_segment_left_by_the_dead(void) {
    make_segment();
    map_areas();
    leave_a_mess();
    OK(aipc_segment_detach(&seg));
    memcpy(bytes, image, SIZE);
    CHECK(!use_segment()); /* recovered */
    truncation();
    flip_every_byte("dead");
    random_damage();
    end_segment();
}

int main(void) {
    signal(SIGSEGV, crashed);
    signal(SIGBUS, crashed);
    RUN(a_segment_left_in_good_order);
    RUN(a_segment_left_by_the_dead);
    return SUMMARY();
}
