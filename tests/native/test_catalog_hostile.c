// variants: plain asan
/* Bytes that lie: whatever the catalog, its table, its objects and records say, every operation comes back, and
 * the check finds what can be found. */
#include "catalog_fixture.h"

enum { SIZE = 40 << 10, NAMES = 20 };

static uint8_t *pristine;
static aipc_object_ref refs[NAMES], anonymous;
static uint64_t owned;
static bool operations_ran, in_block; /* in_block: an atomic block is open, and has done this and that */

static const char *numbered(int i) {
    static char name[16];
    snprintf(name, sizeof name, "name %d", i);
    return name;
}

static void begin(void) {
    fixture_make(SIZE);
    seg.idle = never_wait;
    seg.stall_ns = 1000;
    for (int i = 0; i < NAMES; i++) {
        refs[i] = construct(numbered(i), 24);
        if (i % 3 == 0) unpin(&refs[i]);
    }
    const aipc_object_spec spec = {.kind = AIPC_ANONYMOUS, .size = 8};
    CHECK_EQ(aipc_construct(ctx, &spec, &anonymous), AIPC_OK);
    CHECK_EQ(aipc_owned_allocate(ctx, 40, 16, &owned), AIPC_OK);
    CHECK_EQ(aipc_destroy(ctx, &refs[1]), AIPC_OK); /* a zombie */
    CHECK_EQ(aipc_destroy(ctx, &refs[3]), AIPC_OK); /* and a tombstone */
    /* Retired memory: an object and an old table that somebody looks at. */
    aipc_ctx *reader;
    CHECK_EQ(aipc_ctx_enter(&seg, &reader), AIPC_OK);
    aipc_exchange_seq_cst64(&reader->shared->hazard[0], seg.catalog->table);
    aipc_exchange_seq_cst64(&reader->shared->hazard[1], refs[6].object);
    CHECK_EQ(aipc_catalog_reserve(ctx, 40), AIPC_OK);
    CHECK_EQ(aipc_destroy(ctx, &refs[6]), AIPC_OK);
    CHECK(seg.catalog->retired != 0);
    if (in_block) {
        CHECK_EQ(aipc_block_open(ctx, &ctx->block), AIPC_OK);
        for (int i = 8; i < 11; i++) CHECK_EQ(aipc_destroy(ctx, &refs[i]), AIPC_OK);
        for (int i = 9; i < 11; i++) refs[i] = construct(numbered(i), 16);
        CHECK_EQ(aipc_destroy(ctx, &refs[10]), AIPC_OK);
    }
    sound();
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
    static uint64_t room[256];
    const aipc_wanted all = {.kind = 0}, range = {.kind = AIPC_NAMED, .prefix = "n", .prefix_size = 1};
    aipc_list list = {.room = room, .size = sizeof room};
    aipc_object_ref ref;
    uint64_t block, serial;
    bool created;
    for (int i = 0; i < NAMES; i += 3) (void)find_as(ctx, numbered(i), &ref);
    (void)find_as(ctx, "missing", &ref);
    (void)aipc_catalog_list(ctx, &all, &list);
    (void)aipc_catalog_list(ctx, &range, &list);
    (void)aipc_catalog_count(ctx, &block, &serial);
    (void)construct_as(ctx, numbered(4), 8, &ref);
    (void)construct_as(ctx, "fresh", 8, &ref);
    const aipc_object_spec spec = spec_of("other", 8);
    (void)aipc_find_or_construct(ctx, &spec, &ref, &created);
    for (int i = 0; i < NAMES; i += 4) {
        ref = refs[i];
        (void)aipc_object_destroyed(&seg, &ref);
        (void)aipc_pin(ctx, &ref);
        (void)aipc_destroy(ctx, &refs[i]);
        (void)aipc_unpin(ctx, seg.slot, refs[i].holding);
        (void)aipc_object_at(ctx, refs[i].object, refs[i].serial, &ref);
    }
    (void)aipc_destroy(ctx, &anonymous);
    (void)aipc_unpin(ctx, seg.slot, anonymous.holding);
    (void)aipc_owned_allocate(ctx, 8, 16, &block);
    (void)aipc_owned_release(ctx, seg.slot, seg.slots[seg.slot].holdings);
    (void)aipc_deallocate(ctx, owned);
    (void)aipc_catalog_reserve(ctx, 100);
    (void)aipc_catalog_shrink(ctx);
    (void)aipc_catalog_collect(ctx);
    if (in_block) {
        const uint64_t block_serial = ctx->block;
        (void)aipc_block_back_to(ctx, 1); /* no mark of ours: all of it */
        ctx->block = 0;
        (void)aipc_block_commit(ctx, block_serial);
        (void)aipc_block_settle(ctx, seg.slot);
        ctx->block = block_serial;
    }
    operations_ran = true;
}

static uint64_t findings(void) {
    static aipc_report report;
    report = (aipc_report){0};
    const aipc_status status = aipc_heap_check(ctx, &report);
    return (status != AIPC_OK) + (aipc_catalog_check(ctx, &report) != AIPC_OK) + report.findings;
}

/* Changes each byte of [from, to) in several ways; how often the check found it. */
static void flip(const char *what, uint64_t from, uint64_t to) {
    static const uint8_t masks[] = {0x01, 0x80, 0xff, 0x10};
    uint64_t flips = 0, noticed = 0;
    for (uint64_t at = from; at < to; at++)
        for (size_t m = 0; m < sizeof masks; m++) {
            NOTE("%s, byte %" PRIu64 " ^ %#x", what, at - from, masks[m]);
            seg.base[at] ^= masks[m];
            flips++;
            noticed += findings() != 0;
            do_everything();
            (void)findings();
            memcpy(seg.base, pristine, SIZE);
        }
    fprintf(stderr, "   %-24s %6" PRIu64 " flips, %6" PRIu64 " noticed by the check\n", what, flips, noticed);
}

static void a_flipped_byte_harms_nobody(void) {
    begin();
    const uint64_t catalog = aipc_offset(&seg, seg.catalog);
    flip("catalog", catalog + sizeof(struct aipc_domain), catalog + sizeof(struct aipc_catalog));
    flip("lock and log", catalog, catalog + 64 + 16 * 8);
    flip("table", seg.catalog->table - 8, seg.catalog->table + 16 + 128 * 8);
    flip("live object", refs[4].object - 8, refs[4].payload);
    flip("object without pins", refs[9].object - 8, refs[9].payload);
    flip("zombie", refs[1].object - 8, refs[1].payload);
    flip("retired object", refs[6].object - 8, refs[6].payload);
    flip("anonymous object", anonymous.object - 8, anonymous.payload);
    flip("record", refs[4].holding - 8, refs[4].holding + 32);
    flip("owned block", owned - 8, owned + 48);
    flip("slot's chains", aipc_offset(&seg, &seg.slots[seg.slot].holdings),
         aipc_offset(&seg, &seg.slots[seg.slot].holdings) + 16);
    if (in_block) {
        const uint64_t latest = seg.slots[seg.slot].registrations;
        flip("registration", latest - 8, latest + 32);
        flip("object of a block", refs[9].object - 8, refs[9].payload);
    }
    CHECK(operations_ran);
    end();
}

static uint64_t blocks[64], count;
static bool note_block(void *unused, const aipc_block_info *block) {
    (void)unused;
    if ((block->flags & AIPC_USED) != 0) blocks[count++] = block->payload;
    return count < 64;
}

/* Words that are valid offsets elsewhere do more harm than flipped bits: circles, wrong kinds of blocks. */
static void a_link_to_another_block_harms_nobody(void) {
    begin();
    count = 0;
    CHECK_EQ(aipc_heap_walk(ctx, note_block, NULL), AIPC_OK);
    CHECK(count > 30);
    for (int round = 0; round < (harness_full() ? 200000 : 20000); round++) {
        memcpy(seg.base, pristine, SIZE);
        for (uint64_t changes = 1 + below(3); changes > 0; changes--) {
            const uint64_t block = below(8) == 0 ? aipc_offset(&seg, seg.catalog) + sizeof(struct aipc_domain)
                                                 : blocks[below(count)];
            uint64_t *word = (uint64_t *)(void *)(seg.base + block + 8 * below(8));
            const uint64_t values[] = {blocks[below(count)], 0, 1, *word + 1, next_random(), *word ^ 16,
                                       (*word & ~AIPC_SLOT_OFFSET) | blocks[below(count)], UINT64_MAX};
            *word = values[below(8)];
            NOTE("round %d, block %" PRIu64, round, block);
        }
        (void)findings();
        do_everything();
        (void)findings();
    }
    end();
}

static void zeroed(const char *what, uint64_t from, uint64_t to, int byte) {
    NOTE("%s all %d", what, byte);
    memset(seg.base + from, byte, to - from);
    CHECK(findings() != 0);
    do_everything();
    (void)findings();
    memcpy(seg.base, pristine, SIZE);
}

static void wholesale_damage_is_found(void) {
    begin();
    const uint64_t catalog = aipc_offset(&seg, seg.catalog) + sizeof(struct aipc_domain);
    for (int byte = 0; byte <= 255; byte += 85) {
        zeroed("catalog", catalog, catalog + 48, byte);
        zeroed("table", seg.catalog->table, seg.catalog->table + 16 + 64 * 8, byte);
        zeroed("heap", seg.heap_begin, SIZE, byte);
        zeroed("object", refs[4].object, refs[4].object + 64, byte);
    }
    end();
}

/* What contradicts something else must be found, each by its invariant. */
static void expect(const char *invariant, uint64_t *word, uint64_t value) {
    static aipc_report report;
    NOTE("%s", invariant);
    report = (aipc_report){0};
    *word = value;
    CHECK_EQ(aipc_catalog_check(ctx, &report), AIPC_OK);
    memcpy(seg.base, pristine, SIZE);
    bool found = false;
    for (uint64_t i = 0; i < report.findings && i < AIPC_REPORT_ROOM; i++)
        found = found || strncmp(report.finding[i].what, invariant, 2) == 0;
    CHECK(found);
}

static void each_invariant_is_checked(void) {
    begin();
    struct aipc_catalog *catalog = seg.catalog;
    struct aipc_table *table = (void *)(seg.base + catalog->table);
    struct aipc_object *object = (void *)(seg.base + refs[4].object);
    struct aipc_object *zombie = (void *)(seg.base + refs[1].object);
    struct aipc_holding *record = (void *)(seg.base + refs[4].holding);
    struct aipc_holding *of_block = (void *)(seg.base + seg.slots[seg.slot].holdings);
    uint64_t *slot = table->slots;
    while (*slot <= AIPC_TOMBSTONE) slot++;
    uint64_t *empty = table->slots;
    while (*empty != 0) empty++;
    expect("C1", &catalog->table, catalog->table + 16);
    expect("C1", &table->capacity, table->capacity * 2);
    expect("C1", slot, *slot + 16);
    expect("C1", slot, *slot ^ UINT64_C(1) << 50);
    expect("C1", &object->state, AIPC_OBJECT_DESTROYED);
    expect("C1", &object->hash, object->hash + 1);
    expect("C2", empty, *slot);
    expect("C3", slot, AIPC_TOMBSTONE);
    expect("C3", &catalog->count, catalog->count + 1);
    expect("C3", &catalog->tombstones, catalog->tombstones + 1);
    expect("C3", &catalog->anonymous, catalog->anonymous + 1);
    expect("C4", (uint64_t *)(void *)&object->pins, 2);
    expect("C4", (uint64_t *)(void *)&zombie->pins, 3);
    expect("C4", (uint64_t *)(void *)&((struct aipc_object *)(void *)(seg.base + refs[9].object))->pins, 1);
    expect("C4", &record->target, refs[2].object);
    expect("C5", &catalog->retired, refs[4].object);
    expect("C5", (uint64_t *)(void *)(seg.base + catalog->retired), catalog->retired);
    expect("C6", &catalog->retired, 0);
    expect("C6", &zombie->state, 0);
    expect("C4", &record->next, 0); /* cuts off those behind it */
    expect("D1", &record->prev, 0);
    expect("D1", &record->kind, 5);
    expect("D2", &record->target, refs[4].holding); /* too small for an object; the table can look like one */
    expect("D2", &of_block->target, owned + 16);
    end();
}

static void each_invariant_of_a_block_is_checked(void) {
    begin();
    struct aipc_catalog *catalog = seg.catalog;
    struct aipc_object *live = (void *)(seg.base + refs[4].object), *fresh = (void *)(seg.base + refs[9].object);
    uint64_t *latest = &seg.slots[seg.slot].registrations;
    struct aipc_holding *record = (void *)(seg.base + *latest);
    expect("Y1", &catalog->owner, 0);
    expect("Y1", &catalog->epoch, catalog->epoch + 1);
    expect("Y2", &catalog->pending, catalog->pending + 1);
    expect("Y2", &record->kind, AIPC_HOLD_UNMADE | (catalog->epoch + 2) << 8);
    expect("Y2", latest, 0);
    expect("Y3", &live->state, AIPC_OBJECT_GONE | catalog->epoch << 8);
    expect("Y3", &fresh->state, AIPC_OBJECT_LIVE);
    expect("C1", &live->state, AIPC_OBJECT_NEW | (catalog->epoch + 2) << 8);
    expect("C1", &live->state, AIPC_OBJECT_BOTH + 1);
    expect("C1", &((struct aipc_object *)(void *)(seg.base + refs[8].object))->state, AIPC_OBJECT_BOTH | (catalog->epoch - 2) << 8);
    expect("C2", &fresh->state, AIPC_OBJECT_LIVE); /* beside the one that it replaces */
    expect("C4", (uint64_t *)(void *)&fresh->pins, 1);
    expect("D1", &record->kind, AIPC_HOLD_PIN);
    expect("D2", &record->target, refs[4].holding);
    end();
}

static void each_invariant_of_the_order_is_checked(void) {
    begin();
    uint64_t *first = seg.catalog->first;
    struct aipc_object *object = (void *)(seg.base + refs[4].object);
    uint64_t *tower = (uint64_t *)(void *)(seg.base + refs[4].object + aipc_object_tower(aipc_label_of(object).name_size));
    expect("C3", &seg.catalog->unique, 1);
    expect("O3", &first[0], refs[1].object); /* a zombie */
    expect("O1", tower, refs[4].object);
    expect("O2", &first[AIPC_LEVELS - 1], refs[4].object);
    expect("O2", &first[0], *tower);
    expect("O3", tower, 0);
    end();
}

/* A name whose object is damaged is not free: there would be two of it. */
static void a_damaged_object_does_not_pass_for_another(void) {
    begin();
    const uint64_t from = refs[4].object + offsetof(struct aipc_object, hash);
    const uint64_t spans[][2] = {{from, from + 8}, {from + 48, from + 52}, {from + 56, from + 56 + 8}};
    uint64_t refused = 0;
    for (int i = 0; i < 3; i++)
        for (uint64_t at = spans[i][0]; at < spans[i][1]; at++)
            for (int bit = 0; bit < 8; bit++) {
                NOTE("byte %" PRIu64 ", bit %d", at - refs[4].object, bit);
                aipc_object_ref ref;
                seg.base[at] ^= (uint8_t)(1 << bit);
                const aipc_status found = find_as(ctx, numbered(4), &ref), built = construct_as(ctx, numbered(4), 8, &ref);
                CHECK(found == AIPC_CORRUPT || found == AIPC_OK);
                CHECK(built == AIPC_CORRUPT || built == AIPC_EXISTS);
                refused += found == AIPC_CORRUPT;
                memcpy(seg.base, pristine, SIZE);
            }
    CHECK(refused > 100);
    end();
}

static void run_all(void) {
    RUN(each_invariant_is_checked);
    RUN(wholesale_damage_is_found);
    RUN(a_flipped_byte_harms_nobody);
    RUN(a_link_to_another_block_harms_nobody);
    RUN(a_damaged_object_does_not_pass_for_another);
}

int main(void) {
    run_all();
    fixture_flags |= AIPC_FLAG_ORDERED;
    run_all();
    RUN(each_invariant_of_the_order_is_checked);
    in_block = true;
    RUN(each_invariant_of_a_block_is_checked);
    RUN(a_flipped_byte_harms_nobody);
    RUN(a_link_to_another_block_harms_nobody);
    return SUMMARY();
}
