/* The process-private side: what one process knows of a segment it has mapped.
 *
 * An aipc_seg is one participant's attachment; the caller supplies its memory (zeroed) and the core
 * allocates nothing.  It has one slot in the segment and a pool of operation contexts.  Every entry
 * point of the core takes an aipc_ctx, which one thread holds for the length of one operation.
 *
 * All offsets read from the segment are hostile: turn them into pointers with aipc_at() only.
 */
#ifndef AIPC_ATTACHMENT_H
#define AIPC_ATTACHMENT_H

#include "atomics.h"
#include "layout.h"
#include "status.h"

typedef struct aipc_seg aipc_seg;
struct aipc_tx; /* journal.h */

/* One operation under way.  Owned by one thread at a time. */
typedef struct aipc_ctx {
    aipc_seg *seg;
    struct aipc_context *shared;
    uint32_t lock_word; /* what it writes into a domain's lock */
    uint64_t block;     /* serial of the atomic block that the operation is a part of, 0: none (pending.h) */
    bool untidy;        /* an orphan of an operation that is over waits to be freed */
} aipc_ctx;

/* What contradicted itself, or who stalls: the text of the exception is made from it. */
typedef struct aipc_fault {
    const char *what; /* a static string naming the invariant or field, e.g. "H1 block tag" */
    uint64_t offset;
    uint64_t found, expected;
    uint64_t pid;     /* AIPC_STALLED */
} aipc_fault;

/* A write end of another participant's FIFO, kept open.  `life` is the owner's slot.life. */
typedef struct aipc_ring_fd {
    uint64_t life;
    uint32_t slot, bell;
    int fd;
    uint32_t used;
} aipc_ring_fd;

enum { AIPC_RING_FDS = 64, AIPC_PATH_MAX = 4096 };
enum { AIPC_PAGES_KEPT = 0, AIPC_PAGES_PRIVATE = 1, AIPC_PAGES_SHARED = 2 };

struct aipc_seg {
    uint8_t *base;
    uint64_t mapped;          /* bytes of address space */
    uint64_t limit;           /* bytes known to exist: min(header.size, the object's size).  Process-private atomic: threads
                                 that see the segment grow raise it; aipc_limit() reads it */
    uint64_t seed;

    /* Places of the fixed areas, computed, never read from the segment. */
    struct aipc_header *header;
    struct aipc_heap *heap;
    struct aipc_catalog *catalog;
    struct aipc_waits *waits;
    struct aipc_slot *slots;
    struct aipc_context *contexts;
    struct aipc_node *nodes;
    uint64_t heap_begin;      /* offset of the first block's header */
    uint32_t participants;
    uint32_t node_count;
    uint32_t algorithm;
    uint32_t ordered;         /* it has an ordered index (order.h) */

    /* Who this process is.  self == 0: closed, or a forked child that has not attached again. */
    uint64_t self;            /* generation 32 | slot 12 << 20: its identity in user-level lock words */
    uint32_t slot, generation;
    uint32_t forked;          /* set by the atfork handler of the child */
    uint32_t inherited;       /* a dead participant's remains were in the slot when it was claimed */
    uint32_t lent;            /* the memory is the caller's: it is neither mapped nor unmapped here (segment.h, lend) */
    uint32_t pages;           /* AIPC_PAGES_*: how pages of lent memory go back to the system */
    uint32_t wary;            /* nothing that aipc_at leads to is known to be there (reader.h) */
    uint32_t solitary;        /* and no other process's: bells are pipes, and a forked child has no part in it */
    uint64_t device, inode;
    uint64_t born;            /* 0: not known */
    int fd;                   /* of the object; verified before use, descriptors can be closed behind us */
    int bell_dir;             /* of the bell directory; -1: none */
    uint64_t bell_dir_inode;  /* solitary: the inode of bell 0 */
    char path[AIPC_PATH_MAX]; /* of the object, "" when it has none: to open it again */
    char bell_path[96];
    void *liveness_page;      /* mapping that keeps the OFD lock's description open */

    uint32_t free_contexts;   /* bit set: free.  Process-private atomic */
    aipc_ctx ctx[AIPC_CONTEXTS];
    struct aipc_context nobody; /* what a forked child's contexts point at until it attaches */
    uint32_t lost_contexts;     /* bit set: the thread that forked was in the middle of an operation with it */

    /* Bells of this process: read ends.  -1 when not made.  Guarded by `lock`. */
    uint32_t lock;            /* process-private spin lock for the fields below */
    uint64_t bells_taken;
    int bell_fd[AIPC_BELLS];
    uint32_t rung_seen[AIPC_BELLS];
    aipc_ring_fd ring_fds[AIPC_RING_FDS];
    uint32_t ring_clock;

    /* Watching the others (watch.c).  Guarded by `lock`. */
    int watch_epoll;          /* -1: not watching */
    int watch_timer;          /* in it: runs while there are suspects */
    uint64_t watch_retry_ns;
    uint32_t roster_seen;
    uint32_t deaths_seen;     /* process-private atomic: deaths found out here, see aipc_watch_epoch */
    uint64_t watched[AIPC_MAX_PARTICIPANTS]; /* slot.life being watched; 0 none */
    int watch_fd[AIPC_MAX_PARTICIPANTS];
    uint64_t suspects[AIPC_MAX_PARTICIPANTS / 64]; /* hung up, and not yet proven dead */

    /* Callbacks.  idle waits up to 10 ms for *word to differ from `seen`; AIPC_INTERRUPTED stops the
     * operation.  Called with no short lock held. */
    aipc_status (*idle)(aipc_seg *seg, const uint32_t *word, uint32_t seen);
    void *user;
    /* Copies many bytes, or clears them when `from` is NULL; NULL: as they come.  Called with no short lock held, and so
     * free to let others run meanwhile. */
    void (*bulk)(uint8_t *to, const uint8_t *from, uint64_t count);
    aipc_status (*recover)(aipc_ctx *ctx, uint32_t slot, uint32_t generation); /* recovery.c */
    void (*tidy)(aipc_ctx *ctx); /* retire.c */
    uint64_t (*part)(struct aipc_tx *tx, uint64_t type, uint64_t payload, uint64_t size); /* types.c */
    uint32_t uninterruptible; /* > 0: idle must not answer AIPC_INTERRUPTED; process-private atomic */
    uint64_t stall_ns;        /* how long a short lock may be held by a living process: 5 s */

    aipc_fault fault;
    int error;                /* errno of the last AIPC_SYSTEM */
    aipc_seg *next;           /* registry for atfork */
};

/* Sets all descriptors and what is cached about them to "none". bells.c */
void aipc_seg_reset_descriptors(aipc_seg *seg);
/* A daemonizer may have closed every descriptor behind our back, and their numbers may be strangers' files by
 * now.  A look at the bell directory's and the object's tells; then all are forgotten, unclosed, and made again
 * (but for an object without a path: AIPC_SYSTEM).  bells.c */
aipc_status aipc_seg_verify_descriptors(aipc_seg *seg);

/* The process's short-lived exclusion of its own threads.  Never held across a wait. */
void aipc_os_yield(void);
static inline void aipc_local_lock(aipc_seg *seg) {
    for (uint32_t tries = 1; !aipc_cas_seq_cst32(&seg->lock, 0, 1); tries++) {
        if (tries % 64 == 0)
            aipc_os_yield(); /* its holder may wait for this very processor */
        else
            aipc_cpu_relax();
    }
}
static inline void aipc_local_unlock(aipc_seg *seg) { aipc_store_release32(&seg->lock, 0); }

static inline uint64_t aipc_offset(const aipc_seg *seg, const void *p) {
    return (uint64_t)((const uint8_t *)p - seg->base);
}

static inline uint64_t aipc_limit(const aipc_seg *seg) { return aipc_private_load64(&seg->limit); }
/* Looks again how large the segment is (it may have grown). segment.c */
void aipc_seg_refresh_limit(aipc_seg *seg);

bool aipc_heap_backed(const aipc_seg *seg, uint64_t offset, uint64_t size); /* heap.h */
static inline bool aipc_within(const aipc_seg *seg, uint64_t offset, uint64_t size) {
    uint64_t limit = aipc_limit(seg);
    return offset <= limit && size <= limit - offset;
}

/* The address of `size` bytes at `offset`, or NULL when they are not inside the segment or not
 * aligned to 8. */
static inline void *aipc_at(aipc_seg *seg, uint64_t offset, uint64_t size) {
    if ((offset & 7) != 0) return NULL;
    if (!aipc_within(seg, offset, size)) {
        aipc_seg_refresh_limit(seg);
        if (!aipc_within(seg, offset, size)) return NULL;
    }
    if (seg->wary && !aipc_heap_backed(seg, offset, size)) return NULL;
    return seg->base + offset;
}

/* Between (true) and (false) waiting for a short lock is not cut short by signals: for what must not fail halfway. */
static inline void aipc_shield(aipc_seg *seg, bool on) {
    (void)aipc_fetch_add_seq_cst32(&seg->uninterruptible, on ? 1 : UINT32_MAX);
}

/* Records what is wrong and returns AIPC_CORRUPT. */
aipc_status aipc_corrupt(aipc_seg *seg, const char *what, const void *where, uint64_t found,
                         uint64_t expected);

/* Identity of a participant in a 64-bit word. */
static inline uint64_t aipc_identity(uint32_t slot, uint32_t generation) {
    return (uint64_t)generation << 32 | (uint64_t)slot << 20;
}
static inline uint64_t aipc_life(uint32_t generation, uint32_t state) {
    return (uint64_t)generation << 32 | state;
}
static inline uint32_t aipc_life_generation(uint64_t life) { return (uint32_t)(life >> 32); }
static inline uint32_t aipc_life_state(uint64_t life) { return (uint32_t)life; }

/* What a context writes into a domain's lock: slot 12 | context 6 | generation 13 | contended 1; never 0. */
static inline uint32_t aipc_lock_word(uint32_t slot, uint32_t context, uint32_t generation) {
    return slot << 20 | context << 14 | (1 + generation % 8191) << 1;
}

static inline struct aipc_context *aipc_context_of(aipc_seg *seg, uint32_t slot, uint32_t index) {
    return &seg->contexts[(size_t)slot * AIPC_CONTEXTS + index];
}

/* Takes a free context for one operation; AIPC_AGAIN when all are in use by other threads,
 * AIPC_FORKED / AIPC_CLOSED when the attachment is not this process's. */
aipc_status aipc_ctx_enter(aipc_seg *seg, aipc_ctx **ctx);
void aipc_ctx_leave(aipc_ctx *ctx);

#endif
