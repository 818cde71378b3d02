#include "where.h"

#include "names.h"

static bool within(uint64_t offset, uint64_t begin, uint64_t size) { return offset >= begin && offset - begin < size; }

/* The fixed areas, in any order. */
static aipc_where fixed(const aipc_seg *seg, uint64_t offset) {
    uint64_t slots = aipc_offset(seg, seg->slots), contexts = aipc_offset(seg, seg->contexts), nodes = aipc_offset(seg, seg->nodes);
    aipc_where found = {.area = ""};
    if (within(offset, 0, sizeof(struct aipc_header))) {
        found.area = "header";
    } else if (within(offset, aipc_offset(seg, seg->heap), sizeof(struct aipc_heap))) {
        found.area = "heap";
    } else if (within(offset, aipc_offset(seg, seg->catalog), sizeof(struct aipc_catalog))) {
        found.area = "catalog";
    } else if (within(offset, aipc_offset(seg, seg->waits), sizeof(struct aipc_waits))) {
        found.area = "waits";
    } else if (within(offset, slots, seg->participants * sizeof(struct aipc_slot))) {
        found.area = "slot";
        found.index = (offset - slots) / sizeof(struct aipc_slot);
    } else if (within(offset, contexts, seg->participants * AIPC_CONTEXTS * sizeof(struct aipc_context))) {
        found.area = "context";
        found.index = (offset - contexts) / sizeof(struct aipc_context) / AIPC_CONTEXTS;
    } else if (within(offset, nodes, seg->node_count * sizeof(struct aipc_node))) {
        found.area = "node";
        found.index = (offset - nodes) / sizeof(struct aipc_node);
    }
    return found;
}

typedef struct search {
    aipc_seg *seg;
    const uint64_t *offsets;
    aipc_where *found;
    uint32_t count;
} search;

static void is_in(const search *s, aipc_where *found, const aipc_block_info *block) {
    aipc_object_ref ref;
    found->area = "block";
    if ((block->flags & (AIPC_PART | AIPC_USED)) != (AIPC_INTERNAL | AIPC_USED)) return;
    const struct aipc_object *object = aipc_object_read(s->seg, block->payload, &ref);
    if (object == NULL || !aipc_object_hash_right(s->seg, object)) return;
    found->object = ref.object;
    found->serial = ref.serial;
}

static bool pass(void *arg, const aipc_block_info *block) {
    const search *s = arg;
    for (uint32_t i = 0; i < s->count; i++) {
        aipc_where *found = &s->found[i];
        uint64_t begin = block->payload - AIPC_BLOCK_OVERHEAD;
        if (found->area[0] != '\0' || begin > s->offsets[i]) continue;
        found->block = block->payload;
        found->size = block->size - AIPC_BLOCK_OVERHEAD;
        found->flags = block->flags;
        if (within(s->offsets[i], begin, block->size)) is_in(s, found, block);
    }
    return true;
}

void aipc_where_list(aipc_seg *seg, const uint64_t *offsets, aipc_where *found, uint32_t count) {
    search s = {.seg = seg, .offsets = offsets, .found = found, .count = count};
    aipc_fault fault = seg->fault;
    for (uint32_t i = 0; i < count; i++) found[i] = fixed(seg, offsets[i]);
    (void)aipc_heap_walk_held(seg, pass, &s); /* without the lock: a walk that others lead astray ends at a wrong tag */
    seg->fault = fault;
}
