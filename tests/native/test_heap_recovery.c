// variants: hook
/* The heap under the real recovery: whatever a dead participant had reserved is free again. */
#include "crash.h"
#include "segment_fixture.h"

static aipc_seg parent_seg, own_seg; /* own: of whoever dies, or recovers in a child */
static aipc_ctx *own;
static uint64_t kept, usable;
static bool made;

static void setup(void *unused) {
    (void)unused;
    if (made) fixture_detach(&parent_seg);
    made = true;
    fixture_create(&parent_seg);
    aipc_ctx *ctx = enter(&parent_seg);
    uint64_t hole[8];
    for (int i = 0; i < 8; i++) OK(aipc_heap_allocate(ctx, 200 + (uint64_t)i * 300, 16, 0, NULL, &hole[i]));
    for (int i = 0; i < 8; i += 2) OK(aipc_heap_free(ctx, hole[i], 0, NULL));
    for (int i = 3; i < 8; i += 4) OK(aipc_heap_free(ctx, hole[i], 0, NULL));
    kept = hole[1];
    uint32_t flags;
    OK(aipc_heap_size_of(&parent_seg, kept, &usable, &flags));
    memset(parent_seg.base + kept, 0x5a, usable);
    aipc_ctx_leave(ctx);
}

static void attach(void *unused) {
    (void)unused;
    fixture_attach(&own_seg);
    own = enter(&own_seg);
}

static void run(void *unused) {
    (void)unused;
    uint64_t *orphan = own->shared->orphan, payload;
    for (int i = 0; i < 6; i++) {
        OK(aipc_heap_allocate(own, 40 + (uint64_t)i * 333, i == 4 ? 256 : 16, i % 2 != 0 ? AIPC_INTERNAL : 0, &orphan[i],
                              &payload));
        memset(own_seg.base + payload, 0xee, 40 + (size_t)i * 333);
    }
    for (int i = 5; i >= 0; i -= 2) OK(aipc_heap_free(own, orphan[i], 0, &orphan[i]));
    OK(aipc_heap_free(own, orphan[2], 0, &orphan[2]));
}

/* In the test process, or in a child that is killed in turn: a participant of its own. */
static void survive(void *unused) {
    attach(unused);
    uint32_t recovered;
    OK(aipc_recover_all(own, &recovered));
    static aipc_report report;
    fixture_sound(&own_seg, &report);
    CHECK_EQ(report.user_blocks, 2);
    for (uint64_t i = 0; i < usable; i++) CHECK_EQ(own_seg.base[kept + i], 0x5a);
    run(unused);
    for (int i = 0; i < AIPC_ORPHANS; i++)
        if (own->shared->orphan[i] != 0) OK(aipc_heap_free(own, own->shared->orphan[i], 0, &own->shared->orphan[i]));
    aipc_ctx_leave(own);
    fixture_detach(&own_seg);
}

static const struct scenario reservations = {.setup = setup, .enter = attach, .run = run, .survive = survive};

static void what_the_dead_had_reserved_is_free_again(void) {
    CHECK(crash_sweep(&reservations) > 100);
}

static void also_when_the_recoverer_dies(void) { CHECK(crash_sweep_nested(&reservations) > 500); }

int main(void) {
    RUN(what_the_dead_had_reserved_is_free_again);
    RUN(also_when_the_recoverer_dies);
    fixture_detach(&parent_seg);
    fixture_end();
    return SUMMARY();
}
