// variants: plain asan
/* Many blocks at once, another size for one, zeros: on a heap of each algorithm, and with owned blocks in a segment. */
#include "heap_fixture.h"
#include "memory.h"

enum { MANY = 400 };
static uint64_t payloads[MANY], sizes[MANY];
static uint8_t before[1 << 18];

static uint64_t random_state = 1;
static uint64_t below(uint64_t n) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % n;
}

static uint64_t largest(void) {
    aipc_heap_stats s;
    CHECK_EQ(aipc_heap_stats_get(&ctx, &s), AIPC_OK);
    return s.largest_free;
}
static void check_empty(void) {
    CHECK_EQ(fixture_sound().blocks, 1);
    for (int i = 0; i < AIPC_ORPHANS; i++) CHECK_EQ(ctx.shared->orphan[i], 0);
}

/* ---- many -------------------------------------------------------------------------------------- */
static aipc_status take_many(uint64_t count, bool equal, uint64_t alignment) {
    return aipc_allocate_many(&ctx, &(aipc_many){sizes, equal, count, alignment, payloads});
}
static void drop_many(uint64_t count) {
    uint64_t freed;
    CHECK_EQ(aipc_deallocate_many(&ctx, payloads, count, &freed), AIPC_OK);
    CHECK_EQ(freed, count);
}

static void many_blocks_of_one_size(void) {
    for (uint64_t size = 0; size < 3000; size = size * 3 + 11)
        for (uint64_t alignment = 1; alignment <= 256; alignment *= 16)
            for (uint64_t count = 0; count < 100; count = count * 2 + 1) {
                fixture_make(1 << 20);
                sizes[0] = size;
                CHECK_EQ(take_many(count, true, alignment), AIPC_OK);
                for (uint64_t i = 0; i < count; i++) {
                    CHECK_EQ(payloads[i] % alignment, 0);
                    CHECK(usable_size(payloads[i]) >= size);
                    fill(payloads[i]);
                }
                CHECK_EQ(fixture_sound().user_blocks, count);
                for (uint64_t i = 0; i < count; i++) check_filled(payloads[i]);
                drop_many(count);
                check_empty();
            }
}

/* Where nothing but holes is left, and where some of them have room for several. */
static void many_blocks_of_different_sizes_between_others(void) {
    uint64_t other[200];
    for (int round = 0; round < 40; round++) {
        fixture_make(1 << 17);
        for (int i = 0; i < 200; i++) other[i] = allocate(below(500), 16), fill(other[i]);
        for (int i = 0; i < 200; i += 2) release(other[i]);
        const uint64_t count = 20 + below(80);
        for (uint64_t i = 0; i < count; i++) sizes[i] = below(round % 2 == 0 ? 100 : 600);
        CHECK_EQ(take_many(count, false, 16), AIPC_OK);
        for (uint64_t i = 0; i < count; i++) CHECK(usable_size(payloads[i]) >= sizes[i]), fill(payloads[i]);
        CHECK_EQ(fixture_sound().user_blocks, 100 + count);
        for (int i = 1; i < 200; i += 2) check_filled(other[i]), release(other[i]);
        for (uint64_t i = 0; i < count; i++) check_filled(payloads[i]);
        drop_many(count);
        check_empty();
    }
}

static void all_or_nothing(void) {
    fixture_make(1 << 15);
    for (uint64_t alignment = 16; alignment <= 64; alignment *= 4) {
        sizes[0] = 1000;
        CHECK_EQ(take_many(60, true, alignment), AIPC_FULL);
        check_empty();
        CHECK_EQ(take_many(20, true, alignment), AIPC_OK);
        drop_many(20);
        check_empty();
    }
    sizes[0] = 10, sizes[1] = UINT64_MAX, sizes[2] = UINT64_C(1) << 44;
    CHECK_EQ(take_many(3, false, 16), AIPC_FULL);
    CHECK_EQ(take_many(1, true, 48), AIPC_INVALID);
    check_empty();
}

static void what_is_no_block_ends_the_freeing_of_many(void) {
    fixture_make(1 << 15);
    sizes[0] = 40;
    uint64_t freed;
    CHECK_EQ(take_many(70, true, 16), AIPC_OK);
    const uint64_t good = payloads[50];
    payloads[50] += 16;
    CHECK_EQ(aipc_deallocate_many(&ctx, payloads, 70, &freed), AIPC_INVALID);
    CHECK_EQ(freed, 50);
    payloads[50] = payloads[49]; /* twice */
    CHECK_EQ(aipc_deallocate_many(&ctx, payloads + 50, 20, &freed), AIPC_INVALID);
    CHECK_EQ(freed, 0);
    payloads[50] = good;
    CHECK_EQ(aipc_deallocate_many(&ctx, payloads + 50, 20, &freed), AIPC_OK);
    check_empty();
}

/* ---- another size ------------------------------------------------------------------------------ */
static aipc_resizing ask(uint64_t payload, uint64_t minimum, uint64_t preferred, uint32_t ways) {
    return (aipc_resizing){.payload = payload, .minimum = minimum, .preferred = preferred, .ways = ways};
}

/* [a used] [b used, its neighbours free or used] [c used] */
static uint64_t b, c, others;
static void make_three(uint64_t free_before, uint64_t size, uint64_t free_after) {
    fixture_make(1 << 16);
    const uint64_t front = allocate(free_before, 16);
    b = allocate(size, 16);
    const uint64_t back = allocate(free_after, 16);
    c = allocate(100, 16);
    fill(c);
    others = 3;
    if (free_before > 100) release(front), others--;
    if (free_after > 100) release(back), others--;
    write_content(b, 7, usable_size(b));
}
static void check_three(const aipc_resizing *r, uint64_t kept) {
    CHECK(has_content(r->payload, 7, kept));
    CHECK_EQ(usable_size(r->payload), r->usable);
    for (uint64_t i = kept; i < r->usable; i++) CHECK_EQ(seg.base[r->payload + i], 0);
    check_filled(c);
    CHECK_EQ(fixture_sound().user_blocks, others + 1);
    for (int i = 0; i < AIPC_ORPHANS; i++) CHECK_EQ(ctx.shared->orphan[i], 0);
}

static void forward(void) {
    make_three(50, 200, 1000);
    aipc_resizing r = ask(b, 400, 400, AIPC_GROW_FORWARD);
    CHECK_EQ(aipc_resize(&ctx, &r, 16, false), AIPC_OK);
    CHECK_EQ(r.payload, b);
    CHECK(r.usable >= 400 && r.usable < 416);
    check_three(&r, 200);
    r = ask(b, 500, 5000, AIPC_GROW_FORWARD); /* all there is */
    CHECK_EQ(aipc_resize(&ctx, &r, 16, false), AIPC_OK);
    CHECK_EQ(r.payload + r.usable + 8, c);
    check_three(&r, 200);
}

static void what_is_not_there_changes_nothing_and_says_what_is(void) {
    make_three(50, 200, 1000);
    memcpy(before, seg.base + seg.heap_begin, shared_size - seg.heap_begin);
    aipc_resizing r = ask(b, 2000, 3000, AIPC_GROW_FORWARD);
    CHECK_EQ(aipc_resize(&ctx, &r, 16, false), AIPC_FULL);
    const uint64_t could = r.usable;
    CHECK(could >= 1200 && could < 1300);
    r = ask(b, 300, 300, AIPC_GROW_BACKWARD | AIPC_SHRINK);
    CHECK_EQ(aipc_resize(&ctx, &r, 16, false), AIPC_FULL);
    CHECK_EQ(r.usable, usable_size(b));
    r = ask(b, UINT64_MAX, UINT64_MAX, 7);
    CHECK_EQ(aipc_resize(&ctx, &r, 16, true), AIPC_FULL);
    CHECK_EQ(r.usable, largest());
    CHECK(memcmp(before, seg.base + seg.heap_begin, shared_size - seg.heap_begin) == 0);
    r = ask(b, could, could, AIPC_GROW_FORWARD);
    CHECK_EQ(aipc_resize(&ctx, &r, 16, false), AIPC_OK);
    r = ask(b + 16, 10, 3000, 7);
    CHECK_EQ(aipc_resize(&ctx, &r, 16, true), AIPC_INVALID);
    r = ask(b, 10, 5, 7);
    CHECK_EQ(aipc_resize(&ctx, &r, 16, true), AIPC_INVALID);
}

static void backward(void) {
    for (uint64_t want = 300; want <= 1200; want += 75) {
        NOTE("%" PRIu64, want);
        make_three(1000, 200, 50);
        const uint64_t usable = usable_size(b);
        aipc_resizing r = ask(b, want, want, AIPC_GROW_BACKWARD);
        CHECK_EQ(aipc_resize(&ctx, &r, 16, false), AIPC_OK);
        CHECK(r.payload < b && r.usable >= want && r.usable < want + 48);
        CHECK(has_content(r.payload, 7, usable));
        for (uint64_t i = usable; i < r.usable; i++) CHECK_EQ(seg.base[r.payload + i], 0);
        CHECK_EQ(aipc_heap_free(&ctx, b, 0, no_orphan), AIPC_INVALID);
        check_filled(c);
        CHECK_EQ(fixture_sound().user_blocks, 3);
    }
}

static void backward_only_where_all_of_the_contents_find_room(void) {
    make_three(300, 1000, 50);
    aipc_resizing r = ask(b, 1200, 1200, AIPC_GROW_BACKWARD);
    CHECK_EQ(aipc_resize(&ctx, &r, 16, false), AIPC_FULL);
    CHECK_EQ(r.usable, usable_size(b));
    CHECK(has_content(b, 7, 1000));
}

static void both_ways(void) {
    make_three(500, 200, 500);
    aipc_resizing r = ask(b, 1100, 1150, AIPC_GROW_FORWARD | AIPC_GROW_BACKWARD);
    CHECK_EQ(aipc_resize(&ctx, &r, 16, false), AIPC_OK);
    CHECK(r.payload < b && r.usable >= 1150);
    check_three(&r, 200);
}

static void shrinking_gives_back_the_end(void) {
    for (int free_after = 0; free_after < 2; free_after++) {
        make_three(50, 1000, free_after ? 400 : 50);
        const uint64_t free_bytes = seg.heap->free_bytes;
        aipc_resizing r = ask(b, 100, 100, 0);
        CHECK_EQ(aipc_resize(&ctx, &r, 16, false), AIPC_OK); /* not asked to */
        CHECK_EQ(r.usable, usable_size(b));
        CHECK(r.usable >= 1000);
        r = ask(b, 100, 100, AIPC_SHRINK);
        CHECK_EQ(aipc_resize(&ctx, &r, 16, false), AIPC_OK);
        CHECK(r.payload == b && r.usable >= 100 && r.usable < 116);
        CHECK(has_content(b, 7, 100));
        CHECK_EQ(seg.heap->free_bytes - free_bytes, 1008 - 112);
        fixture_sound();
        r = ask(b, r.usable - 10, r.usable - 10, AIPC_SHRINK); /* a crumb stays */
        CHECK_EQ(aipc_resize(&ctx, &r, 16, false), AIPC_OK);
        CHECK_EQ(usable_size(b), r.usable);
    }
}

static void a_new_block_when_there_is_no_other_way(void) {
    for (uint64_t alignment = 16; alignment <= 256; alignment *= 4) {
        make_three(50, 200, 50);
        aipc_resizing r = ask(b, 500, 4000, AIPC_GROW_FORWARD);
        CHECK_EQ(aipc_resize(&ctx, &r, alignment, true), AIPC_OK);
        CHECK(r.payload != b && r.usable >= 4000);
        CHECK_EQ(r.payload % alignment, 0);
        CHECK(has_content(r.payload, 7, 200));
        for (uint64_t i = 208; i < r.usable; i++) CHECK_EQ(seg.base[r.payload + i], 0);
        CHECK_EQ(aipc_heap_free(&ctx, b, 0, no_orphan), AIPC_INVALID);
        CHECK_EQ(fixture_sound().user_blocks, 4);
        r = ask(r.payload, 5000, 1 << 20, 0); /* the least, where there is no more */
        CHECK_EQ(aipc_resize(&ctx, &r, 16, true), AIPC_OK);
        CHECK(r.usable >= 5000 && r.usable < 5100);
        CHECK(has_content(r.payload, 7, 200));
    }
}

/* Random sizes, ways and neighbours: contents go where the block goes. */
static void random_sizes_against_a_model(void) {
    enum { BLOCKS = 40 };
    static struct {
        uint64_t payload, kept;
    } model[BLOCKS];
    const int steps = harness_full() ? 40000 : 6000;
    for (int round = 0; round < 3; round++) {
        fixture_make(60000);
        memset(model, 0, sizeof model);
        for (int step = 0; step < steps; step++) {
            NOTE("round %d, step %d", round, step);
            const uint64_t i = below(BLOCKS), size = below(round == 0 ? 300 : 3000);
            if (model[i].payload == 0) {
                if (aipc_heap_allocate(&ctx, size, 16, 0, no_orphan, &model[i].payload) != AIPC_OK) model[i].payload = 0;
            } else if (below(3) == 0) {
                CHECK(has_content(model[i].payload, i, model[i].kept));
                release(model[i].payload);
                model[i].payload = 0;
            } else {
                aipc_resizing r = ask(model[i].payload, below(size + 1), size, (uint32_t)below(8));
                const uint64_t was = usable_size(model[i].payload);
                const aipc_status status = aipc_resize(&ctx, &r, 16, below(2) == 0);
                CHECK(status == AIPC_OK || status == AIPC_FULL);
                if (status == AIPC_FULL) CHECK_EQ(usable_size(model[i].payload), was);
                if (status == AIPC_OK) {
                    CHECK(r.usable >= r.minimum);
                    CHECK_EQ(usable_size(r.payload), r.usable);
                    model[i].payload = r.payload;
                    if (model[i].kept > r.usable) model[i].kept = r.usable;
                    CHECK(has_content(r.payload, i, model[i].kept));
                    for (uint64_t at = was; at < r.usable; at++) CHECK_EQ(seg.base[r.payload + at], 0);
                }
            }
            if (model[i].payload != 0) {
                model[i].kept = usable_size(model[i].payload);
                write_content(model[i].payload, i, model[i].kept);
            }
            uint64_t used = 0;
            for (int n = 0; n < BLOCKS; n++) used += model[n].payload != 0;
            CHECK_EQ(fixture_sound().user_blocks, used);
        }
        for (int n = 0; n < BLOCKS; n++) {
            if (model[n].payload == 0) continue;
            CHECK(has_content(model[n].payload, (uint64_t)n, model[n].kept));
            release(model[n].payload);
        }
        check_empty();
    }
}

/* ---- zeros ------------------------------------------------------------------------------------- */
static bool is_zero(void *arg, const aipc_block_info *block) {
    uint64_t *dirty = arg;
    if ((block->flags & AIPC_USED) != 0) return true;
    for (uint64_t i = 0; i + 8 + 24 < block->size; i++) *dirty += seg.base[block->payload + i] != 0;
    return true;
}

static void free_memory_is_zero_afterwards(void) {
    for (uint64_t size = 24; size < 100000; size = size * 4 + 9) {
        fixture_make(4 << 20);
        static uint64_t held[70000];
        uint64_t count = 0, dirty = 0, free_bytes = seg.heap->free_bytes;
        while (count < 70000 && aipc_heap_allocate(&ctx, size, 16, AIPC_PART | AIPC_RESERVE, no_orphan, &held[count]) == AIPC_OK)
            fill(held[count++]);
        for (uint64_t i = 0; i < count; i++)
            if (i % 7 != 3) release(held[i]);
        CHECK_EQ(aipc_zero_free_memory(&ctx), AIPC_OK);
        CHECK_EQ(aipc_heap_walk(&ctx, is_zero, &dirty), AIPC_OK);
        CHECK_EQ(dirty, 0);
        fixture_sound();
        for (uint64_t i = 3; i < count; i += 7) check_filled(held[i]), release(held[i]);
        CHECK_EQ(aipc_zero_free_memory(&ctx), AIPC_OK);
        CHECK_EQ(aipc_heap_walk(&ctx, is_zero, &dirty), AIPC_OK);
        CHECK_EQ(dirty, 0);
        CHECK_EQ(seg.heap->free_bytes, free_bytes);
        check_empty();
    }
}

int main(void) {
    RUN_EACH(many_blocks_of_one_size);
    RUN_EACH(many_blocks_of_different_sizes_between_others);
    RUN_EACH(all_or_nothing);
    RUN_EACH(what_is_no_block_ends_the_freeing_of_many);
    RUN_EACH(forward);
    RUN_EACH(what_is_not_there_changes_nothing_and_says_what_is);
    RUN_EACH(backward);
    RUN_EACH(backward_only_where_all_of_the_contents_find_room);
    RUN_EACH(both_ways);
    RUN_EACH(shrinking_gives_back_the_end);
    RUN_EACH(a_new_block_when_there_is_no_other_way);
    RUN_EACH(random_sizes_against_a_model);
    RUN_EACH(free_memory_is_zero_afterwards);
    return SUMMARY();
}
