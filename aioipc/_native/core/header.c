#include "header.h"

#include <string.h>

enum { LARGEST_SHIFT = 47 };

/* ---- geometry ---------------------------------------------------------------------------------- */

uint32_t aipc_nodes_for(uint64_t size) {
    uint64_t nodes = size / 4096 * 2; /* 3 % of the segment; even: they are 72 bytes, and the heap begins behind them */
    return nodes < 64 ? 64 : nodes > AIPC_MAX_NODES ? AIPC_MAX_NODES : (uint32_t)nodes;
}

static uint64_t metadata_size(uint32_t participants, uint32_t nodes) {
    return sizeof(struct aipc_header) + sizeof(struct aipc_heap) + sizeof(struct aipc_catalog) +
           sizeof(struct aipc_waits) + (uint64_t)participants * sizeof(struct aipc_slot) +
           (uint64_t)participants * AIPC_CONTEXTS * sizeof(struct aipc_context) +
           (uint64_t)nodes * sizeof(struct aipc_node);
}

uint64_t aipc_segment_minimum(uint64_t size, uint32_t participants) {
    enum { FIRST_TABLE = 512 };
    return metadata_size(participants, aipc_nodes_for(size)) + FIRST_TABLE;
}

void aipc_place_areas(aipc_seg *seg) {
    uint8_t *p = seg->base;
    seg->header = (struct aipc_header *)p;
    seg->heap = (struct aipc_heap *)(p += sizeof *seg->header);
    seg->catalog = (struct aipc_catalog *)(p += sizeof *seg->heap);
    seg->waits = (struct aipc_waits *)(p += sizeof *seg->catalog);
    seg->slots = (struct aipc_slot *)(p += sizeof *seg->waits);
    seg->contexts = (struct aipc_context *)(p += seg->participants * sizeof *seg->slots);
    p += (size_t)seg->participants * AIPC_CONTEXTS * sizeof *seg->contexts;
    seg->nodes = (struct aipc_node *)p;
    p += seg->node_count * sizeof *seg->nodes;
    seg->heap_begin = aipc_offset(seg, p) + 8; /* headers lie at 8 (mod 16), payloads at 0 */
}

#define FOLD(value) hash = (hash ^ (uint64_t)(value)) * UINT64_C(0x100000001b3)
static uint64_t layout_hash(void) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    FOLD(sizeof(struct aipc_header)); FOLD(offsetof(struct aipc_header, size));
    FOLD(sizeof(struct aipc_domain)); FOLD(sizeof(struct aipc_heap)); FOLD(offsetof(struct aipc_heap, bins));
    FOLD(sizeof(struct aipc_catalog)); FOLD(offsetof(struct aipc_catalog, turn)); FOLD(AIPC_LEVELS);
    FOLD(offsetof(struct aipc_slot, registrations)); FOLD(sizeof(struct aipc_table)); FOLD(sizeof(struct aipc_object));
    FOLD(offsetof(struct aipc_heap, hole_first)); FOLD(sizeof(struct aipc_hole)); FOLD(AIPC_HOLE_PAGE);
    FOLD(offsetof(struct aipc_object, name)); FOLD(offsetof(struct aipc_object, shares)); FOLD(sizeof(struct aipc_holding));
    FOLD(sizeof(struct aipc_waits)); FOLD(sizeof(struct aipc_node)); FOLD(offsetof(struct aipc_node, got));
    FOLD(sizeof(struct aipc_lock));
    FOLD(sizeof(struct aipc_condition)); FOLD(sizeof(struct aipc_barrier));
    FOLD(sizeof(struct aipc_line)); FOLD(sizeof(struct aipc_item)); FOLD(sizeof(struct aipc_queue));
    FOLD(sizeof(struct aipc_queue_holder)); FOLD(offsetof(struct aipc_queue, out));
    FOLD(offsetof(struct aipc_queue_out, all_done));
    FOLD(sizeof(struct aipc_slot)); FOLD(sizeof(struct aipc_context));
    FOLD(sizeof(struct aipc_dict)); FOLD(sizeof(struct aipc_dict_table)); FOLD(sizeof(struct aipc_dict_entry));
    FOLD(sizeof(struct aipc_described)); FOLD(sizeof(struct aipc_stream)); FOLD(sizeof(struct aipc_vector));
    FOLD(sizeof(struct aipc_pool)); FOLD(sizeof(struct aipc_pool_chunk));
    FOLD(AIPC_CONTEXTS); FOLD(AIPC_BELLS); FOLD(AIPC_ORPHANS); FOLD(AIPC_HAZARDS); FOLD(AIPC_LOG_ENTRIES);
    FOLD(AIPC_SMALL_BINS); FOLD(AIPC_BINS); FOLD(AIPC_ALIGNMENT);
    FOLD(__BYTE_ORDER__);
    return hash;
}

/* ---- writing ----------------------------------------------------------------------------------- */

aipc_status aipc_header_write(aipc_seg *seg, const aipc_create_options *options, const aipc_file_info *info) {
    struct aipc_header *header = seg->header;
    aipc_status status = aipc_os_random(header->uuid, sizeof header->uuid, &seg->error);
    if (status == AIPC_OK) status = aipc_os_random(&header->seed, sizeof header->seed, &seg->error);
    if (status != AIPC_OK) return status;
    header->version = AIPC_FORMAT_VERSION;
    header->header_size = sizeof *header;
    header->layout_hash = layout_hash();
    header->max_size = options->max_size;
    header->device = info->device;
    header->inode = info->inode;
    header->born = info->born;
    aipc_os_boot_id(header->boot_id);
    header->created_at = aipc_os_wall_clock();
    header->creator_pid = aipc_os_pid();
    header->participants = options->participants;
    header->nodes = seg->node_count;
    header->algorithm = seg->algorithm;
    header->flags = options->flags;
    aipc_store_release64(&header->size, options->size); /* SYNC segment-size */
    header->state = AIPC_STATE_READY;
    seg->seed = header->seed;
    seg->ordered = (options->flags & AIPC_FLAG_ORDERED) != 0;
    return AIPC_OK;
}

bool aipc_size_possible(uint64_t size) { return size >> LARGEST_SHIFT == 0; }

bool aipc_options_valid(const aipc_create_options *options) {
    return options->participants >= 1 && options->participants <= AIPC_MAX_PARTICIPANTS &&
           options->size % 16 == 0 && options->size >= aipc_segment_minimum(options->size, options->participants) &&
           options->max_size >= options->size && aipc_size_possible(options->max_size) &&
           options->algorithm <= AIPC_SEQ_FIT;
}

/* ---- reading ----------------------------------------------------------------------------------- */

static aipc_status mismatch(aipc_fault *fault, aipc_status status, const char *what, size_t offset,
                            uint64_t found, uint64_t expected) {
    *fault = (aipc_fault){.what = what, .offset = offset, .found = found, .expected = expected};
    return status;
}

#define AT(field) offsetof(struct aipc_header, field)

aipc_status aipc_header_validate(const struct aipc_header *h, const aipc_file_info *info, aipc_fault *fault) {
    if (h->magic != AIPC_MAGIC)
        return mismatch(fault, AIPC_INCOMPATIBLE, "magic: not an aioipc segment", AT(magic), h->magic, AIPC_MAGIC);
    if (h->version != AIPC_FORMAT_VERSION)
        return mismatch(fault, AIPC_INCOMPATIBLE, "format version", AT(version), h->version, AIPC_FORMAT_VERSION);
    if (h->header_size != sizeof *h || h->layout_hash != layout_hash())
        return mismatch(fault, AIPC_INCOMPATIBLE, "layout hash", AT(layout_hash), h->layout_hash, layout_hash());
    if (h->algorithm < AIPC_BEST_FIT || h->algorithm > AIPC_SEQ_FIT)
        return mismatch(fault, AIPC_INCOMPATIBLE, "algorithm", AT(algorithm), h->algorithm, AIPC_BEST_FIT);
    if (h->size > info->size)
        return mismatch(fault, AIPC_CORRUPT, "size: the object was truncated", AT(size), info->size, h->size);
    if (h->max_size < h->size || !aipc_size_possible(h->max_size))
        return mismatch(fault, AIPC_CORRUPT, "max_size", AT(max_size), h->max_size, h->size);
    if (h->participants < 1 || h->participants > AIPC_MAX_PARTICIPANTS)
        return mismatch(fault, AIPC_CORRUPT, "participants", AT(participants), h->participants, AIPC_MAX_PARTICIPANTS);
    if (h->nodes > AIPC_MAX_NODES || h->nodes % 2 != 0 || metadata_size(h->participants, h->nodes) + 2 * AIPC_BLOCK_MIN > h->size)
        return mismatch(fault, AIPC_CORRUPT, "nodes", AT(nodes), h->nodes, AIPC_MAX_NODES);
    /* Whoever finds it dead opens it by name again: only one that goes with its last user gives that an end. */
    if (h->state != AIPC_STATE_READY && (h->state != AIPC_STATE_DEAD || (h->flags & AIPC_FLAG_LAST_DETACH) == 0))
        return mismatch(fault, AIPC_CORRUPT, "state", AT(state), h->state, AIPC_STATE_READY);
    return AIPC_OK;
}

bool aipc_header_on(const struct aipc_header *h, const aipc_object_id *id) {
    return h->device == id->device && h->inode == id->inode && (h->born == id->born || h->born == 0 || id->born == 0);
}
static bool stands_on(const struct aipc_header *h, const aipc_object_id *id, uint64_t flip) {
    uint64_t boot[2];
    aipc_os_boot_id(boot);
    return aipc_header_on(h, id) && h->boot_id[0] == (boot[0] ^ flip) && h->boot_id[1] == (boot[1] ^ flip);
}
bool aipc_header_original(const struct aipc_header *h, const aipc_object_id *id) { return stands_on(h, id, 0); }
bool aipc_header_adopting(const struct aipc_header *h, const aipc_object_id *id) { return stands_on(h, id, UINT64_MAX); }

static aipc_status too_small(uint64_t size, aipc_fault *fault) {
    return mismatch(fault, AIPC_INCOMPATIBLE, "too small to be an aioipc segment", 0, size, sizeof(struct aipc_header));
}

aipc_status aipc_header_read_lent(aipc_seg *seg, struct aipc_header *copy, aipc_file_info *info) {
    aipc_status status = aipc_os_identify(seg->fd, info, &seg->error);
    if (status != AIPC_OK) return status;
    info->size = seg->mapped;
    if (info->size < sizeof *copy) return too_small(info->size, &seg->fault);
    memcpy(copy, seg->base, sizeof *copy);
    return AIPC_OK;
}

aipc_status aipc_header_read(int fd, struct aipc_header *copy, aipc_file_info *info, aipc_fault *fault, int *error) {
    void *page;
    aipc_status status = aipc_os_identify(fd, info, error);
    if (status != AIPC_OK) return status;
    if (!info->regular || info->size < sizeof *copy)
        return too_small(info->size, fault);
    status = aipc_os_map(fd, sizeof *copy, false, &page, error);
    if (status != AIPC_OK) return status;
    memcpy(copy, page, sizeof *copy);
    aipc_os_unmap(page, sizeof *copy);
    aipc_file_info now; /* it may have grown since, before the header said so */
    status = aipc_os_stat_fd(fd, &now, error);
    if (status == AIPC_OK) info->size = now.size;
    return status;
}
