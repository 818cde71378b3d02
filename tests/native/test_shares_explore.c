// variants: hook
/* Every interleaving of those who take shares and those who give the last ones back, of writers of one word, and of the
 * end of an owner with whoever gives it something: counts are right, and nothing is lost or kept. */
#define aipc_hook explore_hook /* ours comes first: the schedules are long */
#include "explore.h"
#undef aipc_hook
#include "shares_fixture.h"

enum { SIZE = 36 << 10, THREADS = 3 };

static uint8_t *pristine; /* the segment before each schedule */
static aipc_ctx *contexts[THREADS];
static aipc_status status[THREADS];
static aipc_object_ref got[THREADS], owner, a, b;

void aipc_hook(enum aipc_hook_kind kind, const volatile void *word) {
    explorer.run_length = 0; /* long, but no spin: nobody's turn is to end by force */
    explore_hook(kind, word);
}

static aipc_status wait_for_change(aipc_seg *s, const uint32_t *word, uint32_t seen) {
    (void)s;
    if (explorer.current >= 0 && *(const volatile uint32_t *)word == seen) explore_wait(); /* as a futex */
    return AIPC_OK;
}

static void reset(void *unused) {
    (void)unused;
    memcpy(seg.base, pristine, SIZE);
    memset(status, 0xff, sizeof status);
    memset(got, 0, sizeof got);
}

/* The owner is pinned and nobody's; it leads to a, which has one more share, as b has. */
static void begin(bool share_of_a) {
    fixture_make(SIZE);
    seg.idle = wait_for_change;
    owner = node_as(ctx, NULL, 1, 0);
    a = node(2);
    b = node(3);
    store(&owner, NEXT, &a);
    if (!share_of_a) release(&a);
    contexts[0] = ctx;
    for (int i = 1; i < THREADS; i++) CHECK_EQ(aipc_ctx_enter(&seg, &contexts[i]), AIPC_OK);
    pristine = malloc(SIZE);
    memcpy(pristine, seg.base, SIZE);
}

static void end(void) {
    reset(NULL);
    free(pristine);
    for (int i = 1; i < THREADS; i++) aipc_ctx_leave(contexts[i]);
    fixture_drop();
}

static void explored(const char *what, int threads, bool share_of_a, void (*body)(int, void *), bool (*holds)(void *)) {
    begin(share_of_a);
    const struct exploration plan = {.threads = threads, .preemptions = harness_full() ? 3 : threads == 2 ? 2 : 1,
                                     .max_schedules = harness_full() ? 4000000 : 400000,
                                     .reset = reset, .body = body, .holds = holds};
    const struct explored e = explore(&plan);
    fprintf(stderr, "   %s: %" PRIu64 " schedules%s\n", what, e.schedules, e.complete ? "" : ", not all");
    if (e.violation != NULL) fprintf(stderr, "  %s in schedule %s\n", e.violation, e.schedule);
    CHECK(e.violation == NULL);
    end();
}

/* After each schedule, as one process: is everything sound, and all given back but this? */
static bool sound_with(uint32_t of_a, uint32_t of_b) {
    static aipc_report report;
    report = (aipc_report){0};
    if (aipc_heap_check(ctx, &report) != AIPC_OK || aipc_catalog_check(ctx, &report) != AIPC_OK ||
        aipc_shares_check(ctx, &report) != AIPC_OK || report.findings != 0 || seg.catalog->shedding != 0)
        return false;
    for (int i = 0; i < THREADS; i++)
        if (!no_orphans(contexts[i])) return false;
    return shares_of(&a) == of_a && shares_of(&b) == of_b;
}

static aipc_owner next(void) { return (aipc_owner){&owner, owner.payload + node_head() + 8}; }
static void put(int thread, const aipc_object_ref *target) {
    const aipc_owner to = next();
    status[thread] = aipc_share_store(contexts[thread], &to, target);
}
static void copy(int thread) {
    const aipc_owner from = next();
    status[thread] = aipc_share_copy(contexts[thread], &from, &got[thread]);
}

/* ---- two threads ------------------------------------------------------------------------------- */

static void lock_or_release(int thread, void *unused) {
    (void)unused;
    if (thread == 0) status[0] = aipc_share_lock(contexts[0], aipc_pointer_to_object(&b), &got[0]);
    else status[1] = aipc_share_release(contexts[1], seg.slot, b.holding);
}
static bool locked_or_gone(void *unused) {
    (void)unused;
    if (status[1] != AIPC_OK) return false;
    return (status[0] == AIPC_OK && sound_with(2, 1)) || (status[0] == AIPC_NOT_FOUND && sound_with(2, 0));
}
static void a_lock_comes_before_the_end_or_not_at_all(void) {
    explored("lock, release", 2, true, lock_or_release, locked_or_gone);
}

static void copy_or_clear(int thread, void *unused) {
    (void)unused;
    if (thread == 0) copy(0);
    else put(1, NULL);
}
static bool copied_or_gone(void *unused) {
    (void)unused;
    if (status[0] != AIPC_OK || status[1] != AIPC_OK) return false;
    return got[0].object == 0 ? sound_with(0, 1) : got[0].serial == a.serial && sound_with(1, 1);
}
static void what_is_copied_out_of_a_word_is_kept(void) {
    explored("copy, clear", 2, false, copy_or_clear, copied_or_gone);
}

static void store_either(int thread, void *unused) {
    (void)unused;
    put(thread, thread == 0 ? &b : NULL);
}
static bool one_is_there(void *unused) {
    (void)unused;
    if (status[0] != AIPC_OK || status[1] != AIPC_OK) return false;
    const aipc_owner from = next();
    uint64_t word;
    if (aipc_share_word(ctx, &from, &word) != AIPC_OK) return false;
    return word == 0 ? sound_with(0, 1) : word == aipc_pointer_to_object(&b) && sound_with(0, 2);
}
static void of_two_writers_of_a_word_the_last_one_counts(void) {
    explored("store, clear", 2, false, store_either, one_is_there);
}

static void store_or_destroy(int thread, void *unused) {
    (void)unused;
    if (thread == 0) put(0, &b);
    else status[1] = aipc_destroy(contexts[1], &owner);
}
static bool nothing_is_kept(void *unused) {
    (void)unused;
    return status[1] == AIPC_OK && (status[0] == AIPC_OK || status[0] == AIPC_CLOSED) && sound_with(0, 1);
}
static void an_owner_that_ends_keeps_nothing(void) {
    explored("store, destroy", 2, false, store_or_destroy, nothing_is_kept);
}

static void release_both(int thread, void *unused) {
    (void)unused;
    if (thread == 0) status[0] = aipc_share_release(contexts[0], seg.slot, a.holding);
    else put(1, NULL);
}
static bool all_gone(void *unused) {
    (void)unused;
    return status[0] == AIPC_OK && status[1] == AIPC_OK && sound_with(0, 1);
}
static void of_the_last_two_owners_one_ends_it(void) { explored("release, clear", 2, true, release_both, all_gone); }

/* ---- three threads ----------------------------------------------------------------------------- */

static void store_copy_or_destroy(int thread, void *unused) {
    (void)unused;
    if (thread == 0) put(0, &b);
    else if (thread == 1) copy(1);
    else status[2] = aipc_destroy(contexts[2], &owner);
}
static bool the_copy_is_kept(void *unused) {
    (void)unused;
    if ((status[0] != AIPC_OK && status[0] != AIPC_CLOSED) || status[2] != AIPC_OK) return false;
    if (status[1] == AIPC_CLOSED) return sound_with(0, 1);
    if (status[1] != AIPC_OK || got[1].object == 0) return false;
    return got[1].serial == a.serial ? sound_with(1, 1) : sound_with(0, 2);
}
static void a_copy_outlives_its_source(void) {
    explored("store, copy, destroy", 3, false, store_copy_or_destroy, the_copy_is_kept);
}

int main(void) {
    RUN(a_lock_comes_before_the_end_or_not_at_all);
    RUN(what_is_copied_out_of_a_word_is_kept);
    RUN(of_two_writers_of_a_word_the_last_one_counts);
    RUN(an_owner_that_ends_keeps_nothing);
    RUN(of_the_last_two_owners_one_ends_it);
    RUN(a_copy_outlives_its_source);
    return SUMMARY();
}
