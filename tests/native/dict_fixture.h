/* A dict in a real segment, short names for its operations, and what must be true of it at any time. */
#ifndef AIPC_TEST_DICT_FIXTURE_H
#define AIPC_TEST_DICT_FIXTURE_H

#include "catalog_fixture.h"
#include "dict.h"
#include "dict_table.h"
#include "types.h"

static struct aipc_dict *dict;
static aipc_object_ref dict_ref;
static bool dict_damaged; /* on purpose: what is not to fail may */

static inline struct aipc_dict *dict_in(aipc_seg *s, const aipc_object_ref *ref) {
    return (void *)(s->base + ref->payload);
}

/* Finds or makes the dict, and pins it. */
static inline struct aipc_dict *dict_open(aipc_ctx *c, aipc_object_ref *ref) {
    struct aipc_dict image;
    aipc_dict_init(&image);
    const aipc_object_spec spec = {.kind = AIPC_NAMED, .name = "dict", .name_size = 4, .type = AIPC_TYPE_DICT,
                                   .size = sizeof image, .count = 1, .initial = &image};
    bool created;
    CHECK_EQ(aipc_find_or_construct(c, &spec, ref, &created), AIPC_OK);
    return dict_in(c->seg, ref);
}
static inline void dict_make(uint64_t size) {
    fixture_make(size);
    dict = dict_open(ctx, &dict_ref);
}

static inline aipc_dict_key key_named(aipc_ctx *c, const char *name) {
    return aipc_dict_key_of(c->seg, name, strlen(name));
}

/* A value says what it is in each of its bytes: a torn one shows. */
static inline void value_fill(uint8_t *value, uint64_t size, uint64_t number) {
    for (uint64_t i = 0; i < size; i++) value[i] = (uint8_t)(number + i * 7);
}
static inline bool value_is(const aipc_dict_found *f, uint64_t size, uint64_t number) {
    if (f->value_size != size) return false;
    for (uint64_t i = 0; i < size; i++)
        if (f->value[i] != (uint8_t)(number + i * 7)) return false;
    return true;
}

/* put; the original key is the key in upper case, as it were: "ORIG" and the key. */
static inline aipc_status put_as(aipc_ctx *c, struct aipc_dict *d, const char *name, uint64_t size, uint64_t number,
                                 aipc_dict_mode mode, uint64_t version, aipc_dict_found *found) {
    const aipc_dict_key key = key_named(c, name);
    aipc_dict_draft draft;
    aipc_status status = aipc_dict_draft_make(c, d, &key, "ORIG", 4, size, &draft);
    if (status != AIPC_OK) return status;
    value_fill(draft.value, size, number);
    status = aipc_dict_put(c, d, &draft, mode, version, found, NULL);
    if (status != AIPC_OK) CHECK(aipc_dict_discard(c, &draft) == AIPC_OK || dict_damaged);
    return status;
}
static inline aipc_status set_as(aipc_ctx *c, struct aipc_dict *d, const char *name, uint64_t size, uint64_t number) {
    return put_as(c, d, name, size, number, AIPC_DICT_ALWAYS, 0, NULL);
}
static inline aipc_status get_as(aipc_ctx *c, struct aipc_dict *d, const char *name, aipc_dict_found *found) {
    const aipc_dict_key key = key_named(c, name);
    return aipc_dict_get(c, d, &key, found);
}
static inline aipc_status delete_as(aipc_ctx *c, struct aipc_dict *d, const char *name) {
    const aipc_dict_key key = key_named(c, name);
    return aipc_dict_delete(c, d, &key, 0, NULL);
}
static inline const char *numbered(uint64_t i) {
    static char name[32];
    snprintf(name, sizeof name, "key %" PRIu64, i);
    return name;
}

static inline void show_findings(const aipc_report *report) {
    for (uint64_t i = 0; i < report->findings && i < AIPC_REPORT_ROOM; i++)
        fprintf(stderr, "  %s at %" PRIu64 ": %" PRIu64 ", expected %" PRIu64 "\n", report->finding[i].what,
                report->finding[i].offset, report->finding[i].found, report->finding[i].expected);
}

/* The heap, the catalog and the dict agree with themselves; in quiet, every part belongs to the dict. */
static inline aipc_report dict_sound_as(aipc_ctx *c, struct aipc_dict *d) {
    static aipc_report report;
    report = (aipc_report){0};
    CHECK_EQ(aipc_heap_check(c, &report), AIPC_OK);
    CHECK_EQ(aipc_catalog_check(c, &report), AIPC_OK);
    CHECK_EQ(aipc_dict_check(c, d, &report), AIPC_OK);
    show_findings(&report);
    CHECK_EQ(report.findings, 0);
    CHECK_EQ(report.parts, report.part_blocks);
    return report;
}

/* As many keys as are counted, in ascending order, forward and back. */
static inline void dict_walk_agrees(aipc_ctx *c, struct aipc_dict *d) {
    for (int forward = 0; forward < 2; forward++) {
        aipc_dict_cursor cursor = {0};
        aipc_dict_found found;
        aipc_status status;
        uint64_t count = 0, last = forward ? 0 : UINT64_MAX;
        while ((status = (forward ? aipc_dict_next : aipc_dict_prev)(c, d, &cursor, &found)) == AIPC_OK) {
            CHECK(forward ? found.serial > last : found.serial < last);
            last = found.serial;
            count++;
        }
        CHECK_EQ(status, AIPC_NOT_FOUND);
        CHECK_EQ(count, aipc_dict_count(d));
    }
}

/* Destroys the dict: then nothing of it is left. */
static inline void dict_drop(void) {
    CHECK_EQ(aipc_destroy(ctx, &dict_ref), AIPC_OK);
    aipc_dict_close(dict);
    unpin(&dict_ref);
    CHECK_EQ(aipc_catalog_collect(ctx), AIPC_OK);
    check_empty();
    fixture_drop();
}

#endif
