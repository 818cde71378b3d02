#include "bells.h"

#include "os.h"

enum { NAME_SIZE = 40 };

/* "b<slot>.<generation>.<bell>", without stdio. */
static void bell_name(char name[NAME_SIZE], uint32_t slot, uint32_t generation, uint32_t bell) {
    const uint32_t parts[3] = {slot, generation, bell};
    char *out = name;
    *out++ = 'b';
    for (int i = 0; i < 3; i++) {
        char digits[10];
        int count = 0;
        uint32_t value = parts[i];
        do {
            digits[count++] = (char)('0' + value % 10);
            value /= 10;
        } while (value != 0);
        while (count > 0) *out++ = digits[--count];
        *out++ = '.';
    }
    out[-1] = '\0';
}

static void forget_descriptors(aipc_seg *seg) {
    for (int i = 0; i < AIPC_BELLS; i++) seg->bell_fd[i] = -1;
    for (int i = 0; i < AIPC_RING_FDS; i++) seg->ring_fds[i] = (aipc_ring_fd){.fd = -1};
    for (int i = 0; i < AIPC_MAX_PARTICIPANTS; i++) {
        seg->watch_fd[i] = -1;
        seg->watched[i] = 0; /* watched again at the next look at the roster */
    }
    seg->watch_epoll = seg->watch_timer = -1;
    seg->watch_retry_ns = 0;
    aipc_store_relaxed32(&seg->roster_seen, 0);
}

void aipc_seg_reset_descriptors(aipc_seg *seg) {
    forget_descriptors(seg);
    for (int i = 0; i < AIPC_BELLS; i++) seg->rung_seen[i] = 0;
    for (int i = 0; i < AIPC_MAX_PARTICIPANTS / 64; i++) seg->suspects[i] = 0;
    seg->bells_taken = 0;
    seg->ring_clock = 0;
}

static void disarm(struct aipc_bell *bell) {
    uint32_t armed = aipc_load_seq_cst32(&bell->armed);
    if ((armed & 1) != 0) (void)aipc_cas_seq_cst32(&bell->armed, armed, armed + 1);
}

/* ---- owning ------------------------------------------------------------------------------------ */

static uint64_t inode_of(int fd) {
    aipc_file_info info;
    int ignored;
    return aipc_os_stat_fd(fd, &info, &ignored) == AIPC_OK ? info.inode : 0;
}

static aipc_status make(aipc_seg *seg, uint32_t bell) {
    if (seg->bell_fd[bell] >= 0) return AIPC_OK;
    struct aipc_slot *slot = &seg->slots[seg->slot];
    char name[NAME_SIZE];
    bell_name(name, seg->slot, seg->generation, bell);
    (void)aipc_fetch_or_seq_cst64(&slot->bells_made, UINT64_C(1) << bell); /* before it exists */
    seg->rung_seen[bell] = aipc_load_relaxed32(&slot->bells[bell].rung);
    if (!seg->solitary) return aipc_os_make_fifo(seg->bell_dir, name, &seg->bell_fd[bell], &seg->error);
    aipc_status status = aipc_os_make_pipe(&seg->bell_fd[bell], &seg->error);
    if (status == AIPC_OK && bell == 0) seg->bell_dir_inode = inode_of(seg->bell_fd[0]);
    return status;
}

aipc_status aipc_bells_attach(aipc_seg *seg) { return make(seg, 0); }

static bool is_file(int fd, uint64_t inode) { return inode_of(fd) == inode; }

static void find_bell_directory(aipc_seg *seg) {
    seg->bell_dir = -1;
    if (aipc_os_open_directory(seg->bell_path, &seg->bell_dir, &seg->error) == AIPC_OK &&
        !is_file(seg->bell_dir, seg->bell_dir_inode)) {
        aipc_os_close(seg->bell_dir); /* another directory: the segment is gone, and nobody left to ring */
        seg->bell_dir = -1;
    }
}

void aipc_bells_verify(aipc_seg *seg) {
    if (is_file(seg->solitary ? seg->bell_fd[0] : seg->bell_dir, seg->bell_dir_inode)) return;
    forget_descriptors(seg);
    if (!seg->solitary) find_bell_directory(seg);
    if ((seg->bell_dir < 0 && !seg->solitary) || seg->self == 0) return;
    uint64_t made = aipc_load_relaxed64(&seg->slots[seg->slot].bells_made);
    for (uint32_t bell = 0; bell < AIPC_BELLS; bell++)
        if ((made >> bell & 1) != 0) (void)make(seg, bell); /* the others take its hang-up for a hint only */
}

aipc_status aipc_seg_verify_descriptors(aipc_seg *seg) {
    aipc_status status = AIPC_OK;
    aipc_local_lock(seg);
    aipc_bells_verify(seg);
    if (!is_file(seg->fd, seg->inode)) {
        seg->fd = -1;
        status = aipc_os_reopen(-1, seg->path, seg->device, seg->inode, &seg->fd, &seg->error);
    }
    aipc_local_unlock(seg);
    return status;
}

aipc_status aipc_bell_take(aipc_seg *seg, uint32_t *bell, int *fd) {
    aipc_local_lock(seg);
    aipc_bells_verify(seg);
    aipc_status status = AIPC_NO_WAITER;
    if (~seg->bells_taken != 0) {
        *bell = (uint32_t)__builtin_ctzll(~seg->bells_taken);
        status = make(seg, *bell);
        if (status == AIPC_OK) {
            seg->bells_taken |= UINT64_C(1) << *bell;
            *fd = seg->bell_fd[*bell];
        }
    }
    aipc_local_unlock(seg);
    return status;
}

void aipc_bell_give_back(aipc_seg *seg, uint32_t bell) {
    if (seg->self == 0) return;
    disarm(&seg->slots[seg->slot].bells[bell]);
    aipc_local_lock(seg);
    seg->bells_taken &= ~(UINT64_C(1) << bell);
    aipc_local_unlock(seg);
}

void aipc_bells_remove(aipc_seg *seg, uint32_t slot_index) {
    struct aipc_slot *slot = &seg->slots[slot_index];
    uint32_t generation = aipc_life_generation(aipc_load_relaxed64(&slot->life));
    uint64_t made = aipc_load_relaxed64(&slot->bells_made);
    char name[NAME_SIZE];
    aipc_local_lock(seg);
    aipc_bells_verify(seg);
    for (uint32_t bell = 0; bell < AIPC_BELLS && seg->bell_dir >= 0; bell++)
        if ((made >> bell & 1) != 0) {
            bell_name(name, slot_index, generation, bell);
            aipc_os_unlink_at(seg->bell_dir, name);
        }
    if ((made & 1) != 0 && seg->bell_dir >= 0) { /* a claimer may have died between its bell and its life */
        bell_name(name, slot_index, generation + 1, 0);
        aipc_os_unlink_at(seg->bell_dir, name);
    }
    aipc_local_unlock(seg);
    for (uint32_t bell = 0; bell < AIPC_BELLS; bell++)
        disarm(&slot->bells[bell]);
    aipc_store_release64(&slot->bells_made, 0);
}

void aipc_bells_detach(aipc_seg *seg) {
    aipc_bells_remove(seg, seg->slot);
    aipc_bells_close(seg);
}

void aipc_bells_close(aipc_seg *seg) {
    if (seg->bell_dir >= 0 || seg->solitary) aipc_bells_verify(seg);
    for (int i = 0; i < AIPC_BELLS; i++)
        if (seg->bell_fd[i] >= 0) aipc_os_close(seg->bell_fd[i]);
    for (int i = 0; i < AIPC_RING_FDS; i++)
        if (seg->ring_fds[i].fd >= 0) aipc_os_close(seg->ring_fds[i].fd);
    for (uint32_t i = 0; i < seg->participants; i++)
        if (seg->watch_fd[i] >= 0) aipc_os_close(seg->watch_fd[i]);
    if (seg->watch_epoll >= 0) aipc_os_close(seg->watch_epoll);
    if (seg->watch_timer >= 0) aipc_os_close(seg->watch_timer);
    aipc_seg_reset_descriptors(seg);
}

/* ---- sleeping ---------------------------------------------------------------------------------- */

bool aipc_bell_arm(aipc_seg *seg, uint32_t bell) {
    struct aipc_bell *shared = &seg->slots[seg->slot].bells[bell];
    uint32_t next_odd = (aipc_load_relaxed32(&shared->armed) + 1) | 1;
    (void)aipc_exchange_seq_cst32(&shared->armed, next_odd);                 /* SYNC bell-armed */
    return aipc_load_seq_cst32(&shared->rung) != seg->rung_seen[bell];       /* SYNC bell-rung */
}

void aipc_bell_woken(aipc_seg *seg, uint32_t bell) {
    seg->rung_seen[bell] = aipc_load_seq_cst32(&seg->slots[seg->slot].bells[bell].rung);
}

/* ---- ringing ----------------------------------------------------------------------------------- */

aipc_status aipc_bell_open(aipc_seg *seg, uint32_t slot, uint32_t generation, uint32_t bell, int *fd) {
    char name[NAME_SIZE];
    bell_name(name, slot, generation, bell);
    return aipc_os_open_fifo(seg->bell_dir, name, fd, &seg->error);
}

/* The cached write end, or a new one in place of the least recently used.  Under the local lock.  The key
 * has the generation in it: a FIFO of the same slot made later is another file. */
static int ring_fd(aipc_seg *seg, const aipc_bell_target *target) {
    uint64_t life = aipc_life(target->generation, AIPC_SLOT_LIVE);
    aipc_ring_fd *oldest = &seg->ring_fds[0];
    for (int i = 0; i < AIPC_RING_FDS; i++) {
        aipc_ring_fd *cached = &seg->ring_fds[i];
        if (cached->fd >= 0 && cached->life == life && cached->slot == target->slot &&
            cached->bell == target->bell) {
            cached->used = ++seg->ring_clock;
            return cached->fd;
        }
        if (cached->fd < 0 || (oldest->fd >= 0 && cached->used < oldest->used)) oldest = cached;
    }
    int fd;
    aipc_status status = aipc_bell_open(seg, target->slot, target->generation, target->bell, &fd);
    if (oldest->fd >= 0 && status != AIPC_NOT_FOUND) {
        aipc_os_close(oldest->fd);
        oldest->fd = -1;
        if (status != AIPC_OK) /* out of descriptors, perhaps: now there is one */
            status = aipc_bell_open(seg, target->slot, target->generation, target->bell, &fd);
    }
    if (status != AIPC_OK) return -1;
    *oldest = (aipc_ring_fd){.life = life, .slot = target->slot, .bell = target->bell, .fd = fd,
                             .used = ++seg->ring_clock};
    return fd;
}

/* False when the byte could not be written. */
static bool write_to(aipc_seg *seg, const aipc_bell_target *target) {
    int ignored;
    aipc_local_lock(seg);
    aipc_bells_verify(seg); /* never a byte into a stranger's file */
    bool own = target->slot == seg->slot && target->generation == seg->generation;
    int fd = own ? seg->bell_fd[target->bell] : ring_fd(seg, target);
    bool written = fd >= 0 && aipc_os_ring(fd, &ignored) == AIPC_OK;
    aipc_local_unlock(seg);
    return written;
}

void aipc_bell_ring(aipc_seg *seg, const aipc_bell_target *target) {
    if (!target->set || !aipc_participant_current(seg, target->slot, target->generation)) return;
    struct aipc_bell *shared = &seg->slots[target->slot].bells[target->bell];
    (void)aipc_fetch_add_seq_cst32(&shared->rung, 1);                        /* SYNC bell-rung */
    uint32_t armed = aipc_load_seq_cst32(&shared->armed);                    /* SYNC bell-armed */
    if ((armed & 1) != 0 && write_to(seg, target)) (void)aipc_cas_seq_cst32(&shared->armed, armed, armed + 1);
}

bool aipc_rings_add(aipc_rings *rings, const aipc_bell_target *target) {
    for (uint32_t i = 0; i < rings->count; i++) {
        const aipc_bell_target *other = &rings->targets[i];
        if (other->slot == target->slot && other->generation == target->generation && other->bell == target->bell)
            return true;
    }
    if (rings->count == AIPC_RINGS) return false;
    rings->targets[rings->count++] = *target;
    return true;
}

void aipc_rings_ring(aipc_seg *seg, aipc_rings *rings) {
    for (uint32_t i = 0; i < rings->count; i++) aipc_bell_ring(seg, &rings->targets[i]);
    rings->count = 0;
}

void aipc_bell_ring_all(aipc_seg *seg) {
    for (uint32_t i = 0; i < aipc_slots_used(seg); i++) {
        struct aipc_slot *slot = &seg->slots[i];
        uint64_t life = aipc_load_seq_cst64(&slot->life);
        if (aipc_life_state(life) != AIPC_SLOT_LIVE) continue;
        uint64_t made = aipc_load_relaxed64(&slot->bells_made);
        for (uint32_t bell = 0; bell < AIPC_BELLS; bell++)
            if ((made >> bell & 1) != 0)
                aipc_bell_ring(seg, &(aipc_bell_target){i, aipc_life_generation(life), bell, true});
    }
}
