// variants: tsan plain
/* Threads over one mapping that take, copy, move and give back shares of a few objects, and of those they make, until
 * only what the words lead to is left.  Weak words lead to objects that stay: the bytes behind others may be a payload
 * that is just being written, which is looked at and thrown away (names.h), but a race to TSan. */
#include "shares_fixture.h"

#include <pthread.h>

enum { WORKERS = 4, ROOTS = 4, KEPT = 8 };

static uint32_t stop;
static aipc_object_ref roots[ROOTS], stays;

typedef struct worker {
    uint64_t random, done;
    aipc_ctx *ctx;
    aipc_object_ref kept[KEPT]; /* shares of ours; object 0: none */
} worker;

static uint64_t dice(worker *w, uint64_t n) {
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    return (w->random >> 33) % n;
}

static void give_up(worker *w, aipc_object_ref *share) {
    if (share->object == 0) return;
    CHECK_EQ(aipc_share_release(w->ctx, seg.slot, share->holding), AIPC_OK);
    share->object = 0;
}

static void turn(worker *w) {
    aipc_object_ref *mine = &w->kept[dice(w, KEPT)], *other = &w->kept[dice(w, KEPT)];
    const aipc_object_ref *root = &roots[dice(w, ROOTS)];
    const aipc_owner word = {root, root->payload + node_head() + 8};
    switch (dice(w, 7)) {
    case 0:
        give_up(w, mine);
        *mine = node_as(w->ctx, NULL, 1, AIPC_SHARE_ANY);
        break;
    case 1:
        give_up(w, mine);
        CHECK_EQ(aipc_share_copy(w->ctx, &word, mine), AIPC_OK);
        break;
    case 2:
        CHECK_EQ(aipc_share_store(w->ctx, &word, mine->object == 0 ? NULL : mine), AIPC_OK);
        break;
    case 3:
        if (mine->object == 0) break;
        CHECK_EQ(aipc_share_move_in(w->ctx, &word, mine->holding), AIPC_OK);
        mine->object = 0;
        break;
    case 4:
        give_up(w, mine);
        CHECK_EQ(aipc_share_move_out(w->ctx, &word, mine), AIPC_OK);
        break;
    case 5: {
        aipc_object_ref locked;
        CHECK_EQ(aipc_share_lock(w->ctx, aipc_pointer_to_object(&stays), &locked), AIPC_OK);
        give_up(w, &locked);
        break;
    }
    default: /* what one owns owns something: no circles, as only fresh objects lead on */
        if (other->object == 0) break;
        const aipc_object_ref fresh = node_as(w->ctx, NULL, 2, AIPC_SHARE_ANY);
        const aipc_owner next = {&fresh, fresh.payload + node_head() + 8};
        CHECK_EQ(aipc_share_store(w->ctx, &next, other), AIPC_OK);
        give_up(w, mine);
        *mine = fresh;
    }
    w->done++;
}

static void *work(void *argument) {
    worker *w = argument;
    while (aipc_load_relaxed32(&stop) == 0) turn(w);
    for (int i = 0; i < KEPT; i++) give_up(w, &w->kept[i]);
    return NULL;
}

static void every_count_ends_right(void) {
    static worker workers[WORKERS];
    pthread_t threads[WORKERS];
    fixture_make(1 << 20);
    for (int i = 0; i < ROOTS; i++) roots[i] = node_as(ctx, NULL, 0, 0);
    stays = node(9);
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = (worker){.random = (uint64_t)i * 7919 + 1};
        CHECK_EQ(aipc_ctx_enter(&seg, &workers[i].ctx), AIPC_OK);
        CHECK_EQ(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    usleep(harness_full() ? 20000000 : 2000000);
    aipc_store_relaxed32(&stop, 1);
    for (int i = 0; i < WORKERS; i++) {
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
        CHECK(no_orphans(workers[i].ctx) && workers[i].done > 0);
        fprintf(stderr, "   %" PRIu64 " turns\n", workers[i].done);
        aipc_ctx_leave(workers[i].ctx);
    }
    shares_sound();
    for (int i = 0; i < ROOTS; i++) {
        CHECK_EQ(aipc_destroy(ctx, &roots[i]), AIPC_OK);
        unpin(&roots[i]);
    }
    CHECK_EQ(shares_of(&stays), 1);
    release(&stays);
    drop();
}

int main(void) {
    RUN(every_count_ends_right);
    return SUMMARY();
}
