// variants: plain asan
/* Bytes that lie: whatever counts, records, owning words and descriptions say, every operation comes back, and the check
 * finds what can be found. */
#include "shares_fixture.h"

enum { SIZE = 40 << 10 };

static uint8_t *pristine;
static aipc_object_ref root, a, b, sole, wide;
static uint64_t held; /* a share of b */

static void begin(void) {
    fixture_make(SIZE);
    seg.idle = never_wait;
    seg.stall_ns = 1000;
    node_image image;
    root = node_as(ctx, "root", 1, 0);
    a = node_as(ctx, "a", 2, AIPC_SHARE_ANY);
    b = node(3);
    sole = node_as(ctx, NULL, 4, AIPC_SOLE);
    CHECK_EQ(aipc_construct(ctx, node_spec(&image, NULL, 5, 0, 40), &wide), AIPC_OK);
    store(&root, NEXT, &a);
    store(&a, NEXT, &b);
    store(&wide, 70, &b);
    held = share(&b).holding;
    const aipc_owner child = owner_in(&seg, &a, CHILD);
    CHECK_EQ(aipc_share_move_in(ctx, &child, sole.holding), AIPC_OK);
    shares_sound();
    pristine = malloc(SIZE);
    memcpy(pristine, seg.base, SIZE);
}

static void end(void) {
    memcpy(seg.base, pristine, SIZE);
    free(pristine);
    fixture_drop();
}

/* Everything a caller can do.  Statuses do not matter: coming back does. */
static void do_everything(void) {
    aipc_object_ref ref = b;
    uint32_t count;
    uint64_t word;
    (void)aipc_share_take(ctx, &ref, AIPC_SHARE_ANY);
    (void)aipc_share_lock(ctx, aipc_pointer_to_object(&a), &ref);
    (void)aipc_share_count(ctx, aipc_pointer_to_object(&sole), &count);
    const uint64_t head = node_head();
    const aipc_owner words[] = {{&root, root.payload + head + 8}, {&a, a.payload + head + 8},
                                {&a, a.payload + head + 16}, {&wide, wide.payload + head + 35 * NODE_SIZE + 8}};
    for (int i = 0; i < 4; i++) {
        (void)aipc_share_word(ctx, &words[i], &word);
        (void)aipc_share_copy(ctx, &words[i], &ref);
        (void)aipc_share_store(ctx, &words[i], i == 1 ? &root : &b);
    }
    if (aipc_share_move_out(ctx, &words[2], &ref) == AIPC_OK && ref.object != 0)
        (void)aipc_share_move_in(ctx, &words[0], ref.holding);
    node_image image;
    aipc_object_spec *spec = node_spec(&image, NULL, 9, AIPC_SHARE_ANY, 1);
    const uint64_t owned = aipc_pointer_to_object(&b);
    spec->words = &owned;
    spec->word_count = 1;
    if (aipc_construct(ctx, spec, &ref) == AIPC_OK) (void)aipc_share_release(ctx, seg.slot, ref.holding);
    (void)aipc_destroy(ctx, &wide);
    (void)aipc_share_release(ctx, seg.slot, held);
    (void)aipc_share_release(ctx, seg.slot, b.holding);
    (void)aipc_share_store(ctx, &words[0], NULL);
    (void)aipc_share_release(ctx, seg.slot, a.holding);
    (void)aipc_destroy(ctx, &root);
    (void)aipc_catalog_collect(ctx);
}

static aipc_report report;

static bool is_found(const char *invariant) {
    report = (aipc_report){0};
    CHECK_EQ(aipc_catalog_check(ctx, &report), AIPC_OK);
    CHECK_EQ(aipc_shares_check(ctx, &report), AIPC_OK);
    for (uint64_t i = 0; i < report.findings && i < AIPC_REPORT_ROOM; i++)
        if (invariant == NULL || strncmp(report.finding[i].what, invariant, 2) == 0) return true;
    return false;
}

/* One word changed: is that invariant's breach found? */
static void expect(const char *invariant, void *word, uint64_t value) {
    NOTE("%s", invariant);
    memcpy(word, &value, sizeof value);
    const bool found = is_found(invariant);
    memcpy(seg.base, pristine, SIZE);
    CHECK(found);
}
static void expect32(const char *invariant, void *half, uint32_t value) {
    NOTE("%s", invariant);
    memcpy(half, &value, sizeof value);
    const bool found = is_found(invariant);
    memcpy(seg.base, pristine, SIZE);
    CHECK(found);
}

static uint64_t *word_of(const aipc_object_ref *ref, uint64_t n) {
    return (uint64_t *)(void *)(seg.base + owner_in(&seg, ref, n).word);
}

static void each_invariant_is_checked(void) {
    begin();
    struct aipc_described *d = (void *)(seg.base + a.payload);
    struct aipc_holding *record = (void *)(seg.base + held);
    expect32("U1", &object_of(&seg, &b)->shares, 3);
    expect32("U1", &object_of(&seg, &b)->shares, 5);
    expect32("U1", &object_of(&seg, &root)->shares, 1);
    expect32("U1", &object_of(&seg, &sole)->shares, AIPC_SOLE | 2);
    expect32("U2", &object_of(&seg, &b)->shares, 0);
    expect("U2", &object_of(&seg, &b)->state, AIPC_OBJECT_DESTROYED);
    expect("U2", &record->target, wide.object + 16);
    expect("U1", &record->target, a.object);
    expect("U3", &d->shed, 1);
    expect("U3", &object_of(&seg, &wide)->state, AIPC_OBJECT_SHEDDING);
    expect("U3", &seg.catalog->shedding, b.object);
    expect("U4", word_of(&a, NEXT), aipc_pointer_to_object(&b) ^ 1);
    expect("U4", word_of(&wide, 5), UINT64_MAX);
    expect("U1", word_of(&wide, 70), 0);
    expect("U1", word_of(&wide, 5), aipc_pointer_to_object(&b));
    end();
}

static void flip_all(const char *what, uint64_t from, uint64_t size) {
    uint64_t noticed = 0;
    for (uint64_t at = from; at < from + size; at++)
        for (int bit = 0; bit < 8; bit += 3) {
            NOTE("%s, byte %" PRIu64 ", bit %d", what, at - from, bit);
            seg.base[at] ^= (uint8_t)(1 << bit);
            noticed += is_found(NULL);
            do_everything();
            (void)is_found(NULL);
            memcpy(seg.base, pristine, SIZE);
        }
    fprintf(stderr, "   %-20s %5" PRIu64 " flips, %6" PRIu64 " noticed by the check\n", what, size * 3, noticed);
}

static void a_flipped_byte_harms_nobody(void) {
    begin();
    const uint64_t node_bytes = node_head() + NODE_SIZE;
    flip_all("catalog", aipc_offset(&seg, &seg.catalog->table), 64);
    flip_all("owner", a.object - 8, 8 + sizeof(struct aipc_object) + 16 + node_bytes);
    flip_all("owned", b.object - 8, 8 + sizeof(struct aipc_object) + node_bytes);
    flip_all("alone", sole.object - 8, 8 + sizeof(struct aipc_object) + node_bytes);
    flip_all("wide", wide.object - 8, 8 + sizeof(struct aipc_object) + node_head() + 40 * NODE_SIZE);
    flip_all("record", held - 8, 8 + sizeof(struct aipc_holding));
    end();
}

/* Any owning word, cursor and list. */
static void words_may_lead_anywhere(void) {
    begin();
    struct aipc_described *d = (void *)(seg.base + wide.payload);
    uint64_t *const words[] = {word_of(&root, NEXT), word_of(&a, NEXT), word_of(&a, CHILD), word_of(&wide, 70), &d->shed,
                               &d->owners, &d->element_size, &seg.catalog->shedding, &object_of(&seg, &wide)->retired_next};
    for (int i = 0; i < 2000; i++) {
        uint64_t *word = words[below(sizeof words / sizeof *words)];
        const uint64_t targets[] = {a.object, b.object, sole.object, wide.object, root.object, next_random(), below(SIZE)};
        const uint64_t target = targets[below(7)];
        NOTE("turn %d", i);
        *word = below(2) == 0 ? target : target >> 4 << 24 | (next_random() & 0xff);
        if (below(2) == 0) object_of(&seg, &wide)->state = AIPC_OBJECT_SHEDDING;
        do_everything();
        (void)is_found(NULL);
        memcpy(seg.base, pristine, SIZE);
    }
    end();
}

/* As many elements as can be said, of no size: nobody goes through their words. */
static void elements_may_have_no_size(void) {
    begin();
    struct aipc_described *d = (void *)(seg.base + wide.payload);
    object_of(&seg, &wide)->count = UINT32_MAX;
    d->element_size = 0;
    CHECK(is_found(NULL));
    do_everything();
    memcpy(seg.base, pristine, SIZE);
    object_of(&seg, &wide)->count = UINT32_MAX;
    d->element_size = 0;
    object_of(&seg, &wide)->state = AIPC_OBJECT_SHEDDING;
    seg.catalog->shedding = wide.object;
    CHECK_EQ(aipc_catalog_collect(ctx), AIPC_OK);
    end();
}

int main(void) {
    RUN(elements_may_have_no_size);
    RUN(each_invariant_is_checked);
    RUN(a_flipped_byte_harms_nobody);
    RUN(words_may_lead_anywhere);
    return SUMMARY();
}
