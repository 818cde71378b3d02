// variants: plain
/* SIGKILL after sampled machine instructions of the optimized dict, with the real recovery behind it: what the compiler
 * made of publishing, of unlogged places and of entries that are filled in under the lock. */
#include "segment_fixture.h"
#include "step.h"

enum { KEYS = 10 }; /* the last one begins a rebuild */

static aipc_seg seg;

static struct aipc_dict *open_dict(aipc_ctx *ctx, aipc_object_ref *ref) {
    struct aipc_dict image;
    aipc_dict_init(&image);
    const aipc_object_spec spec = {.kind = AIPC_NAMED, .name = "dict", .name_size = 4, .type = AIPC_TYPE_DICT,
                                   .size = sizeof image, .count = 1, .initial = &image};
    bool created;
    OK(aipc_find_or_construct(ctx, &spec, ref, &created));
    return (void *)(seg.base + ref->payload);
}

static aipc_dict_key key_of(uint64_t i) {
    static uint64_t bytes;
    bytes = i;
    return aipc_dict_key_of(&seg, &bytes, sizeof bytes);
}
/* The value is the key's number, eight times and more: torn ones show. */
static void put(aipc_ctx *ctx, struct aipc_dict *d, uint64_t i, uint64_t words) {
    const aipc_dict_key key = key_of(i);
    aipc_dict_draft draft;
    OK(aipc_dict_draft_make(ctx, d, &key, NULL, 0, words * 8, &draft));
    for (uint64_t w = 0; w < words; w++) memcpy(draft.value + w * 8, &i, 8);
    OK(aipc_dict_put(ctx, d, &draft, AIPC_DICT_ALWAYS, 0, NULL, NULL));
}

static struct aipc_dict *dict;
static aipc_ctx *ctx;

static void setup(void *arg) {
    (void)arg;
    aipc_object_ref ref;
    fixture_create(&seg);
    ctx = enter(&seg);
    dict = open_dict(ctx, &ref);
    for (uint64_t i = 0; i < KEYS - 1; i++) put(ctx, dict, i, 8);
    aipc_ctx_leave(ctx);
    fixture_detach(&seg);
}
static void attach(void *arg) {
    (void)arg;
    aipc_object_ref ref;
    fixture_attach(&seg);
    ctx = enter(&seg);
    dict = open_dict(ctx, &ref);
}

/* Inserts; then the rebuild's steps come with a replacement each, and the last one with a deletion. */
static void run(void *arg) {
    (void)arg;
    put(ctx, dict, KEYS - 1, 8);
    put(ctx, dict, 0, 9);
    put(ctx, dict, 1, 9);
    const aipc_dict_key key = key_of(2);
    OK(aipc_dict_delete(ctx, dict, &key, 0, NULL));
}

static void survive(void *arg) {
    aipc_report report;
    attach(arg);
    fixture_sound(&seg, &report);
    aipc_dict_cursor cursor = {0};
    aipc_dict_found found;
    uint64_t count = 0, number, word;
    while (aipc_dict_next(ctx, dict, &cursor, &found) == AIPC_OK) {
        count++;
        CHECK(found.value_size == 64 || found.value_size == 72);
        memcpy(&number, found.key, 8);
        for (uint64_t at = 0; at < found.value_size; at += 8) {
            memcpy(&word, found.value + at, 8);
            CHECK_EQ(word, number);
        }
    }
    CHECK_EQ(count, aipc_dict_count(dict));
    CHECK(count >= KEYS - 2 && count <= KEYS);
    put(ctx, dict, 99, 8);
    OK(aipc_dict_clear(ctx, dict));
    fixture_sound(&seg, &report);
    CHECK_EQ(report.part_blocks, 0);
    aipc_ctx_leave(ctx);
    fixture_detach(&seg);
}

static void a_death_at_any_instruction_leaves_all_or_nothing(void) {
    const struct scenario s = {setup, attach, run, survive, NULL};
    STEP_WATCH(&seg.base, FIXTURE_SIZE);
    fprintf(stderr, "  %" PRIu64 " deaths\n", step_sweep(&s));
}

int main(void) {
    RUN(a_death_at_any_instruction_leaves_all_or_nothing);
    fixture_end();
    return SUMMARY();
}
