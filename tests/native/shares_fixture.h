/* Structs that own each other: a number, and two owning words. */
#ifndef AIPC_TEST_SHARES_FIXTURE_H
#define AIPC_TEST_SHARES_FIXTURE_H

#include "catalog_fixture.h"
#include "described.h"
#include "holdings.h"
#include "pointer.h"
#include "recovery.h"
#include "shares.h"

enum { NEXT = 0, CHILD = 1, NODE_SIZE = 24, NODE_HEAD_ROOM = 128 };

static const char NODE_TEXT[] = "Node(value:uint64@0,next:SharedPtr@8,child:UniquePtr@16)24";
static const uint32_t NODE_OWNERS[] = {8, 16};

static inline aipc_description node_description(void) {
    return (aipc_description){.text = NODE_TEXT, .text_size = sizeof NODE_TEXT - 1, .element_size = NODE_SIZE,
                              .owners = NODE_OWNERS, .owner_count = 2};
}
static inline uint64_t node_head(void) { return aipc_described_head(sizeof NODE_TEXT - 1, 2); }

typedef struct node_image {
    uint8_t bytes[NODE_HEAD_ROOM + 64 * NODE_SIZE];
    uint64_t words[2];
    aipc_object_spec spec;
} node_image;

/* `name` NULL: anonymous.  `shares`: as in aipc_object_spec. */
static inline aipc_object_spec *node_spec(node_image *image, const char *name, uint64_t value, uint32_t shares, uint32_t count) {
    const aipc_description said = node_description();
    const uint64_t head = node_head();
    CHECK(head <= NODE_HEAD_ROOM && count <= 64);
    memset(image, 0, sizeof *image);
    aipc_described_init(image->bytes, &said);
    for (uint32_t i = 0; i < count; i++) memcpy(image->bytes + head + i * NODE_SIZE, &value, sizeof value);
    image->spec = (aipc_object_spec){.kind = name == NULL ? AIPC_ANONYMOUS : AIPC_NAMED, .name = name,
                                     .name_size = name == NULL ? 0 : (uint32_t)strlen(name),
                                     .type = aipc_struct_type(&said), .count = count, .size = head + count * NODE_SIZE,
                                     .initial = image->bytes, .shares = shares};
    return &image->spec;
}

static inline aipc_object_ref node_as(aipc_ctx *c, const char *name, uint64_t value, uint32_t shares) {
    node_image image;
    aipc_object_ref ref;
    CHECK_EQ(aipc_construct(c, node_spec(&image, name, value, shares, 1), &ref), AIPC_OK);
    return ref;
}
static inline aipc_object_ref node(uint64_t value) { return node_as(ctx, NULL, value, AIPC_SHARE_ANY); }

static inline aipc_owner owner_in(aipc_seg *s, const aipc_object_ref *ref, uint64_t n) {
    aipc_description said;
    CHECK_EQ(aipc_described_at(s, ref->payload, ref->size, ref->count, &said), AIPC_OK);
    return (aipc_owner){.object = ref, .word = aipc_offset(s, aipc_owning_word(&said, n))};
}
static inline aipc_status store_as(aipc_ctx *c, const aipc_object_ref *ref, uint64_t n, const aipc_object_ref *target) {
    const aipc_owner to = owner_in(c->seg, ref, n);
    return aipc_share_store(c, &to, target);
}
static inline void store(const aipc_object_ref *ref, uint64_t n, const aipc_object_ref *target) {
    CHECK_EQ(store_as(ctx, ref, n, target), AIPC_OK);
}

static inline struct aipc_object *object_of(aipc_seg *s, const aipc_object_ref *ref) { return (void *)(s->base + ref->object); }
static inline uint32_t shares_of(const aipc_object_ref *ref) {
    uint32_t count;
    CHECK_EQ(aipc_share_count(ctx, aipc_pointer_to_object(ref), &count), AIPC_OK);
    return count;
}
static inline void release(aipc_object_ref *ref) {
    CHECK_EQ(aipc_share_release(ctx, seg.slot, ref->holding), AIPC_OK);
    ref->holding = 0;
}
/* Another share of it. */
static inline aipc_object_ref share_as(aipc_ctx *c, const aipc_object_ref *of, uint32_t how) {
    aipc_object_ref ref = *of;
    CHECK_EQ(aipc_share_take(c, &ref, how), AIPC_OK);
    return ref;
}
static inline aipc_object_ref share(const aipc_object_ref *of) { return share_as(ctx, of, AIPC_SHARE_ANY); }
static inline aipc_object_ref pinned(const aipc_object_ref *of) {
    aipc_object_ref ref = *of;
    CHECK_EQ(aipc_pin(ctx, &ref), AIPC_OK);
    return ref;
}

static inline aipc_report shares_sound_as(aipc_ctx *c) {
    static aipc_report report;
    report = sound_as(c);
    CHECK_EQ(aipc_shares_check(c, &report), AIPC_OK);
    for (uint64_t i = 0; i < report.findings && i < AIPC_REPORT_ROOM; i++)
        fprintf(stderr, "  %s at %" PRIu64 ": %" PRIu64 ", expected %" PRIu64 "\n", report.finding[i].what,
                report.finding[i].offset, report.finding[i].found, report.finding[i].expected);
    CHECK_EQ(report.findings, 0);
    return report;
}
static inline aipc_report shares_sound(void) { return shares_sound_as(ctx); }
/* Nothing is left of all that was made. */
static inline void drop(void) {
    shares_sound();
    check_empty();
    fixture_drop();
}

#endif
