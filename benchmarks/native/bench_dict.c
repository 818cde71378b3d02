/* The dict: get, replace, insert and delete; ns per call, crash safety on.
 *
 *     bench_dict [rounds] [keys of the long run]
 *
 * One line a case, `name  median  min  max`.  Values of 100 bytes, keys of 5 to 12; each call enters a context and hashes
 * its key, as the binding does.  The long run inserts a million keys and times each insertion: the longest one tells
 * whether growing pauses. */
#include "dict_fixture.h"

#include <time.h>

enum { KEYS = 10000, VALUE = 100, CASES = 32 };

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int by_size(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static aipc_dict_key key_of(uint64_t i, char *text) {
    const int size = snprintf(text, 24, "key %" PRIu64, i);
    return (aipc_dict_key){.bytes = text, .size = (uint64_t)size};
}
static char texts[KEYS][24];
static aipc_dict_key keys[KEYS];
static uint8_t value[1 << 16];

static void must(aipc_status status) {
    if (status != AIPC_OK) abort();
}
static aipc_ctx *entered(const aipc_dict_key *text, aipc_dict_key *key) {
    aipc_ctx *c;
    must(aipc_ctx_enter(&seg, &c));
    *key = aipc_dict_key_of(&seg, text->bytes, text->size);
    return c;
}

static void put(const aipc_dict_key *text, uint64_t size) {
    aipc_dict_key key;
    aipc_dict_draft draft;
    aipc_ctx *c = entered(text, &key);
    must(aipc_dict_draft_make(c, dict, &key, NULL, 0, size, &draft));
    memcpy(draft.value, value, size);
    must(aipc_dict_put(c, dict, &draft, AIPC_DICT_ALWAYS, 0, NULL, NULL));
    aipc_ctx_leave(c);
}
static void get(const aipc_dict_key *text, aipc_status expected) {
    aipc_dict_key key;
    aipc_dict_found found;
    aipc_ctx *c = entered(text, &key);
    if (aipc_dict_get(c, dict, &key, &found) != expected) abort();
    if (expected == AIPC_OK) {
        memcpy(value, found.value, found.value_size);
        aipc_dict_done(c);
    }
    aipc_ctx_leave(c);
}
static void take(const aipc_dict_key *text) {
    aipc_dict_key key;
    aipc_ctx *c = entered(text, &key);
    must(aipc_dict_delete(c, dict, &key, 0, NULL));
    aipc_ctx_leave(c);
}

static void do_hit(uint64_t i) { get(&keys[i * 7919 % KEYS], AIPC_OK); }
static void do_miss(uint64_t i) {
    char text[24];
    memcpy(text, texts[i % KEYS], sizeof text);
    text[0] = 'm';
    const aipc_dict_key key = {.bytes = text, .size = keys[i % KEYS].size};
    get(&key, AIPC_NOT_FOUND);
}
static void do_replace(uint64_t i) { put(&keys[i * 7919 % KEYS], VALUE); }
static void do_replace_4k(uint64_t i) { put(&keys[i % 100], 4096); }
static void do_hit_4k(uint64_t i) { get(&keys[i % 100], AIPC_OK); }
static void do_copy_4k(uint64_t i) { memcpy(value, value + 8192 + (i & 7) * 4096, 4096); }
static void do_insert_delete(uint64_t i) {
    static char text[24] = "fresh key";
    const aipc_dict_key key = {.bytes = text, .size = 9 + i % 7};
    put(&key, VALUE);
    take(&key);
}
/* The oldest goes, a new one comes: holes, and a rebuild now and then. */
static void do_first_in_first_out(uint64_t i) {
    static uint64_t oldest, youngest = KEYS;
    char text[24];
    (void)i;
    aipc_dict_key key = key_of(oldest++, text);
    take(&key);
    key = key_of(youngest++, text);
    put(&key, VALUE);
}
static aipc_dict_cursor cursor;
static void do_next(uint64_t i) {
    aipc_dict_found found;
    aipc_ctx *c;
    (void)i;
    must(aipc_ctx_enter(&seg, &c));
    if (aipc_dict_next(c, dict, &cursor, &found) != AIPC_OK) memset(&cursor, 0, sizeof cursor);
    aipc_dict_done(c);
    aipc_ctx_leave(c);
}

static void measure(const char *name, int rounds, void (*call)(uint64_t i)) {
    double per_call[64];
    if (rounds > 64) rounds = 64;
    for (int r = 0; r < rounds; r++) {
        const uint64_t begin = now_ns();
        for (uint64_t i = 0; i < 4 * KEYS; i++) call(i);
        per_call[r] = (double)(now_ns() - begin) / (4 * KEYS);
    }
    qsort(per_call, (size_t)rounds, sizeof *per_call, by_size);
    printf("%-46s %10.1f %10.1f %10.1f\n", name, per_call[rounds / 2], per_call[0], per_call[rounds - 1]);
}

static void insert_many(uint64_t count) {
    double longest[8] = {0};
    char text[24];
    uint64_t begin = now_ns();
    for (uint64_t i = 0; i < count; i++) {
        const aipc_dict_key key = key_of(i, text);
        const uint64_t before = now_ns();
        put(&key, 8);
        const double took = (double)(now_ns() - before);
        if (took <= longest[0]) continue;
        longest[0] = took;
        qsort(longest, 8, sizeof *longest, by_size);
    }
    const double all = (double)(now_ns() - begin) / (double)count;
    printf("%-46s %10.1f %10.1f %10.1f\n", "insert, growing: mean", all, all, all);
    printf("%-46s %10.1f %10.1f %10.1f\n", "the longest insertions: 1st, 8th, 2nd", longest[7], longest[0], longest[6]);
    begin = now_ns();
    must(aipc_dict_clear(ctx, dict));
    const double cleared = (double)(now_ns() - begin) / (double)count;
    printf("%-46s %10.1f %10.1f %10.1f\n", "clear, per key", cleared, cleared, cleared);
}

int main(int argc, char **argv) {
    const int rounds = argc > 1 ? atoi(argv[1]) : 9;
    const uint64_t many = argc > 2 ? (uint64_t)atol(argv[2]) : 1000000;
    dict_make(many * 200 + (64 << 20));
    for (uint64_t i = 0; i < KEYS; i++) {
        keys[i] = key_of(i, texts[i]);
        put(&keys[i], VALUE);
    }
    measure("get, hit, 10,000 keys, 100 B", rounds, do_hit);
    measure("get, miss", rounds, do_miss);
    measure("next", rounds, do_next);
    measure("replace", rounds, do_replace);
    measure("insert and delete", rounds, do_insert_delete);
    measure("delete the oldest, insert a new one", rounds, do_first_in_first_out);
    must(aipc_dict_clear(ctx, dict));
    for (uint64_t i = 0; i < 100; i++) put(&keys[i], 4096);
    measure("get, 4 KiB", rounds, do_hit_4k);
    measure("replace, 4 KiB", rounds, do_replace_4k);
    measure("memcpy of 4 KiB", rounds, do_copy_4k);
    must(aipc_dict_clear(ctx, dict));
    insert_many(many);
    return 0;
}
