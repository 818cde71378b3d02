// variants: plain asan
/* Shares: counted by holdings and owning words, the object goes with the last, and what it owns goes with it. */
#include "shares_fixture.h"

enum { SEGMENT = 1 << 20 };

static void an_object_goes_with_its_last_share(void) {
    fixture_make(SEGMENT);
    aipc_object_ref first = node(1), second = share(&first);
    CHECK_EQ(shares_of(&first), 2);
    CHECK_EQ(object_of(&seg, &first)->pins, 0);
    release(&first);
    CHECK_EQ(shares_of(&second), 1);
    shares_sound();
    release(&second);
    CHECK_EQ(shares_of(&second), 0);
    drop();
}

static void so_does_one_with_a_name(void) {
    fixture_make(SEGMENT);
    aipc_object_ref first = node_as(ctx, "node", 1, AIPC_SHARE_ANY);
    CHECK(exists("node"));
    aipc_object_ref pin = pinned(&first);
    release(&first);
    CHECK(!exists("node") && aipc_object_destroyed(&seg, &pin));
    shares_sound();
    unpin(&pin);
    drop();
}

static void a_name_leads_to_a_share(void) {
    fixture_make(SEGMENT);
    node_image image;
    aipc_object_ref first, second;
    bool created;
    aipc_object_spec *spec = node_spec(&image, "node", 1, AIPC_SHARE_ANY, 1);
    CHECK_EQ(aipc_find_or_construct(ctx, spec, &first, &created), AIPC_OK);
    CHECK(created);
    CHECK_EQ(aipc_find_or_construct(ctx, spec, &second, &created), AIPC_OK);
    CHECK(!created && second.object == first.object && shares_of(&first) == 2);
    CHECK_EQ(aipc_construct(ctx, spec, &(aipc_object_ref){0}), AIPC_EXISTS);
    release(&first);
    release(&second);
    aipc_object_ref plain = node_as(ctx, "node", 2, 0);
    CHECK_EQ(aipc_find_or_construct(ctx, spec, &first, &created), AIPC_NOT_OWNER); /* it is nobody's to be shared */
    CHECK_EQ(shares_of(&plain), 0);
    CHECK_EQ(aipc_destroy(ctx, &plain), AIPC_OK);
    unpin(&plain);
    drop();
}

/* What was nobody's becomes the first owner's. */
static void an_object_that_nobody_owns_can_be_taken(void) {
    fixture_make(SEGMENT);
    aipc_object_ref plain = construct("plain", 8);
    CHECK_EQ(shares_of(&plain), 0);
    CHECK_EQ(aipc_share_take(ctx, &(aipc_object_ref){plain.object, .kind = plain.kind, .hash = plain.hash,
                                                     .serial = plain.serial}, AIPC_SHARE_OF_SHARED), AIPC_NOT_FOUND);
    aipc_object_ref owned = share(&plain);
    CHECK_EQ(aipc_destroy(ctx, &plain), AIPC_NOT_OWNER);
    release(&owned);
    CHECK(!exists("plain"));
    unpin(&plain);
    drop();
}

static void a_sole_share_excludes_all_others(void) {
    fixture_make(SEGMENT);
    aipc_object_ref sole = node_as(ctx, NULL, 1, AIPC_SOLE), again = sole, other = node(2);
    CHECK_EQ(shares_of(&sole), 1);
    CHECK_EQ(aipc_share_take(ctx, &again, AIPC_SHARE_ANY), AIPC_NOT_OWNER);
    CHECK_EQ(aipc_share_take(ctx, &again, AIPC_SOLE), AIPC_NOT_OWNER);
    CHECK_EQ(aipc_share_lock(ctx, aipc_pointer_to_object(&sole), &again), AIPC_NOT_OWNER);
    CHECK_EQ(store_as(ctx, &other, NEXT, &sole), AIPC_NOT_OWNER);
    CHECK_EQ(aipc_share_take(ctx, &(aipc_object_ref){other.object, .kind = other.kind, .serial = other.serial}, AIPC_SOLE),
             AIPC_NOT_OWNER);
    CHECK_EQ(aipc_destroy(ctx, &sole), AIPC_NOT_OWNER);
    shares_sound();
    CHECK_EQ(aipc_share_open(ctx, sole.holding), AIPC_OK);
    CHECK_EQ(aipc_share_open(ctx, sole.holding), AIPC_NOT_OWNER);
    again = share(&sole);
    release(&again);
    release(&sole);
    release(&other);
    drop();
}

static void an_abandoned_object_stays(void) {
    fixture_make(SEGMENT);
    aipc_object_ref sole = node_as(ctx, NULL, 1, AIPC_SOLE), other = node(2);
    CHECK_EQ(aipc_share_abandon(ctx, other.holding), AIPC_NOT_OWNER);
    CHECK_EQ(aipc_share_abandon(ctx, sole.holding), AIPC_OK);
    CHECK_EQ(shares_of(&sole), 0);
    CHECK(!aipc_object_destroyed(&seg, &sole));
    CHECK_EQ(aipc_destroy(ctx, &sole), AIPC_OK);
    release(&other);
    drop();
}

static void weak_words_are_locked_while_somebody_owns(void) {
    fixture_make(SEGMENT);
    aipc_object_ref first = node(1), locked;
    const uint64_t weak = aipc_pointer_to_object(&first);
    CHECK_EQ(aipc_share_lock(ctx, weak, &locked), AIPC_OK);
    CHECK(locked.serial == first.serial && locked.holding != first.holding);
    release(&first);
    release(&locked);
    CHECK_EQ(aipc_share_lock(ctx, weak, &locked), AIPC_NOT_FOUND);
    aipc_object_ref other = node(2); /* in the same place */
    CHECK_EQ(other.object, first.object);
    CHECK_EQ(aipc_share_lock(ctx, weak, &locked), AIPC_NOT_FOUND);
    CHECK_EQ(shares_of(&first), 0);
    CHECK_EQ(aipc_share_lock(ctx, 0, &locked), AIPC_NOT_FOUND);
    release(&other);
    drop();
}

static void a_word_owns_what_it_leads_to(void) {
    fixture_make(SEGMENT);
    aipc_object_ref head = node(1), a = node(2), b = node(3), copy;
    const aipc_owner next = owner_in(&seg, &head, NEXT);
    CHECK_EQ(aipc_share_copy(ctx, &next, &copy), AIPC_OK);
    CHECK_EQ(copy.object, 0);
    store(&head, NEXT, &a);
    CHECK_EQ(shares_of(&a), 2);
    store(&head, NEXT, &a);
    CHECK_EQ(shares_of(&a), 2);
    CHECK_EQ(aipc_share_copy(ctx, &next, &copy), AIPC_OK);
    CHECK(copy.serial == a.serial && shares_of(&a) == 3);
    release(&copy);
    release(&a);
    CHECK_EQ(shares_of(&a), 1);
    store(&head, NEXT, &b); /* the end of a */
    CHECK(shares_of(&a) == 0 && shares_of(&b) == 2);
    shares_sound();
    store(&head, NEXT, NULL);
    CHECK_EQ(shares_of(&b), 1);
    release(&b);
    release(&head);
    drop();
}

static void shares_move_between_handles_and_words(void) {
    fixture_make(SEGMENT);
    aipc_object_ref head = node(1), sole = node_as(ctx, NULL, 2, AIPC_SOLE), out;
    const aipc_owner child = owner_in(&seg, &head, CHILD);
    uint64_t word;
    CHECK_EQ(aipc_share_move_in(ctx, &child, sole.holding), AIPC_OK);
    CHECK_EQ(aipc_share_word(ctx, &child, &word), AIPC_OK);
    CHECK(word == aipc_pointer_to_object(&sole) && shares_of(&sole) == 1);
    CHECK_EQ(aipc_share_move_in(ctx, &child, sole.holding), AIPC_NOT_OWNER);
    shares_sound();
    CHECK_EQ(aipc_share_move_out(ctx, &child, &out), AIPC_OK);
    CHECK(out.serial == sole.serial && out.holding != 0);
    CHECK_EQ(aipc_share_move_out(ctx, &child, &sole), AIPC_OK);
    CHECK_EQ(sole.object, 0);
    CHECK_EQ(aipc_share_move_in(ctx, &child, out.holding), AIPC_OK);
    sole = node_as(ctx, NULL, 3, AIPC_SOLE);
    CHECK_EQ(aipc_share_move_in(ctx, &child, sole.holding), AIPC_OK); /* the end of the one before */
    CHECK_EQ(shares_of(&out), 0);
    aipc_object_ref shared = share(&head); /* one of two shares of the same object */
    const aipc_owner next = owner_in(&seg, &head, NEXT);
    CHECK_EQ(aipc_share_move_in(ctx, &next, shared.holding), AIPC_OK);
    shared = share(&head);
    CHECK_EQ(aipc_share_move_in(ctx, &next, shared.holding), AIPC_OK); /* over itself */
    CHECK_EQ(shares_of(&head), 2);
    store(&head, NEXT, NULL);
    release(&head);
    drop();
}

static void a_new_object_owns_its_words(void) {
    fixture_make(SEGMENT);
    aipc_object_ref a = node(1), b = node(2), sole = node_as(ctx, NULL, 3, AIPC_SOLE), both;
    node_image image;
    aipc_object_spec *spec = node_spec(&image, NULL, 9, AIPC_SHARE_ANY, 1);
    const uint64_t words[] = {aipc_pointer_to_object(&a), aipc_pointer_to_object(&b)};
    memcpy(image.bytes + node_head() + 8, words, sizeof words);
    spec->words = words;
    spec->word_count = 2;
    CHECK_EQ(aipc_construct(ctx, spec, &both), AIPC_OK);
    CHECK(shares_of(&a) == 2 && shares_of(&b) == 2);
    shares_sound();
    release(&a);
    release(&both);
    CHECK(shares_of(&a) == 0 && shares_of(&b) == 1);
    CHECK_EQ(aipc_construct(ctx, spec, &both), AIPC_NOT_FOUND); /* a is gone */
    const uint64_t taken = aipc_pointer_to_object(&sole);
    spec->words = &taken;
    spec->word_count = 1;
    CHECK_EQ(aipc_construct(ctx, spec, &both), AIPC_NOT_OWNER);
    spec->word_count = AIPC_WORDS_AT_ONCE + 1;
    CHECK_EQ(aipc_construct(ctx, spec, &both), AIPC_INVALID);
    shares_sound();
    release(&b);
    release(&sole);
    drop();
}

/* As many as there may be. */
static void a_new_object_owns_many_words(void) {
    fixture_make(SEGMENT);
    aipc_object_ref a = node(1), many;
    node_image image;
    aipc_object_spec *spec = node_spec(&image, "many", 9, AIPC_SHARE_ANY, AIPC_WORDS_AT_ONCE / 2);
    uint64_t words[AIPC_WORDS_AT_ONCE];
    for (int i = 0; i < AIPC_WORDS_AT_ONCE; i++) {
        words[i] = aipc_pointer_to_object(&a);
        memcpy(image.bytes + node_head() + i / 2 * NODE_SIZE + 8 + i % 2 * 8, &words[i], 8);
    }
    spec->words = words;
    spec->word_count = AIPC_WORDS_AT_ONCE;
    CHECK_EQ(aipc_construct(ctx, spec, &many), AIPC_OK);
    CHECK_EQ(shares_of(&a), AIPC_WORDS_AT_ONCE + 1);
    shares_sound();
    release(&many);
    CHECK_EQ(shares_of(&a), 1);
    release(&a);
    drop();
}

/* Longer than any stack would be deep. */
static void a_long_list_goes_with_its_head(void) {
    enum { LENGTH = 5000 };
    fixture_make(2 * SEGMENT);
    aipc_object_ref head = node(0);
    for (uint64_t i = 1; i < LENGTH; i++) {
        aipc_object_ref next = head;
        head = node(i);
        const aipc_owner word = owner_in(&seg, &head, NEXT);
        CHECK_EQ(aipc_share_move_in(ctx, &word, next.holding), AIPC_OK);
    }
    shares_sound();
    release(&head);
    drop();
}

static void a_wide_array_gives_all_of_it_back(void) {
    fixture_make(SEGMENT);
    node_image image;
    aipc_object_ref wide, leaf = node(7);
    CHECK_EQ(aipc_construct(ctx, node_spec(&image, "wide", 1, 0, 64), &wide), AIPC_OK);
    for (uint64_t i = 0; i < 128; i += 3) store(&wide, i, &leaf);
    CHECK_EQ(shares_of(&leaf), 44);
    shares_sound();
    CHECK_EQ(aipc_destroy(ctx, &wide), AIPC_OK); /* though it is pinned */
    CHECK_EQ(shares_of(&leaf), 1);
    CHECK_EQ(object_of(&seg, &wide)->state, AIPC_OBJECT_DESTROYED);
    CHECK_EQ(store_as(ctx, &wide, NEXT, &leaf), AIPC_CLOSED);
    const aipc_owner from = owner_in(&seg, &wide, NEXT);
    CHECK_EQ(aipc_share_copy(ctx, &from, &(aipc_object_ref){0}), AIPC_CLOSED);
    shares_sound();
    unpin(&wide);
    release(&leaf);
    drop();
}

static void circles_stay_until_they_are_opened(void) {
    fixture_make(SEGMENT);
    aipc_object_ref a = node(1), b = node(2);
    store(&a, NEXT, &b);
    store(&b, NEXT, &a);
    const aipc_object_ref pin = pinned(&a);
    release(&a);
    release(&b);
    CHECK(shares_of(&a) == 1 && shares_of(&b) == 1);
    shares_sound();
    store(&a, NEXT, NULL); /* the end of b, and so of a */
    CHECK(shares_of(&a) == 0 && shares_of(&b) == 0);
    shares_sound();
    CHECK_EQ(aipc_unpin(ctx, seg.slot, pin.holding), AIPC_OK);
    aipc_object_ref own = node(3); /* the smallest circle */
    store(&own, NEXT, &own);
    aipc_object_ref own_pin = pinned(&own);
    release(&own);
    store(&own_pin, NEXT, NULL);
    unpin(&own_pin);
    drop();
}

static void what_is_no_share_is_refused(void) {
    fixture_make(SEGMENT);
    aipc_object_ref a = node(1), pin = pinned(&a);
    CHECK_EQ(aipc_share_release(ctx, seg.slot, pin.holding), AIPC_NOT_OWNER);
    CHECK_EQ(aipc_share_release(ctx, seg.slot, 0), AIPC_NOT_OWNER);
    CHECK_EQ(aipc_share_release(ctx, seg.participants, a.holding), AIPC_INVALID);
    CHECK_EQ(aipc_unpin(ctx, seg.slot, a.holding), AIPC_NOT_OWNER);
    const aipc_owner outside[] = {{&a, a.payload - 8}, {&a, a.payload + a.size}, {&a, a.payload + 4}};
    for (int i = 0; i < 3; i++) CHECK_EQ(aipc_share_store(ctx, &outside[i], &a), AIPC_INVALID);
    unpin(&pin);
    release(&a);
    drop();
}

/* A full segment can always be emptied: giving back needs no memory. */
static void a_full_segment_can_be_emptied(void) {
    fixture_make(1 << 16);
    aipc_object_ref a = node(1), b = node(2), shares[4096];
    const aipc_owner next = owner_in(&seg, &a, NEXT);
    CHECK_EQ(aipc_share_move_in(ctx, &next, b.holding), AIPC_OK);
    uint32_t taken = 0;
    aipc_status status = AIPC_OK;
    while (status == AIPC_OK) {
        shares[taken] = a;
        status = aipc_share_take(ctx, &shares[taken], AIPC_SHARE_ANY);
        taken += status == AIPC_OK;
    }
    CHECK_EQ(status, AIPC_FULL);
    CHECK_EQ(shares_of(&a), taken + 1);
    aipc_object_ref pin = pinned(&a), out; /* for which there is room left, as there is for this: */
    CHECK_EQ(aipc_share_move_out(ctx, &next, &out), AIPC_OK);
    release(&out);
    unpin(&pin);
    shares_sound();
    while (taken > 0) release(&shares[--taken]);
    release(&a);
    drop();
}

/* Leaving gives back what one has. */
static void who_leaves_gives_its_shares_back(void) {
    fixture_make(SEGMENT);
    static aipc_seg other;
    aipc_ctx *c;
    aipc_segment_init(&other, dup(fixture_fd), "");
    CHECK_EQ(aipc_segment_open(&other), AIPC_OK);
    CHECK_EQ(aipc_ctx_enter(&other, &c), AIPC_OK);
    aipc_object_ref kept = node(1), theirs = node_as(c, NULL, 2, AIPC_SOLE);
    (void)share_as(c, &kept, AIPC_SHARE_ANY);
    CHECK_EQ(shares_of(&kept), 2);
    aipc_ctx_leave(c);
    CHECK_EQ(aipc_segment_detach(&other), AIPC_OK);
    CHECK(shares_of(&kept) == 1 && shares_of(&theirs) == 0);
    release(&kept);
    drop();
}

int main(void) {
    RUN(an_object_goes_with_its_last_share);
    RUN(so_does_one_with_a_name);
    RUN(a_name_leads_to_a_share);
    RUN(an_object_that_nobody_owns_can_be_taken);
    RUN(a_sole_share_excludes_all_others);
    RUN(an_abandoned_object_stays);
    RUN(weak_words_are_locked_while_somebody_owns);
    RUN(a_word_owns_what_it_leads_to);
    RUN(shares_move_between_handles_and_words);
    RUN(a_new_object_owns_its_words);
    RUN(a_new_object_owns_many_words);
    RUN(a_long_list_goes_with_its_head);
    RUN(a_wide_array_gives_all_of_it_back);
    RUN(circles_stay_until_they_are_opened);
    RUN(what_is_no_share_is_refused);
    RUN(a_full_segment_can_be_emptied);
    RUN(who_leaves_gives_its_shares_back);
    return SUMMARY();
}
