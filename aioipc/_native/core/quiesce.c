#include "quiesce.h"

#include "holes.h"
#include "names.h"
#include "os.h"
#include "participants.h"

enum { SLICE_NS = 1000000 };

typedef struct pass {
    aipc_seg *seg;
    uint32_t word; /* whose hold it is */
    uint64_t since;
    aipc_status status;
    bool (*with)(struct pass *p, struct aipc_domain *domain); /* false: enough */
} pass;

static inline bool held_with(const struct aipc_domain *domain, uint32_t word) {
    return (aipc_load_seq_cst32(&domain->lock) & ~AIPC_LOCK_CONTENDED) == word;
}

/* ---- the domains inside of objects ------------------------------------------------------------------ */

static bool visit_object(void *arg, const aipc_block_info *block) {
    pass *p = arg;
    struct aipc_domain *domains[AIPC_DOMAINS];
    aipc_object_ref ref;
    if ((block->flags & AIPC_PART) != AIPC_INTERNAL) return true;
    const struct aipc_object *object = aipc_object_read(p->seg, block->payload, &ref);
    if (object == NULL || !aipc_object_hash_right(p->seg, object)) return true; /* some other block of the catalog */
    if (aipc_load_relaxed64(&object->state) == 0) return true; /* a draft: its memory may hold anything */
    uint32_t count = aipc_type_domains(p->seg, &ref, domains);
    for (uint32_t i = 0; i < count; i++)
        if (!p->with(p, domains[i])) return false;
    return true;
}

/* ---- giving back ----------------------------------------------------------------------------------- */

static bool give_back(pass *p, struct aipc_domain *domain) {
    if (held_with(domain, p->word)) {
        (void)aipc_exchange_seq_cst32(&domain->lock, 0);
        aipc_os_futex_wake(&domain->lock, INT32_MAX);
    }
    return true;
}

aipc_status aipc_quiesce_end(aipc_seg *seg, uint32_t word) {
    pass p = {.seg = seg, .word = word, .with = give_back};
    aipc_status status = AIPC_OK;
    if (held_with(&seg->heap->domain, word)) status = aipc_heap_walk_held(seg, visit_object, &p); /* S2 */
    (void)give_back(&p, &seg->waits->domain);
    (void)give_back(&p, &seg->heap->domain);
    (void)give_back(&p, &seg->catalog->domain);
    return status;
}

/* ---- taking ---------------------------------------------------------------------------------------- */

static aipc_status stalled(pass *p, const struct aipc_domain *domain, uint32_t word) {
    p->seg->fault = (aipc_fault){.what = "short lock held by a stopped process", .found = word,
                                 .offset = aipc_offset(p->seg, domain),
                                 .pid = aipc_participant_pid(p->seg, aipc_lock_word_slot(word))};
    return AIPC_STALLED;
}

/* Its holder does not know that we wait: we look every millisecond. */
static aipc_status wait_for(pass *p, struct aipc_domain *domain, uint32_t word) {
    uint32_t slot = aipc_lock_word_slot(word), generation;
    if (slot >= p->seg->participants)
        return aipc_corrupt(p->seg, "L4 short lock held by a slot that does not exist", &domain->lock, word, 0);
    aipc_status status = aipc_participant_test(p->seg, slot, &generation);
    if (status != AIPC_OK) return status == AIPC_NOT_FOUND ? AIPC_AGAIN : status;
    if (aipc_os_now() - p->since > p->seg->stall_ns) return stalled(p, domain, word);
    aipc_os_futex_wait(&domain->lock, word, SLICE_NS);
    return AIPC_OK;
}

static bool take(pass *p, struct aipc_domain *domain) {
    p->since = aipc_os_now();
    while (p->status == AIPC_OK) {
        uint32_t word = aipc_load_seq_cst32(&domain->lock);
        if (word != 0) {
            p->status = wait_for(p, domain, word);
        } else if (aipc_cas_seq_cst32(&domain->lock, 0, p->word | AIPC_LOCK_CONTENDED)) { /* others may sleep on it */
            uint64_t head = aipc_load_relaxed64(&domain->head);
            if (head != 0)
                p->status = aipc_corrupt(p->seg, "L2 log not empty though nobody held the lock", &domain->head, head, 0);
            break;
        }
    }
    return p->status == AIPC_OK;
}

static aipc_status take_all(aipc_ctx *ctx) {
    aipc_seg *seg = ctx->seg;
    pass p = {.seg = seg, .word = ctx->lock_word, .with = take};
    if (take(&p, &seg->catalog->domain) && take(&p, &seg->heap->domain) && take(&p, &seg->waits->domain)) {
        aipc_status walked = aipc_heap_walk_held(seg, visit_object, &p);
        if (p.status == AIPC_OK) p.status = walked;
    }
    return p.status;
}

/* ---- copying --------------------------------------------------------------------------------------- */

/* What a copy is made of: everything but the pages of holes, which must not be touched, and are holes in the copy too. */
typedef struct copying {
    aipc_seg *seg;
    int fd;
    uint64_t done; /* up to here */
    aipc_status status;
} copying;

static bool copy_to(copying *c, uint64_t end) {
    if (end > c->done) c->status = aipc_os_write(c->fd, c->seg->base + c->done, end - c->done, c->done, &c->seg->error);
    c->done = end;
    return c->status == AIPC_OK;
}

static bool copy_before(void *arg, const aipc_block_info *block) {
    copying *c = arg;
    if ((block->flags & AIPC_HOLE) == 0) return true;
    const aipc_span pages = aipc_hole_pages(block);
    if (!copy_to(c, pages.from)) return false;
    c->done = pages.to;
    return true;
}

static aipc_status copy(aipc_seg *seg, int fd) {
    aipc_seg_refresh_limit(seg);
    uint64_t size = aipc_load_acquire64(&seg->header->size); /* SYNC segment-size */
    if (size > aipc_limit(seg)) size = aipc_limit(seg);
    copying c = {.seg = seg, .fd = fd};
    aipc_status walked = AIPC_OK;
    if (aipc_load_relaxed64(&seg->heap->hole_first) != 0) walked = aipc_heap_walk_held(seg, copy_before, &c);
    if (c.status == AIPC_OK && walked == AIPC_OK) (void)copy_to(&c, size);
    return c.status != AIPC_OK ? c.status : walked;
}

aipc_status aipc_snapshot(aipc_ctx *ctx, int fd) {
    aipc_seg *seg = ctx->seg;
    if (ctx->lock_word == 0) return AIPC_FORKED;
    aipc_store_release64(&ctx->shared->domain, AIPC_EVERY_DOMAIN); /* S1 */
    aipc_status status = take_all(ctx);
    if (status == AIPC_OK) status = copy(seg, fd);
    aipc_status ended = aipc_quiesce_end(seg, ctx->lock_word);
    aipc_store_release64(&ctx->shared->domain, 0);
    return status == AIPC_OK ? ended : status;
}
