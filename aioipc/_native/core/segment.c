#include "segment.h"

#include <string.h>

#include "os.h"
#include "registry.h"
#include "retire.h"
#include "types.h"

enum { RETRY_NS = 1000000, PATIENCE = 1000, LARGEST_SHIFT = 47 };

/* ---- geometry ---------------------------------------------------------------------------------- */

static uint32_t nodes_for(uint64_t size) {
    uint64_t nodes = size / 2048; /* 3 % of the segment */
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
    return metadata_size(participants, nodes_for(size)) + FIRST_TABLE;
}

static void place_areas(aipc_seg *seg) {
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
    FOLD(sizeof(struct aipc_catalog)); FOLD(sizeof(struct aipc_table)); FOLD(sizeof(struct aipc_object));
    FOLD(offsetof(struct aipc_object, name)); FOLD(sizeof(struct aipc_holding));
    FOLD(sizeof(struct aipc_waits)); FOLD(sizeof(struct aipc_node)); FOLD(offsetof(struct aipc_node, got));
    FOLD(sizeof(struct aipc_lock));
    FOLD(sizeof(struct aipc_condition)); FOLD(sizeof(struct aipc_barrier));
    FOLD(sizeof(struct aipc_line)); FOLD(sizeof(struct aipc_item)); FOLD(sizeof(struct aipc_queue));
    FOLD(sizeof(struct aipc_queue_holder)); FOLD(offsetof(struct aipc_queue, out));
    FOLD(offsetof(struct aipc_queue_out, all_done));
    FOLD(sizeof(struct aipc_slot)); FOLD(sizeof(struct aipc_context));
    FOLD(sizeof(struct aipc_dict)); FOLD(sizeof(struct aipc_dict_table)); FOLD(sizeof(struct aipc_dict_entry));
    FOLD(sizeof(struct aipc_described)); FOLD(sizeof(struct aipc_stream)); FOLD(sizeof(struct aipc_vector));
    FOLD(AIPC_CONTEXTS); FOLD(AIPC_BELLS); FOLD(AIPC_ORPHANS); FOLD(AIPC_HAZARDS); FOLD(AIPC_LOG_ENTRIES);
    FOLD(AIPC_SMALL_BINS); FOLD(AIPC_BINS); FOLD(AIPC_ALIGNMENT);
    FOLD(__BYTE_ORDER__);
    return hash;
}

void aipc_seg_refresh_limit(aipc_seg *seg) {
    uint64_t size = aipc_load_acquire64(&seg->header->size); /* SYNC segment-size */
    aipc_file_info info;
    int error;
    if (size <= seg->limit || size > seg->mapped) return;
    if (aipc_os_stat_fd(seg->fd, &info, &error) == AIPC_OK && info.inode == seg->inode && info.size >= size)
        seg->limit = size;
}

/* ---- names and directories --------------------------------------------------------------------- */

void aipc_bell_directory(const uint8_t uuid[16], char *out) {
    static const char prefix[] = "/dev/shm/.aioipc-", digits[] = "0123456789abcdef";
    memcpy(out, prefix, sizeof prefix - 1);
    out += sizeof prefix - 1;
    for (int i = 0; i < 16; i++) {
        *out++ = digits[uuid[i] >> 4];
        *out++ = digits[uuid[i] & 15];
    }
    *out = '\0';
}

void aipc_segment_init(aipc_seg *seg, int fd, const char *path) {
    memset(seg, 0, sizeof *seg);
    aipc_seg_reset_descriptors(seg);
    seg->fd = fd;
    seg->bell_dir = -1;
    seg->recover = aipc_recover;
    seg->tidy = aipc_orphans_tidy;
    seg->part = aipc_type_part;
    seg->stall_ns = UINT64_C(5000000000);
    size_t length = strlen(path);
    if (length < sizeof seg->path) memcpy(seg->path, path, length + 1);
}

static aipc_status default_idle(aipc_seg *seg, const uint32_t *word, uint32_t seen) {
    (void)seg;
    aipc_os_futex_wait(word, seen, 10000000);
    return AIPC_OK;
}

static aipc_status open_bell_directory(aipc_seg *seg, uint32_t mode) {
    if (seg->bell_dir >= 0) return AIPC_OK;
    /* Who may write the segment may find its bells: x where the segment has r or w. */
    uint32_t directory_mode = mode | (mode & 0444) >> 2;
    aipc_status status = aipc_os_make_directory(seg->bell_path, directory_mode, &seg->bell_dir, &seg->error);
    aipc_file_info info;
    if (status == AIPC_OK) status = aipc_os_stat_fd(seg->bell_dir, &info, &seg->error);
    if (status == AIPC_OK) seg->bell_dir_inode = info.inode;
    return status;
}

static aipc_status path_is(const char *path, uint64_t device, uint64_t inode, int *error) {
    aipc_file_info info;
    if (path[0] == '\0') return AIPC_OK;
    aipc_status status = aipc_os_stat_path(path, &info, error);
    if (status == AIPC_OK && (info.device != device || info.inode != inode)) return AIPC_NOT_FOUND;
    return status;
}

/* ---- attaching --------------------------------------------------------------------------------- */

static aipc_status prepare_slot(aipc_seg *seg, bool dirty) {
    seg->inherited = dirty;
    if (dirty) {
        aipc_status status = aipc_recover_begin(seg, seg->slot);
        if (status != AIPC_OK) return status;
    }
    return aipc_bells_attach(seg); /* before LIVE: whoever sees the slot live can watch it */
}

static aipc_status settle_in(aipc_seg *seg) {
    aipc_ctx *ctx;
    uint32_t recovered;
    aipc_status status = aipc_ctx_enter(seg, &ctx);
    if (status != AIPC_OK) return status;
    status = aipc_recover_settle(ctx, seg->slot); /* what a dead predecessor left in our slot */
    if (status == AIPC_OK) status = aipc_recover_all(ctx, &recovered);
    aipc_ctx_leave(ctx);
    if (status != AIPC_OK) return status;
    if (seg->inherited) (void)aipc_fetch_add_seq_cst32(&seg->header->recoveries, 1);
    (void)aipc_fetch_add_seq_cst32(&seg->header->roster, 1); /* SYNC roster */
    aipc_bell_ring_all(seg);
    return AIPC_OK;
}

/* pre: no fork can come between. */
static aipc_status take_part(aipc_seg *seg) {
    int lock_fd;
    aipc_status status = aipc_os_reopen(seg->fd, seg->path, seg->device, seg->inode, &lock_fd, &seg->error);
    if (status != AIPC_OK) return status;
    status = aipc_participant_claim(seg, lock_fd, prepare_slot);
    if (status == AIPC_OK) {
        status = aipc_os_pin_description(lock_fd, &seg->liveness_page, &seg->error);
        if (status == AIPC_OK) {
            aipc_registry_add(seg);
            return AIPC_OK;
        }
        aipc_bells_detach(seg);
        seg->self = 0;
    }
    aipc_os_close(lock_fd);
    return status;
}

/* A child forked while we attach would keep our liveness lock, and with it us, alive.  When all slots are taken, one
 * may be on its way from a dead owner to free just now: it is waited for while somebody recovers it. */
static aipc_status join(aipc_seg *seg) {
    if (seg->idle == NULL) seg->idle = default_idle;
    for (int tries = 0;; tries++) {
        int error;
        bool recovering = aipc_os_test_bytes(seg->fd, AIPC_RECOVERY_BASE, AIPC_MAX_PARTICIPANTS, &error) == AIPC_AGAIN;
        aipc_os_fork_block();
        aipc_status status = take_part(seg);
        aipc_os_fork_allow();
        if (status != AIPC_NO_SLOT || !recovering || tries == PATIENCE) return status;
        uint32_t never = 0;
        aipc_os_futex_wait(&never, 0, RETRY_NS);
    }
}

static aipc_status lock_gate(aipc_seg *seg, int fd) {
    for (uint64_t waited = 0;; waited += RETRY_NS) {
        aipc_status status = aipc_os_lock_byte(fd, AIPC_GATE_BYTE, &seg->error);
        if (status != AIPC_AGAIN) return status;
        if (waited > seg->stall_ns) {
            seg->fault = (aipc_fault){.what = "the gate is held by a stopped process"};
            return AIPC_STALLED;
        }
        uint32_t never = 0;
        aipc_os_futex_wait(&never, 0, RETRY_NS); /* held for microseconds; nobody wakes us */
    }
}

static aipc_status open_gate(aipc_seg *seg, int *gate) {
    aipc_status status = aipc_os_reopen(seg->fd, seg->path, seg->device, seg->inode, gate, &seg->error);
    if (status != AIPC_OK) return status;
    status = lock_gate(seg, *gate);
    if (status != AIPC_OK) aipc_os_close(*gate);
    return status;
}

/* Closing alone would leave it locked by a child that another thread has forked meanwhile. */
static void close_gate(int gate) {
    int ignored;
    (void)aipc_os_unlock_byte(gate, AIPC_GATE_BYTE, &ignored);
    aipc_os_close(gate);
}

/* ---- create ------------------------------------------------------------------------------------ */

static aipc_status write_header(aipc_seg *seg, const aipc_create_options *options, const aipc_file_info *info) {
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
    aipc_os_boot_id(header->boot_id);
    header->created_at = aipc_os_wall_clock();
    header->creator_pid = aipc_os_pid();
    header->participants = options->participants;
    header->nodes = seg->node_count;
    header->algorithm = AIPC_BEST_FIT;
    header->flags = options->flags;
    aipc_store_release64(&header->size, options->size); /* SYNC segment-size */
    header->state = AIPC_STATE_READY;
    seg->seed = header->seed;
    return AIPC_OK;
}

static bool options_valid(const aipc_create_options *options) {
    return options->participants >= 1 && options->participants <= AIPC_MAX_PARTICIPANTS &&
           options->size % 16 == 0 && options->size >= aipc_segment_minimum(options->size, options->participants) &&
           options->max_size >= options->size && options->max_size >> LARGEST_SHIFT == 0;
}

static aipc_status map_object(aipc_seg *seg, uint64_t size, uint64_t max_size, const aipc_file_info *info) {
    void *base;
    aipc_status status = aipc_os_map(seg->fd, max_size, true, &base, &seg->error);
    if (status != AIPC_OK) return status;
    seg->base = base;
    seg->mapped = max_size;
    seg->limit = size;
    seg->device = info->device;
    seg->inode = info->inode;
    place_areas(seg);
    return AIPC_OK;
}

static aipc_status format(aipc_seg *seg, const aipc_create_options *options) {
    aipc_ctx *ctx;
    aipc_heap_format(seg, seg->heap_begin, options->size);
    aipc_bell_directory(seg->header->uuid, seg->bell_path);
    aipc_status status = open_bell_directory(seg, options->mode);
    if (status == AIPC_OK) status = join(seg);
    if (status == AIPC_OK) status = aipc_ctx_enter(seg, &ctx);
    if (status != AIPC_OK) return status;
    status = aipc_catalog_format(ctx);
    aipc_ctx_leave(ctx);
    (void)aipc_fetch_add_seq_cst32(&seg->header->roster, 1); /* SYNC roster */
    seg->header->magic = AIPC_MAGIC;
    return status;
}

/* Nobody any more: drops the liveness lock. */
static void leave_slot(aipc_seg *seg) {
    seg->self = 0;
    if (seg->liveness_page != NULL) aipc_os_unpin_description(seg->liveness_page);
    seg->liveness_page = NULL;
}

/* Lets go of everything process-private. */
static void let_go(aipc_seg *seg) {
    aipc_registry_remove(seg);
    leave_slot(seg);
    aipc_bells_close(seg);
    if (seg->bell_dir >= 0) aipc_os_close(seg->bell_dir);
    aipc_file_info info;
    int error;
    /* Without a mapping nobody knows what it is, but then it was handed to us a moment ago. */
    if (seg->base == NULL || (aipc_os_stat_fd(seg->fd, &info, &error) == AIPC_OK && info.inode == seg->inode &&
                              info.device == seg->device))
        aipc_os_close(seg->fd);
    if (seg->base != NULL) aipc_os_unmap(seg->base, seg->mapped);
    seg->bell_dir = seg->fd = -1;
    seg->base = NULL;
}

static aipc_status let_go_unless(aipc_seg *seg, aipc_status status) {
    if (status != AIPC_OK) let_go(seg);
    return status;
}

aipc_status aipc_segment_create(aipc_seg *seg, const aipc_create_options *options) {
    aipc_file_info info;
    aipc_status status = options_valid(options) ? AIPC_OK : AIPC_INVALID;
    if (status == AIPC_OK) status = aipc_os_stat_fd(seg->fd, &info, &seg->error);
    if (status == AIPC_OK) status = aipc_os_reserve(seg->fd, 0, options->size, &seg->error);
    if (status == AIPC_OK) {
        seg->participants = options->participants;
        seg->node_count = nodes_for(options->size);
        status = map_object(seg, options->size, options->max_size, &info);
    }
    if (status == AIPC_OK) status = write_header(seg, options, &info);
    if (status == AIPC_OK) status = format(seg, options);
    if (status != AIPC_OK && seg->bell_dir >= 0) {
        int ignored;
        aipc_bells_detach(seg);
        (void)aipc_os_remove_directory(seg->bell_path, &ignored);
    }
    return let_go_unless(seg, status);
}

/* ---- open -------------------------------------------------------------------------------------- */

static aipc_status mismatch(aipc_fault *fault, aipc_status status, const char *what, size_t offset,
                            uint64_t found, uint64_t expected) {
    *fault = (aipc_fault){.what = what, .offset = offset, .found = found, .expected = expected};
    return status;
}

#define AT(field) offsetof(struct aipc_header, field)

/* Is this a segment that this build understands, whole, and the original rather than a copy? */
static aipc_status validate(const struct aipc_header *h, const aipc_file_info *info, aipc_fault *fault) {
    if (h->magic != AIPC_MAGIC)
        return mismatch(fault, AIPC_INCOMPATIBLE, "magic: not an aioipc segment", AT(magic), h->magic, AIPC_MAGIC);
    if (h->version != AIPC_FORMAT_VERSION)
        return mismatch(fault, AIPC_INCOMPATIBLE, "format version", AT(version), h->version, AIPC_FORMAT_VERSION);
    if (h->header_size != sizeof *h || h->layout_hash != layout_hash())
        return mismatch(fault, AIPC_INCOMPATIBLE, "layout hash", AT(layout_hash), h->layout_hash, layout_hash());
    if (h->algorithm != AIPC_BEST_FIT)
        return mismatch(fault, AIPC_INCOMPATIBLE, "algorithm", AT(algorithm), h->algorithm, AIPC_BEST_FIT);
    if (h->device != info->device || h->inode != info->inode)
        return mismatch(fault, AIPC_INCOMPATIBLE, "inode: a copy of a segment, not the segment", AT(inode), info->inode,
                        h->inode);
    if (h->size > info->size)
        return mismatch(fault, AIPC_CORRUPT, "size: the object was truncated", AT(size), info->size, h->size);
    if (h->max_size < h->size || h->max_size >> LARGEST_SHIFT != 0)
        return mismatch(fault, AIPC_CORRUPT, "max_size", AT(max_size), h->max_size, h->size);
    if (h->participants < 1 || h->participants > AIPC_MAX_PARTICIPANTS)
        return mismatch(fault, AIPC_CORRUPT, "participants", AT(participants), h->participants, AIPC_MAX_PARTICIPANTS);
    if (h->nodes > AIPC_MAX_NODES || metadata_size(h->participants, h->nodes) + 2 * AIPC_BLOCK_MIN > h->size)
        return mismatch(fault, AIPC_CORRUPT, "nodes", AT(nodes), h->nodes, AIPC_MAX_NODES);
    return AIPC_OK;
}

/* A private copy of the header: what is validated is what is used. */
static aipc_status read_header(int fd, struct aipc_header *copy, aipc_file_info *info, aipc_fault *fault,
                               int *error) {
    void *page;
    aipc_status status = aipc_os_stat_fd(fd, info, error);
    if (status != AIPC_OK) return status;
    if (!info->regular || info->size < sizeof *copy)
        return mismatch(fault, AIPC_INCOMPATIBLE, "too small to be an aioipc segment", 0, info->size, sizeof *copy);
    status = aipc_os_map(fd, sizeof *copy, false, &page, error);
    if (status != AIPC_OK) return status;
    memcpy(copy, page, sizeof *copy);
    aipc_os_unmap(page, sizeof *copy);
    return AIPC_OK;
}

static bool nobody(int fd, int *error) {
    return aipc_os_test_bytes(fd, AIPC_LIVENESS_BASE, AIPC_MAX_PARTICIPANTS, error) == AIPC_OK;
}

/* Under the gate, when nobody is attached: the last one out switches off the light.  The name goes last: as long as
 * it is there, whoever looks finishes what a killed one began. */
static void finish_off(aipc_seg *seg) {
    int ignored;
    aipc_store_release32(&seg->header->state, AIPC_STATE_DEAD);
    (void)aipc_os_remove_directory(seg->bell_path, &ignored);
    if (seg->path[0] != '\0' && path_is(seg->path, seg->device, seg->inode, &ignored) == AIPC_OK)
        aipc_os_unlink(seg->path);
}

/* Under the gate: is it still there to be joined?  A last_detach segment that nobody has is finished off.
 * A forked child joins by descent, whatever became of the name. */
static aipc_status still_open(aipc_seg *seg, int gate) {
    aipc_status status = seg->forked ? AIPC_OK : path_is(seg->path, seg->device, seg->inode, &seg->error);
    if (status == AIPC_NOT_FOUND) return AIPC_GONE;
    if (status != AIPC_OK) return status;
    if ((seg->header->flags & AIPC_FLAG_LAST_DETACH) != 0 && nobody(gate, &seg->error)) finish_off(seg);
    return aipc_load_acquire32(&seg->header->state) == AIPC_STATE_READY ? AIPC_OK : AIPC_GONE;
}

/* The gate stays locked until the slot is ours. */
static aipc_status join_through_gate(aipc_seg *seg, uint32_t mode) {
    int gate;
    aipc_status status = open_gate(seg, &gate);
    if (status != AIPC_OK) return status;
    status = still_open(seg, gate);
    if (status == AIPC_OK) status = open_bell_directory(seg, mode);
    if (status == AIPC_OK) status = join(seg);
    close_gate(gate);
    return status;
}

aipc_status aipc_segment_open(aipc_seg *seg) {
    struct aipc_header copy;
    aipc_file_info info;
    aipc_status status = read_header(seg->fd, &copy, &info, &seg->fault, &seg->error);
    if (status == AIPC_OK) status = validate(&copy, &info, &seg->fault);
    if (status == AIPC_OK) {
        seg->participants = copy.participants;
        seg->node_count = copy.nodes;
        seg->seed = copy.seed;
        status = map_object(seg, copy.size, copy.max_size, &info);
    }
    if (status == AIPC_OK) {
        aipc_bell_directory(copy.uuid, seg->bell_path);
        status = join_through_gate(seg, info.mode);
    }
    if (status == AIPC_OK) {
        status = settle_in(seg);
        if (status != AIPC_OK) aipc_bells_detach(seg);
    }
    return let_go_unless(seg, status);
}

aipc_status aipc_segment_reattach(aipc_seg *seg) {
    if (seg->base == NULL) return AIPC_CLOSED;
    if (seg->self != 0) return AIPC_OK;
    aipc_status status = join_through_gate(seg, 0700);
    if (status != AIPC_OK) return status;
    status = settle_in(seg);
    if (status != AIPC_OK) { /* back to nobody; somebody else recovers what is in the slot */
        aipc_bells_detach(seg);
        leave_slot(seg);
        seg->forked = 1;
    }
    return status;
}

/* ---- leaving ----------------------------------------------------------------------------------- */

/* Under the gate we stop being attached, and look whether anybody else is: of many who leave at once one is last. */
static void leave(aipc_seg *seg, bool settled) {
    int gate;
    bool gated = open_gate(seg, &gate) == AIPC_OK;
    if (settled) aipc_participant_end(seg, seg->slot);
    leave_slot(seg);
    bool going = (seg->header->flags & AIPC_FLAG_LAST_DETACH) != 0 ||
                 aipc_load_acquire32(&seg->header->unlinked) != 0;
    if (gated && going && nobody(gate, &seg->error)) finish_off(seg);
    if (gated) close_gate(gate);
    if (!settled) return;
    /* Locks we still held are abandoned now: whoever waits for them must look. */
    (void)aipc_fetch_add_seq_cst32(&seg->header->recoveries, 1);
    aipc_bell_ring_all(seg);
}

aipc_status aipc_segment_detach(aipc_seg *seg) {
    aipc_status status = AIPC_OK;
    aipc_ctx *ctx;
    if (seg->base == NULL) return AIPC_OK;
    if (seg->self != 0) {
        status = aipc_ctx_enter(seg, &ctx);
        if (status == AIPC_OK) {
            status = aipc_recover_settle(ctx, seg->slot);
            aipc_ctx_leave(ctx);
        }
        aipc_value_unpin_all(seg, seg->slot);
        aipc_bells_remove(seg, seg->slot);
        leave(seg, status == AIPC_OK);
    }
    let_go(seg);
    return status;
}

/* Takes away the name, and the bells when nobody is attached.  Again the name goes last. */
static aipc_status remove_locked(int gate, const char *path, const uint8_t uuid[16], int *error) {
    void *page;
    aipc_status status = aipc_os_map(gate, sizeof(struct aipc_header), true, &page, error);
    if (status != AIPC_OK) return status;
    char bells[96];
    int ignored;
    aipc_store_release32(&((struct aipc_header *)page)->unlinked, 1);
    aipc_os_unmap(page, sizeof(struct aipc_header));
    aipc_bell_directory(uuid, bells);
    if (nobody(gate, error)) (void)aipc_os_remove_directory(bells, &ignored);
    aipc_os_unlink(path);
    return AIPC_OK;
}

aipc_status aipc_segment_remove(int fd, const char *path, int *error) {
    aipc_seg seg; /* no mapping, no slot: only what the gate needs */
    struct aipc_header copy;
    aipc_file_info info;
    aipc_segment_init(&seg, fd, path);
    aipc_status status = read_header(fd, &copy, &info, &seg.fault, error);
    if (status == AIPC_OK && copy.magic != AIPC_MAGIC) status = AIPC_INCOMPATIBLE;
    if (status != AIPC_OK) return status;
    int gate;
    seg.device = info.device;
    seg.inode = info.inode;
    status = open_gate(&seg, &gate);
    *error = seg.error;
    if (status != AIPC_OK) return status;
    status = path_is(path, info.device, info.inode, error);
    if (status == AIPC_OK) status = remove_locked(gate, path, copy.uuid, error);
    close_gate(gate);
    return status;
}

/* ---- looking ----------------------------------------------------------------------------------- */

aipc_status aipc_segment_peek(int fd, const char *path, aipc_segment_info *info, aipc_fault *fault, int *error) {
    struct aipc_header copy;
    aipc_file_info file;
    aipc_status status = read_header(fd, &copy, &file, fault, error);
    if (status == AIPC_OK) status = validate(&copy, &file, fault);
    if (status != AIPC_OK) return status;
    bool alive = aipc_os_test_bytes(fd, AIPC_LIVENESS_BASE, AIPC_MAX_PARTICIPANTS, error) == AIPC_AGAIN;
    *info = (aipc_segment_info){
        .size = copy.size, .max_size = copy.max_size, .created_at = copy.created_at,
        .creator_pid = copy.creator_pid, .participants = copy.participants, .flags = copy.flags,
        .state = copy.state, .unlinked = copy.unlinked, .alive = alive, .uid = file.uid, .mode = file.mode};
    memcpy(info->uuid, copy.uuid, sizeof info->uuid);
    if (!alive && ((copy.flags & AIPC_FLAG_LAST_DETACH) != 0 || copy.state == AIPC_STATE_DEAD)) {
        (void)aipc_segment_remove(fd, path, error);
        return AIPC_GONE;
    }
    return AIPC_OK;
}
