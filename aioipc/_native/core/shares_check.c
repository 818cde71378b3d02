/* Checks U1-U4 (shares.h), without memory of its own and without a false alarm.
 *
 * Holdings are walked under the catalog's lock, objects and their owning words under the heap's; the findings count only
 * if the catalog stood still from the one to the other.  Shares are compared with what names the object as sums of
 * scattered offsets, over some parts of all objects; the objects of parts that disagree are then counted one by one. */
#include "catalog_parts.h"
#include "described.h"
#include "pointer.h"
#include "shares.h"

enum {
    PARTS = 64,
    BUCKETS = 512 /* objects that are counted one by one */
};

/* One object, and what the walks found of it. */
typedef struct account {
    uint64_t object, shares, named;
} account;

typedef struct check {
    aipc_seg *seg;
    aipc_report report;           /* until the end */
    uint64_t shares[PARTS], named[PARTS];
    uint64_t part;                /* whose objects are counted one by one; PARTS: none's */
    account accounts[BUCKETS];
    uint64_t listed, shedding;    /* SHEDDING objects of the list, of the heap */
    uint32_t acquisitions;        /* of the catalog's lock during the first walk */
} check;

static void found(check *c, const char *what, const void *where, uint64_t is, uint64_t should) {
    aipc_report_add(&c->report, what, aipc_offset(c->seg, where), is, should);
}

static account *account_of(check *c, uint64_t object, uint64_t hash) {
    for (uint32_t i = 0; i < BUCKETS; i++) {
        account *a = &c->accounts[((hash >> 32) + i) & (BUCKETS - 1)];
        if (a->object == 0) a->object = object;
        if (a->object == object) return a;
    }
    return NULL;
}

static void count(check *c, uint64_t object, uint64_t shares, uint64_t named) {
    uint64_t hash = aipc_scatter(object ^ c->seg->seed), part = hash % PARTS;
    c->shares[part] += shares * hash;
    c->named[part] += named * hash;
    if (part != c->part || shares + named == 0) return;
    account *a = account_of(c, object, hash);
    if (a == NULL) return;
    a->shares += shares;
    a->named += named;
}

/* ---- what names objects -------------------------------------------------------------------------- */

static void check_share(void *arg, const struct aipc_holding *record) {
    check *c = arg;
    aipc_living it;
    uint64_t target = aipc_load_relaxed64(&record->target);
    if (aipc_load_relaxed64(&record->kind) != AIPC_HOLD_SHARE) return;
    count(c, target, 0, 1);
    if (!aipc_living_at(c->seg, target, &it) || it.state != AIPC_OBJECT_LIVE || aipc_load_relaxed32(&it.object->shares) == 0)
        found(c, "U2 share of no living object", record, target, 0);
}

static void check_word(check *c, const uint64_t *word) {
    uint64_t pointer = word == NULL ? 0 : aipc_load_relaxed64(word); /* F3 tells */
    aipc_living it;
    if (pointer == 0) return;
    if (aipc_living_at(c->seg, aipc_pointer_offset(pointer), &it) && it.state == AIPC_OBJECT_LIVE &&
        aipc_pointer_means(pointer, &it.ref))
        count(c, it.ref.object, 0, 1);
    else
        found(c, "U4 owning word leads to no living object", word, pointer, 0);
}

/* ---- objects ------------------------------------------------------------------------------------- */

static void check_words(check *c, const aipc_object_ref *ref, uint64_t state) {
    aipc_description said;
    if ((ref->type & AIPC_TYPE_STRUCT) == 0 ||
        aipc_described_at(c->seg, ref->payload, ref->size, ref->count, &said) != AIPC_OK || said.owner_count == 0)
        return;
    const struct aipc_described *d = (const void *)(c->seg->base + ref->payload);
    uint64_t all = said.owner_count * ref->count, shed = aipc_load_relaxed64(&d->shed);
    if (shed > all || (state != AIPC_OBJECT_SHEDDING && shed != 0)) found(c, "U3 words that were given back", &d->shed, shed, 0);
    for (uint64_t i = 0; i < all; i++) {
        const uint64_t *word = aipc_owning_word(&said, i);
        check_word(c, word);
        if (i < shed && word != NULL && aipc_load_relaxed64(word) != 0)
            found(c, "U3 word was passed over", word, aipc_load_relaxed64(word), 0);
    }
}

static void check_object(check *c, const struct aipc_object *object, const aipc_object_ref *ref) {
    uint64_t state = aipc_state_of(object);
    uint32_t shares = aipc_load_relaxed32(&object->shares), number = shares & ~AIPC_SOLE;
    if (state == AIPC_OBJECT_LIVE)
        count(c, ref->object, number, 0);
    else if (shares != 0)
        found(c, "U2 object that is not LIVE has shares", object, shares, 0);
    if ((shares & AIPC_SOLE) != 0 && number != 1) found(c, "U1 object's sole share", object, shares, AIPC_SOLE | 1);
    c->shedding += state == AIPC_OBJECT_SHEDDING;
    if (state != AIPC_OBJECT_DESTROYED) check_words(c, ref, state);
}

static bool visit_block(void *arg, const aipc_block_info *block) {
    check *c = arg;
    aipc_object_ref ref;
    if ((block->flags & AIPC_USED) == 0 || (block->flags & AIPC_PART) != AIPC_INTERNAL) return true;
    const struct aipc_object *object = aipc_object_read(c->seg, block->payload, &ref);
    if (object != NULL && aipc_state_of(object) != 0 && aipc_object_hash_right(c->seg, object))
        check_object(c, object, &ref);
    return true;
}

/* ---- all of it ----------------------------------------------------------------------------------- */

static void check_list(check *c) {
    const uint64_t *list = &c->seg->catalog->shedding;
    uint64_t most = (aipc_limit(c->seg) - c->seg->heap_begin) / AIPC_BLOCK_MIN, at = aipc_load_relaxed64(list);
    for (; at != 0; c->listed++) {
        aipc_object_ref ref;
        const struct aipc_object *object = aipc_object_read(c->seg, at, &ref);
        if (object == NULL || aipc_load_relaxed64(&object->state) != AIPC_OBJECT_SHEDDING || c->listed == most) {
            found(c, "U3 list of shedding objects", list, at, 0);
            return;
        }
        at = aipc_load_relaxed64(&object->retired_next);
    }
}

static aipc_status walk(aipc_ctx *ctx, check *c) {
    aipc_seg *seg = c->seg;
    uint32_t used = aipc_load_seq_cst32(&seg->header->slots_used);
    memset(c->shares, 0, sizeof c->shares);
    memset(c->named, 0, sizeof c->named);
    c->listed = c->shedding = 0;
    aipc_status status = aipc_domain_lock(ctx, &seg->catalog->domain);
    if (status != AIPC_OK) return status;
    c->acquisitions = aipc_load_relaxed32(&seg->catalog->domain.acquisitions);
    for (uint32_t slot = 0; slot < used && slot < seg->participants; slot++)
        (void)aipc_holdings_walk(seg, &seg->slots[slot].holdings, check_share, c); /* D1 tells of broken chains */
    check_list(c);
    aipc_domain_unlock(ctx, &seg->catalog->domain);
    return aipc_heap_walk(ctx, visit_block, c);
}

static bool stood_still(const check *c) {
    const struct aipc_domain *domain = &c->seg->catalog->domain;
    return aipc_load_seq_cst32(&domain->lock) == 0 && aipc_load_seq_cst32(&domain->acquisitions) == c->acquisitions;
}

/* Counts the objects of this part one by one; where no one of them is wrong, the sums are. */
static aipc_status name_them(aipc_ctx *ctx, const check *sums, uint64_t part, aipc_report *report) {
    check c = {.seg = ctx->seg, .part = part};
    uint64_t before = report->findings;
    aipc_status status = walk(ctx, &c);
    if (status != AIPC_OK || !stood_still(&c)) return status;
    for (uint32_t i = 0; i < BUCKETS; i++) {
        const account *a = &c.accounts[i];
        if (a->shares != a->named) aipc_report_add(report, "U1 object's shares", a->object, a->shares, a->named);
    }
    if (report->findings == before)
        aipc_report_add(report, "U1 shares of all objects", part, sums->shares[part], sums->named[part]);
    return AIPC_OK;
}

static void tell(const check *c, aipc_report *report) {
    const aipc_report *own = &c->report;
    for (uint64_t i = 0; i < own->findings && i < AIPC_REPORT_ROOM; i++)
        aipc_report_add(report, own->finding[i].what, own->finding[i].offset, own->finding[i].found,
                        own->finding[i].expected);
    if (c->listed != c->shedding)
        aipc_report_add(report, "U3 shedding objects", aipc_offset(c->seg, &c->seg->catalog->shedding), c->shedding,
                        c->listed);
}

aipc_status aipc_shares_check(aipc_ctx *ctx, aipc_report *report) {
    check c = {.seg = ctx->seg, .part = PARTS}; /* 16 KiB */
    aipc_status status = walk(ctx, &c);
    if (status != AIPC_OK || !stood_still(&c)) return status == AIPC_CORRUPT ? AIPC_OK : status; /* the heap's check tells */
    tell(&c, report);
    for (uint64_t part = 0; part < PARTS && status == AIPC_OK; part++)
        if (c.shares[part] != c.named[part]) status = name_them(ctx, &c, part, report);
    return status == AIPC_CORRUPT ? AIPC_OK : status;
}
