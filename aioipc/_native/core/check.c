#include "check.h"

#include "names.h"
#include "os.h"
#include "room.h"

static void check_header(aipc_seg *seg, aipc_report *report) {
    const struct aipc_header *header = seg->header;
    uint64_t size = aipc_load_acquire64(&header->size);
    if (header->magic != AIPC_MAGIC)
        aipc_report_add(report, "G1 magic", offsetof(struct aipc_header, magic), header->magic, AIPC_MAGIC);
    if (header->version != AIPC_FORMAT_VERSION)
        aipc_report_add(report, "G1 format version", offsetof(struct aipc_header, version), header->version,
                        AIPC_FORMAT_VERSION);
    if (header->inode != seg->inode || header->device != seg->device)
        aipc_report_add(report, "G1 inode", offsetof(struct aipc_header, inode), header->inode, seg->inode);
    if (header->max_size != seg->mapped || size > seg->mapped)
        aipc_report_add(report, "G2 max_size", offsetof(struct aipc_header, max_size), header->max_size, seg->mapped);
    if (header->seed != seg->seed)
        aipc_report_add(report, "G2 seed", offsetof(struct aipc_header, seed), header->seed, seg->seed);
    if (((header->flags & AIPC_FLAG_ORDERED) != 0) != (seg->ordered != 0))
        aipc_report_add(report, "G2 index", offsetof(struct aipc_header, flags), header->flags, seg->ordered);
    if (header->participants != seg->participants || header->nodes != seg->node_count)
        aipc_report_add(report, "G2 participants and nodes", offsetof(struct aipc_header, participants),
                        header->participants, seg->participants);
    if (header->algorithm != seg->algorithm)
        aipc_report_add(report, "G2 algorithm", offsetof(struct aipc_header, algorithm), header->algorithm, seg->algorithm);
    if (aipc_load_relaxed32(&header->slots_used) > seg->participants)
        aipc_report_add(report, "P3 slots_used", offsetof(struct aipc_header, slots_used),
                        aipc_load_relaxed32(&header->slots_used), seg->participants);
}

/* A word that must be 0 for as long as nobody has the slot, whose life is the last thing to change. */
static void check_left(aipc_seg *seg, uint32_t slot, uint64_t life, const char *what, const uint64_t *word, aipc_report *report) {
    uint64_t left = aipc_load_relaxed64(word);
    if (left != 0 && aipc_load_acquire64(&seg->slots[slot].life) == life)
        aipc_report_add(report, what, aipc_offset(seg, word), left, 0);
}

static void check_free_slot(aipc_seg *seg, uint32_t slot, uint64_t life, aipc_report *report) {
    check_left(seg, slot, life, "R2 holdings of a free slot", &seg->slots[slot].holdings, report);
    check_left(seg, slot, life, "R2 holdings of a free slot", &seg->slots[slot].registrations, report);
    for (int i = 0; i < AIPC_PINS; i++)
        check_left(seg, slot, life, "R2 value kept by a free slot", &seg->slots[slot].pinned[i], report);
    for (uint32_t i = 0; i < AIPC_CONTEXTS; i++) {
        const struct aipc_context *context = aipc_context_of(seg, slot, i);
        for (int o = 0; o < AIPC_ORPHANS; o++)
            check_left(seg, slot, life, "R2 orphan of a free slot", &context->orphan[o], report);
        for (int h = 0; h < AIPC_HAZARDS; h++)
            check_left(seg, slot, life, "R2 hazard of a free slot", &context->hazard[h], report);
    }
}

static void check_slots(aipc_seg *seg, aipc_report *report) {
    for (uint32_t i = 0; i < seg->participants; i++) {
        const struct aipc_slot *slot = &seg->slots[i];
        uint64_t life = aipc_load_acquire64(&slot->life);
        if (aipc_life_state(life) > AIPC_SLOT_LIVE || (aipc_life_state(life) == AIPC_SLOT_LIVE && i >= aipc_slots_used(seg)))
            aipc_report_add(report, "P1 state of a participant", aipc_offset(seg, slot), life, AIPC_SLOT_LIVE);
        if (aipc_load_relaxed32(&slot->contexts_used) > AIPC_CONTEXTS)
            aipc_report_add(report, "P3 contexts_used", aipc_offset(seg, slot),
                            aipc_load_relaxed32(&slot->contexts_used), AIPC_CONTEXTS);
        /* Its last owner, or who recovered it, has given everything back (R2). */
        if (aipc_life_state(life) == AIPC_SLOT_FREE) check_free_slot(seg, i, life, report);
    }
}

/* A log that is not empty belongs to the holder of the lock; taking the lock proves there is none. */
static aipc_status check_domain(aipc_ctx *ctx, struct aipc_domain *domain, aipc_report *report) {
    aipc_status status = aipc_domain_lock(ctx, domain);
    if (status == AIPC_OK) {
        aipc_domain_unlock(ctx, domain);
    } else if (status == AIPC_CORRUPT) {
        const aipc_fault *fault = &ctx->seg->fault;
        aipc_report_add(report, fault->what, fault->offset, fault->found, fault->expected);
    }
    return status;
}

/* Damage that an operation trips over is a finding like any other. */
static aipc_status noted(aipc_ctx *ctx, aipc_report *report, aipc_status status) {
    if (status != AIPC_CORRUPT) return status;
    const aipc_fault *fault = &ctx->seg->fault;
    aipc_report_add(report, fault->what, fault->offset, fault->found, fault->expected);
    return AIPC_OK;
}

/* ---- objects, and whose the blocks of containers are --------------------------------------------- */

/* What its own check trips over is a finding, and the next object has its turn. */
static aipc_status check_object(aipc_ctx *ctx, const aipc_object_ref *ref, aipc_report *report) {
    uint64_t before = report->findings;
    aipc_status status = aipc_type_check(ctx, ref, report);
    if (status == AIPC_CORRUPT && report->findings != before) return AIPC_OK;
    return noted(ctx, report, status);
}

static aipc_status check_named(aipc_ctx *ctx, aipc_report *report) {
    uint64_t cursor = 0;
    aipc_object_ref ref;
    aipc_status status;
    while ((status = aipc_catalog_next(ctx, &cursor, &ref)) == AIPC_OK) {
        status = check_object(ctx, &ref, report);
        if (status != AIPC_OK) break;
    }
    return status == AIPC_NOT_FOUND ? AIPC_OK : status;
}

/* One walk over the heap: how many parts there are, and the next objects that no list has: those without a name,
 * and destroyed ones that somebody still has a handle on. */
typedef struct survey {
    aipc_seg *seg;
    uint64_t after;                    /* only objects behind this offset */
    uint64_t parts, objects, object[256];
} survey;

static bool is_ended(uint64_t state) { return state == AIPC_OBJECT_DESTROYED || state == AIPC_OBJECT_SHEDDING; }

static bool survey_block(void *arg, const aipc_block_info *block) {
    survey *s = arg;
    s->parts += (block->flags & AIPC_PART) == AIPC_PART;
    if ((block->flags & AIPC_PART) != AIPC_INTERNAL || block->payload <= s->after) return true;
    const struct aipc_object *object = aipc_at(s->seg, block->payload, sizeof *object);
    bool unlisted = object != NULL && (aipc_label_of(object).kind == AIPC_ANONYMOUS ||
                                       is_ended(aipc_load_relaxed64(&object->state)));
    if (unlisted && s->objects < sizeof s->object / sizeof s->object[0]) s->object[s->objects++] = block->payload;
    return true;
}

static aipc_status check_unlisted(aipc_ctx *ctx, survey *s, uint32_t *walks, aipc_report *report) {
    aipc_status status;
    do {
        s->parts = s->objects = 0;
        ++*walks;
        status = aipc_heap_walk(ctx, survey_block, s);
        for (uint64_t i = 0; i < s->objects && status == AIPC_OK; i++) {
            aipc_object_ref ref;
            status = aipc_catalog_hold(ctx, s->object[i], &ref);
            if (status == AIPC_OK) status = check_object(ctx, &ref, report);
            if (status == AIPC_NOT_FOUND) status = AIPC_OK;
            s->after = s->object[i];
        }
    } while (status == AIPC_OK && s->objects != 0);
    return status;
}

static uint64_t orphaned_parts(aipc_seg *seg) {
    uint64_t parts = 0, usable;
    uint32_t flags;
    for (uint32_t i = 0; i < aipc_slots_used(seg) * AIPC_CONTEXTS; i++)
        for (int o = 0; o < AIPC_ORPHANS; o++) {
            uint64_t block = aipc_load_relaxed64(&seg->contexts[i].orphan[o]);
            if (block != 0 && aipc_heap_size_of(seg, block, &usable, &flags) == AIPC_OK) parts += flags == AIPC_PART;
        }
    return parts;
}

/* Every part is known to one object, or on its way.  Comparable only when nobody else had the heap meanwhile. */
static aipc_status check_objects(aipc_ctx *ctx, aipc_report *report) {
    aipc_seg *seg = ctx->seg;
    survey s = {.seg = seg};
    uint32_t walks = 0, before = aipc_load_seq_cst32(&seg->heap->domain.acquisitions);
    bool quiet = aipc_load_seq_cst32(&seg->heap->domain.lock) == 0;
    report->parts = 0;
    aipc_status status = check_named(ctx, report);
    if (status == AIPC_OK) status = check_unlisted(ctx, &s, &walks, report);
    (void)aipc_exchange_seq_cst64(&ctx->shared->hazard[1], 0);
    if (status != AIPC_OK) return status == AIPC_CORRUPT ? AIPC_OK : status; /* the heap's own check tells */
    uint64_t known = report->parts + orphaned_parts(seg);
    quiet = quiet && aipc_load_seq_cst32(&seg->heap->domain.acquisitions) == before + walks;
    if (quiet && known != s.parts) aipc_report_add(report, "C7 parts of containers", 0, s.parts, known);
    return AIPC_OK;
}

/* From a death until its recovery has ended, waiters and objects may look wrong; damage lasts. */
static aipc_status lasting(aipc_ctx *ctx, aipc_report *report, aipc_status (*look)(aipc_ctx *, aipc_report *)) {
    enum { PATIENCE_NS = 50000000, PAUSE_NS = 1000000 };
    uint64_t stall = ctx->seg->stall_ns, end = aipc_os_now() + (stall < PATIENCE_NS ? stall : PATIENCE_NS);
    for (;;) {
        aipc_report now = *report;
        aipc_status status = look(ctx, &now);
        if (status != AIPC_OK || now.findings == report->findings || aipc_os_now() > end) {
            *report = now;
            return status;
        }
        uint32_t recovered, never = 0;
        (void)aipc_recover_all(ctx, &recovered);
        aipc_os_futex_wait(&never, 0, PAUSE_NS);
    }
}

static aipc_status check_turn(aipc_ctx *ctx, aipc_report *report) {
    return aipc_lock_check(ctx, &ctx->seg->catalog->turn, report);
}

aipc_status aipc_check(aipc_ctx *ctx, aipc_report *report) {
    aipc_seg *seg = ctx->seg;
    uint32_t recovered;
    aipc_status status = noted(ctx, report, aipc_recover_all(ctx, &recovered));
    if (status != AIPC_OK) return status;
    check_header(seg, report);
    check_slots(seg, report);

    status = check_domain(ctx, &seg->heap->domain, report);
    if (status == AIPC_OK) status = noted(ctx, report, aipc_heap_check(ctx, report));
    if (status != AIPC_OK && status != AIPC_CORRUPT) return status;
    status = check_domain(ctx, &seg->waits->domain, report);
    if (status == AIPC_OK) status = noted(ctx, report, lasting(ctx, report, aipc_waits_check));
    if (status == AIPC_OK) status = noted(ctx, report, lasting(ctx, report, check_turn));
    if (status == AIPC_OK) status = noted(ctx, report, lasting(ctx, report, aipc_room_check));
    if (status != AIPC_OK && status != AIPC_CORRUPT) return status;
    status = check_domain(ctx, &seg->catalog->domain, report);
    if (status == AIPC_OK) status = noted(ctx, report, aipc_catalog_check(ctx, report));
    if (status == AIPC_OK) status = noted(ctx, report, aipc_shares_check(ctx, report));
    if (status == AIPC_OK) status = noted(ctx, report, lasting(ctx, report, check_objects));
    return status == AIPC_CORRUPT ? AIPC_OK : status;
}
