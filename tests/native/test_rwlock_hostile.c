// variants: plain asan
/* Bytes that lie: whatever a read-write lock and its wait nodes say, every call comes back, and the check finds what can be
 * found. */
#include "rwlock_fixture.h"

enum { NODES = 5 };

static uint8_t *pristine;
static uint32_t nodes[NODES];
static const aipc_rwlock_want wants[NODES] = {AIPC_WRITE, AIPC_READ, AIPC_UPGRADABLE, AIPC_UPGRADE, AIPC_READ};
static uint64_t flips, noticed;

static aipc_status never_wait(aipc_seg *seg, const uint32_t *word, uint32_t value) {
    (void)seg, (void)word, (void)value;
    return AIPC_INTERRUPTED;
}

/* Held by a reader and an upgradable, wanted by all kinds; one has given up, two were notified. */
static void begin(void) {
    fixture_size = 96 * 1024;
    rw_make(2, false);
    OK(try(0, AIPC_READ));
    OK(try(1, AIPC_UPGRADABLE));
    for (int i = 0; i < NODES; i++) nodes[i] = waits(1, wants[i]);
    segs[1].nodes[nodes[4] - 1].withdrawn = 1;
    for (int i = 0; i < 2; i++) {
        aipc_bell_target target;
        OK(aipc_domain_lock(ctxs[0], &segs[0].waits->domain));
        aipc_tx tx = aipc_tx_begin(&segs[0], &segs[0].waits->domain);
        OK(aipc_tx_finish(&tx, aipc_wait_notify(&tx, nodes[i], &target)));
        aipc_domain_unlock(ctxs[0], &segs[0].waits->domain);
        segs[i].stall_ns = 1000;
        segs[i].idle = never_wait;
    }
    pristine = malloc(fixture_size);
    CHECK(pristine != NULL);
    memcpy(pristine, segs[0].base, fixture_size);
}

static void restore(void) { memcpy(segs[0].base, pristine, fixture_size); }

static void end(void) {
    restore();
    free(pristine);
    for (int i = 0; i < 2; i++) segs[i].idle = NULL;
    sync_sound();
    sync_leave();
    fixture_end();
    fixture_size = FIXTURE_SIZE;
}

static void letting_go(int i) {
    for (int held = AIPC_READ; held <= AIPC_UPGRADE; held++) {
        for (int to = AIPC_READ; to <= AIPC_UPGRADE; to++) (void)convert(i, held, to);
        (void)release(i, held);
    }
    (void)aipc_rwlock_release_read_fast(&segs[i], rw_at(i));
}
static void taking(int i) {
    for (int want = AIPC_READ; want <= AIPC_UPGRADE; want++) {
        uint32_t node;
        (void)aipc_rwlock_try_recover(ctxs[i], rw_at(i), want);
        if (aipc_rwlock_wait(ctxs[i], rw_at(i), want, bell[i], TOKEN, i == 0, &node) == AIPC_AGAIN)
            (void)cancel(i, want, node);
    }
    (void)aipc_rwlock_read_fast(&segs[i], rw_at(i));
}
static void waiting(int i) {
    (void)i;
    for (int n = 0; n < NODES; n++) {
        (void)look(1, wants[n], nodes[n]);
        (void)cancel(1, wants[n], nodes[n]);
    }
}
static void looking(int i) {
    (void)rw_stats(i);
    (void)aipc_rwlock_close(ctxs[i], rw_at(i));
}

/* Statuses do not matter: coming back does. */
static void do_everything(int order) {
    static void (*const deeds[])(int) = {letting_go, taking, waiting, looking};
    for (int d = 0; d < 4; d++)
        for (int i = 0; i < 2; i++) deeds[order == 0 ? d : 3 - d](i);
}

static bool check_notices(void) {
    sync_report = (aipc_report){0};
    const bool ok = aipc_rwlock_check(ctxs[0], rw_at(0), &sync_report) == AIPC_OK &&
                    aipc_waits_check(ctxs[0], &sync_report) == AIPC_OK;
    return !ok || sync_report.findings != 0;
}

static void flip_bytes(uint8_t *from, uint64_t count) {
    static const uint8_t masks[] = {0x01, 0x80, 0xff};
    for (uint64_t at = 0; at < count; at++)
        for (size_t mask = 0; mask < sizeof masks; mask++)
            for (int order = 0; order < 2; order++) {
                NOTE("byte %" PRIu64 " of %" PRIu64 ", mask %x, order %d", at, count, masks[mask], order);
                restore();
                from[at] ^= masks[mask];
                noticed += check_notices();
                do_everything(order);
                flips++;
            }
    restore();
    CHECK(!check_notices());
}

static void no_byte_makes_a_call_crash_or_stay(void) {
    begin();
    flip_bytes((uint8_t *)rw_at(0), aipc_rwlock_object_size(FIXTURE_PARTICIPANTS));
    for (int n = 0; n < NODES; n++) flip_bytes((uint8_t *)&segs[0].nodes[nodes[n] - 1], sizeof(struct aipc_node));
    fprintf(stderr, "  %" PRIu64 " flips, the check noticed %" PRIu64 "\n", flips, noticed);
    CHECK(noticed > flips / 4);
    end();
}

/* Many bytes at once. */
static void no_noise_makes_a_call_crash_or_stay(void) {
    const uint32_t rounds = harness_full() ? 20000 : 1000;
    uint32_t random = 7;
    begin();
    for (uint32_t n = 0; n < rounds; n++) {
        NOTE("round %u", n);
        restore();
        uint8_t *bytes = (uint8_t *)rw_at(0);
        for (int i = 0; i < 1 + (int)(n % 40); i++) {
            random = random * 1664525 + 1013904223;
            bytes[(random >> 8) % 192] = (uint8_t)(random >> 24);
        }
        (void)check_notices();
        do_everything((int)n % 2);
    }
    end();
}

int main(void) {
    RUN(no_byte_makes_a_call_crash_or_stay);
    RUN(no_noise_makes_a_call_crash_or_stay);
    return SUMMARY();
}
