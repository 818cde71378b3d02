#include "order.h"

typedef struct node {
    const struct aipc_object *object; /* NULL: what all levels begin with */
    uint64_t *tower;
    uint32_t name_size, levels;
    uint64_t serial;
} node;

typedef struct goal {
    const char *name;
    uint32_t name_size;
    uint64_t serial; /* of several with that name */
} goal;

static node beginning(aipc_seg *seg) { return (node){.tower = seg->catalog->first, .levels = AIPC_LEVELS}; }

static aipc_status node_at(aipc_seg *seg, const uint64_t *link, uint32_t level, node *found) {
    uint64_t offset = aipc_load_relaxed64(link);
    aipc_object_ref ref;
    const struct aipc_object *object = aipc_object_read(seg, offset, &ref);
    if (object == NULL || ref.kind != AIPC_NAMED) return aipc_corrupt(seg, "O3 link to no named object", link, offset, 0);
    *found = (node){.object = object, .name_size = aipc_label_of(object).name_size & AIPC_NAME_MAX, .serial = ref.serial,
                    .levels = aipc_object_levels(seg, ref.kind, ref.hash)};
    if (level >= found->levels) return aipc_corrupt(seg, "O2 link of a level", link, level, found->levels);
    found->tower = (uint64_t *)(void *)(seg->base + offset + aipc_object_tower(found->name_size));
    return AIPC_OK;
}

static int compare(const node *n, const goal *g) {
    int order = aipc_name_compare(n->object->name, n->name_size, g->name, g->name_size);
    return order != 0 ? order : (n->serial > g->serial) - (n->serial < g->serial);
}

/* The next one in this level; its `object` is NULL at the end. */
static aipc_status step(aipc_seg *seg, const node *from, uint32_t level, node *to) {
    const uint64_t *link = &from->tower[level];
    to->object = NULL;
    if (aipc_load_relaxed64(link) == 0) return AIPC_OK;
    aipc_status status = node_at(seg, link, level, to);
    if (status != AIPC_OK || from->object == NULL) return status;
    const goal before = {from->object->name, from->name_size, from->serial};
    return compare(to, &before) > 0 ? AIPC_OK : aipc_corrupt(seg, "O1 order of names", link, to->serial, from->serial);
}

/* The links that lead from what is less than the goal to what is not. */
static aipc_status descend(aipc_seg *seg, const goal *g, uint64_t *links[AIPC_LEVELS]) {
    node here = beginning(seg), next;
    uint64_t beyond = 0; /* known not to be less: not looked at again in the levels below */
    for (uint32_t level = AIPC_LEVELS; level-- > 0;) {
        for (;;) {
            uint64_t offset = aipc_load_relaxed64(&here.tower[level]);
            if (level > 0) aipc_object_fetch(seg, aipc_load_relaxed64(&here.tower[level - 1])); /* what comes next, likely */
            if (offset == beyond) break; /* the end as well, at first */
            aipc_status status = step(seg, &here, level, &next);
            if (status != AIPC_OK) return status;
            if (next.object == NULL) break;
            if (compare(&next, g) >= 0) {
                beyond = offset;
                break;
            }
            here = next;
        }
        links[level] = &here.tower[level];
    }
    return AIPC_OK;
}

/* An object of ours, or of the table. */
static aipc_status own_node(aipc_seg *seg, uint64_t object, node *own, goal *g) {
    const uint64_t link = object;
    aipc_status status = node_at(seg, &link, 0, own);
    if (status != AIPC_OK) return aipc_corrupt(seg, "O3 no named object", seg->catalog, object, 0);
    *g = (goal){own->object->name, own->name_size, own->serial};
    return AIPC_OK;
}

static bool is_ordered(aipc_seg *seg, uint64_t object) {
    return seg->ordered && aipc_label_of((const struct aipc_object *)(const void *)(seg->base + object)).kind == AIPC_NAMED;
}

aipc_status aipc_order_link(aipc_tx *tx, uint64_t object) {
    node own;
    goal g;
    uint64_t *links[AIPC_LEVELS];
    if (!is_ordered(tx->seg, object)) return AIPC_OK;
    aipc_status status = own_node(tx->seg, object, &own, &g);
    if (status == AIPC_OK) status = descend(tx->seg, &g, links);
    for (uint32_t level = 0; status == AIPC_OK && level < own.levels; level++) {
        aipc_store_relaxed64(&own.tower[level], aipc_load_relaxed64(links[level])); /* nobody's yet: needs no log */
        aipc_tx_set(tx, links[level], object);
    }
    return status;
}

aipc_status aipc_order_unlink(aipc_tx *tx, uint64_t object) {
    node own;
    goal g;
    uint64_t *links[AIPC_LEVELS];
    if (!is_ordered(tx->seg, object)) return AIPC_OK;
    aipc_status status = own_node(tx->seg, object, &own, &g);
    if (status == AIPC_OK) status = descend(tx->seg, &g, links);
    for (uint32_t level = 0; status == AIPC_OK && level < own.levels; level++) {
        uint64_t there = aipc_load_relaxed64(links[level]);
        if (there != object) return aipc_corrupt(tx->seg, "O2 object is not in its level", links[level], there, object);
        aipc_tx_set(tx, links[level], aipc_load_relaxed64(&own.tower[level]));
    }
    return status;
}

aipc_status aipc_order_seek(aipc_seg *seg, const char *name, uint32_t name_size, uint64_t *object) {
    const goal g = {name, name_size, 0};
    uint64_t *links[AIPC_LEVELS];
    aipc_status status = descend(seg, &g, links);
    if (status == AIPC_OK) *object = aipc_load_relaxed64(links[0]);
    return status;
}

aipc_status aipc_order_next(aipc_seg *seg, uint64_t object, uint64_t *next) {
    node own, then;
    goal g;
    aipc_status status = own_node(seg, object, &own, &g);
    if (status == AIPC_OK) status = step(seg, &own, 0, &then);
    if (status == AIPC_OK) *next = aipc_load_relaxed64(&own.tower[0]);
    return status;
}

/* ---- the check ---------------------------------------------------------------------------------- */

/* Walks level 0.  Where it meets an object, that is the next one in each of its levels; so all levels are seen to be parts
 * of this one. */
void aipc_order_check(aipc_seg *seg, aipc_report *report, uint64_t named) {
    uint64_t *ahead[AIPC_LEVELS], count = 0, offset;
    node here = beginning(seg), next;
    for (uint32_t level = 0; level < AIPC_LEVELS; level++) ahead[level] = &seg->catalog->first[level];
    while ((offset = aipc_load_relaxed64(&here.tower[0])) != 0) {
        if (step(seg, &here, 0, &next) != AIPC_OK || !aipc_object_hash_right(seg, next.object)) {
            aipc_report_add(report, "O1 order of names", aipc_offset(seg, here.tower), offset, 0);
            return;
        }
        for (uint32_t level = 0; level < next.levels; level++) {
            uint64_t there = aipc_load_relaxed64(ahead[level]);
            if (there != offset)
                aipc_report_add(report, "O2 object is not in its level", aipc_offset(seg, ahead[level]), there, offset);
            ahead[level] = &next.tower[level];
        }
        here = next;
        count += aipc_state_of(here.object) != AIPC_OBJECT_DESTROYED;
    }
    for (uint32_t level = 0; level < AIPC_LEVELS; level++)
        if (aipc_load_relaxed64(ahead[level]) != 0)
            aipc_report_add(report, "O2 end of a level", aipc_offset(seg, ahead[level]), aipc_load_relaxed64(ahead[level]), 0);
    if (count != named) aipc_report_add(report, "O3 names in order", aipc_offset(seg, seg->catalog->first), count, named);
}
