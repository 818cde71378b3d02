#include "segment.h"

#include <string.h>

#include "registry.h"
#include "retire.h"
#include "types.h"

enum { RETRY_NS = 1000000, PATIENCE = 1000 };

void aipc_seg_refresh_limit(aipc_seg *seg) {
    uint64_t size = aipc_load_acquire64(&seg->header->size); /* SYNC segment-size */
    if (size % 16 != 0 || size <= aipc_limit(seg) || size > seg->mapped) return;
    /* Not by the descriptor: a daemonizer may have closed it. */
    if (aipc_os_readable(seg->base + size - 8)) aipc_private_store64(&seg->limit, size);
}

/* ---- names and directories --------------------------------------------------------------------- */

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

void aipc_segment_lend(aipc_seg *seg, void *memory, uint64_t size, bool solitary) {
    seg->base = memory;
    seg->mapped = size;
    seg->lent = true;
    seg->solitary = solitary;
}

static aipc_status default_idle(aipc_seg *seg, const uint32_t *word, uint32_t seen) {
    (void)seg;
    aipc_os_futex_wait(word, seen, 10000000);
    return AIPC_OK;
}

/* The last one out removed the directory that a forked child has inherited. */
static bool bell_directory_open(aipc_seg *seg) {
    aipc_file_info held, named;
    int ignored;
    if (seg->bell_dir < 0 || aipc_os_stat_fd(seg->bell_dir, &held, &ignored) != AIPC_OK ||
        held.inode != seg->bell_dir_inode)
        return false;
    if (aipc_os_stat_path(seg->bell_path, &named, &ignored) == AIPC_OK && named.inode == held.inode) return true;
    aipc_os_close(seg->bell_dir);
    return false;
}

static aipc_status open_bell_directory(aipc_seg *seg, uint32_t mode) {
    if (seg->solitary || bell_directory_open(seg)) return AIPC_OK;
    /* Who may write the segment may find its bells: x where the segment has r or w. */
    uint32_t directory_mode = mode | (mode & 0444) >> 2;
    aipc_status status = aipc_os_make_directory(seg->bell_path, directory_mode, &seg->bell_dir, &seg->error);
    aipc_file_info info;
    if (status == AIPC_OK) status = aipc_os_stat_fd(seg->bell_dir, &info, &seg->error);
    if (status == AIPC_OK) seg->bell_dir_inode = info.inode;
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

/* ---- create ------------------------------------------------------------------------------------ */

static aipc_status map_object(aipc_seg *seg, uint64_t size, uint64_t max_size, const aipc_file_info *info) {
    void *base;
    aipc_status status = AIPC_OK;
    if (!seg->lent) {
        status = aipc_os_map(seg->fd, max_size, true, &base, &seg->error);
        if (status != AIPC_OK) return status;
        seg->base = base;
        seg->mapped = max_size;
    }
    seg->limit = size;
    seg->device = info->device;
    seg->inode = info->inode;
    seg->born = info->born;
    aipc_place_areas(seg);
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
    /* Without a place nobody knows what it is, but then it was handed to us a moment ago. */
    if (seg->header == NULL || (aipc_os_stat_fd(seg->fd, &info, &error) == AIPC_OK && info.inode == seg->inode &&
                              info.device == seg->device))
        aipc_os_close(seg->fd);
    if (seg->base != NULL && !seg->lent) aipc_os_unmap(seg->base, seg->mapped);
    seg->bell_dir = seg->fd = -1;
    seg->base = NULL;
}

static aipc_status let_go_unless(aipc_seg *seg, aipc_status status) {
    if (status != AIPC_OK) let_go(seg);
    return status;
}

aipc_status aipc_segment_create(aipc_seg *seg, const aipc_create_options *options) {
    aipc_file_info info;
    bool fits = !seg->lent || options->max_size == seg->mapped;
    aipc_status status = aipc_options_valid(options) && fits ? AIPC_OK : AIPC_INVALID;
    if (status == AIPC_OK) status = aipc_os_identify(seg->fd, &info, &seg->error);
    if (status == AIPC_OK && !seg->lent) status = aipc_os_reserve(seg->fd, 0, options->size, &seg->error);
    if (status == AIPC_OK) {
        seg->participants = options->participants;
        seg->algorithm = options->algorithm == 0 ? AIPC_BEST_FIT : options->algorithm;
        seg->node_count = aipc_nodes_for(options->size);
        status = map_object(seg, options->size, options->max_size, &info);
    }
    if (status == AIPC_OK) status = aipc_header_write(seg, options, &info);
    if (status == AIPC_OK) status = format(seg, options);
    if (status != AIPC_OK && seg->bell_dir >= 0) {
        int ignored;
        aipc_bells_detach(seg);
        (void)aipc_os_remove_directory(seg->bell_path, &ignored);
    }
    return let_go_unless(seg, status);
}

/* ---- open -------------------------------------------------------------------------------------- */

/* Under the gate: is it still there to be joined?  A last_detach segment that nobody has is finished off.
 * A forked child joins by descent, whatever became of the name. */
static aipc_status still_open(aipc_seg *seg, int gate) {
    aipc_status status = seg->forked ? AIPC_OK : aipc_path_is(seg->path, seg->device, seg->inode, &seg->error);
    if (status == AIPC_NOT_FOUND) return AIPC_GONE;
    if (status != AIPC_OK) return status;
    if ((seg->header->flags & AIPC_FLAG_LAST_DETACH) != 0 && aipc_nobody(gate, &seg->error)) aipc_finish_off(seg);
    return aipc_load_acquire32(&seg->header->state) == AIPC_STATE_READY ? AIPC_OK : AIPC_GONE;
}

static aipc_status settle_or_leave(aipc_seg *seg) {
    aipc_status status = settle_in(seg);
    if (status != AIPC_OK) aipc_bells_detach(seg);
    return status;
}

/* A copy of a segment, or one from before a reboot: nobody else gets in until all of it is right. */
static aipc_status adopt(aipc_seg *seg, int gate, uint32_t mode) {
    int ignored;
    aipc_status status = aipc_adopt_begin(seg, gate);
    if (status != AIPC_OK) return status;
    aipc_bell_directory(seg->header->uuid, seg->bell_path);
    status = still_open(seg, gate);
    if (status == AIPC_OK) status = open_bell_directory(seg, mode);
    if (status == AIPC_OK) status = join(seg);
    if (status == AIPC_OK) status = settle_or_leave(seg);
    if (status == AIPC_OK) {
        status = aipc_adopt_end(seg);
        if (status != AIPC_OK) aipc_bells_detach(seg);
    }
    if (status != AIPC_OK && seg->bell_dir >= 0) (void)aipc_os_remove_directory(seg->bell_path, &ignored);
    return status;
}

/* The gate stays locked until the slot is ours. */
static aipc_status join_through_gate(aipc_seg *seg) {
    int gate;
    aipc_file_info info;
    aipc_status status = aipc_os_stat_fd(seg->fd, &info, &seg->error);
    if (status == AIPC_OK) status = aipc_gate_open(seg, &gate);
    if (status != AIPC_OK) return status;
    const aipc_object_id id = aipc_id_of(seg);
    const bool original = aipc_header_original(seg->header, &id);
    if (original) {
        aipc_bell_directory(seg->header->uuid, seg->bell_path);
        status = still_open(seg, gate);
        if (status == AIPC_OK) status = open_bell_directory(seg, info.mode);
        if (status == AIPC_OK) status = join(seg);
    } else {
        status = adopt(seg, gate, info.mode);
    }
    aipc_gate_close(gate);
    return status == AIPC_OK && original ? settle_or_leave(seg) : status;
}

aipc_status aipc_segment_open(aipc_seg *seg) {
    struct aipc_header copy;
    aipc_file_info info;
    aipc_status status = seg->lent ? aipc_header_read_lent(seg, &copy, &info)
                                   : aipc_header_read(seg->fd, &copy, &info, &seg->fault, &seg->error);
    if (status == AIPC_OK) status = aipc_header_validate(&copy, &info, &seg->fault);
    if (status == AIPC_OK) {
        seg->participants = copy.participants;
        seg->algorithm = copy.algorithm;
        seg->node_count = copy.nodes;
        seg->seed = copy.seed;
        seg->ordered = (copy.flags & AIPC_FLAG_ORDERED) != 0;
        status = map_object(seg, copy.size, copy.max_size, &info);
    }
    if (status == AIPC_OK) status = join_through_gate(seg);
    return let_go_unless(seg, status);
}

aipc_status aipc_segment_reattach(aipc_seg *seg) {
    if (seg->base == NULL) return AIPC_CLOSED;
    if (seg->self != 0) return AIPC_OK;
    if (seg->solitary) return AIPC_FORKED;
    aipc_status status = join_through_gate(seg);
    if (status != AIPC_OK) { /* back to nobody; somebody else recovers what is in the slot */
        leave_slot(seg);
        seg->forked = 1;
    }
    return status;
}

/* ---- leaving ----------------------------------------------------------------------------------- */

/* Under the gate we stop being attached, and look whether anybody else is: of many who leave at once one is last. */
static void leave(aipc_seg *seg, bool settled) {
    int gate;
    bool gated = aipc_gate_open(seg, &gate) == AIPC_OK;
    if (settled) aipc_participant_end(seg, seg->slot);
    leave_slot(seg);
    bool going = (seg->header->flags & AIPC_FLAG_LAST_DETACH) != 0 ||
                 aipc_load_acquire32(&seg->header->unlinked) != 0;
    if (gated && aipc_nobody(gate, &seg->error)) {
        if (going)
            aipc_finish_off(seg);
        else
            (void)aipc_os_remove_directory(seg->bell_path, &seg->error); /* made again by who comes next */
    }
    if (gated) aipc_gate_close(gate);
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
static aipc_status remove_locked(int gate, const char *path, const char *bells, int *error) {
    void *page;
    aipc_status status = aipc_os_map(gate, sizeof(struct aipc_header), true, &page, error);
    if (status != AIPC_OK) return status;
    int ignored;
    aipc_store_release32(&((struct aipc_header *)page)->unlinked, 1);
    aipc_os_unmap(page, sizeof(struct aipc_header));
    if (bells[0] != '\0' && aipc_nobody(gate, error)) (void)aipc_os_remove_directory(bells, &ignored);
    aipc_os_unlink(path);
    return AIPC_OK;
}

aipc_status aipc_segment_remove(int fd, const char *path, int *error) {
    aipc_seg seg; /* no mapping, no slot: only what the gate needs */
    struct aipc_header copy;
    aipc_file_info info;
    aipc_segment_init(&seg, fd, path);
    aipc_status status = aipc_header_read(fd, &copy, &info, &seg.fault, error);
    if (status == AIPC_OK && copy.magic != AIPC_MAGIC) status = AIPC_INCOMPATIBLE;
    if (status != AIPC_OK) return status;
    int gate;
    char bells[96] = "";
    const aipc_object_id id = aipc_id_of_file(&info);
    if (aipc_header_original(&copy, &id)) aipc_bell_directory(copy.uuid, bells); /* else another's */
    seg.device = info.device;
    seg.inode = info.inode;
    status = aipc_gate_open(&seg, &gate);
    *error = seg.error;
    if (status != AIPC_OK) return status;
    status = aipc_path_is(path, info.device, info.inode, error);
    if (status == AIPC_OK) status = remove_locked(gate, path, bells, error);
    aipc_gate_close(gate);
    return status;
}

/* ---- looking ----------------------------------------------------------------------------------- */

aipc_status aipc_segment_peek(int fd, const char *path, aipc_segment_info *info, aipc_fault *fault, int *error) {
    struct aipc_header copy;
    aipc_file_info file;
    aipc_status status = aipc_header_read(fd, &copy, &file, fault, error);
    if (status == AIPC_OK) status = aipc_header_validate(&copy, &file, fault);
    if (status != AIPC_OK) return status;
    bool alive = aipc_os_test_bytes(fd, AIPC_LIVENESS_BASE, AIPC_MAX_PARTICIPANTS, error) == AIPC_AGAIN;
    *info = (aipc_segment_info){
        .size = copy.size, .max_size = copy.max_size, .created_at = copy.created_at,
        .creator_pid = copy.creator_pid, .participants = copy.participants, .flags = copy.flags,
        .state = copy.state, .unlinked = copy.unlinked, .alive = alive, .uid = file.uid, .mode = file.mode};
    memcpy(info->uuid, copy.uuid, sizeof info->uuid);
    const aipc_object_id id = aipc_id_of_file(&file);
    if (!alive && aipc_header_original(&copy, &id) && ((copy.flags & AIPC_FLAG_LAST_DETACH) != 0 || copy.state == AIPC_STATE_DEAD)) {
        (void)aipc_segment_remove(fd, path, error);
        return AIPC_GONE;
    }
    return AIPC_OK;
}
