#include "holders.h"

#include "names.h"
#include "os.h"
#include "reader.h"
#include "rwlock_state.h"

enum {
    TRIES = 8,           /* looks at what is changed meanwhile, before what was seen is taken for what there is */
    DWELL_NS = 2000000   /* who has a core lock for so long does not work: it is stopped, or dead */
};

typedef struct survey {
    aipc_seg *seg;
    aipc_holder *holders;
    uint64_t capacity, count;
    uint64_t waiting;               /* the first so many records are those of wait nodes */
    uint8_t known[AIPC_MAX_PARTICIPANTS]; /* 0: not looked at yet, else 1 + alive */
} survey;

/* ---- records ------------------------------------------------------------------------------------- */

/* One system call for each participant, and none for the caller itself. */
static bool lives(survey *s, uint32_t slot, uint32_t generation) {
    aipc_seg *seg = s->seg;
    if (!aipc_participant_current(seg, slot, generation)) return false;
    if (seg->self != 0 && slot == seg->slot && generation == seg->generation) return true;
    int error;
    if (s->known[slot] == 0)
        s->known[slot] = 1 + (aipc_os_test_bytes(seg->fd, AIPC_LIVENESS_BASE + slot, 1, &error) != AIPC_OK);
    return s->known[slot] > 1;
}

/* A new record, or NULL when there is no room or there can be no such participant. */
static aipc_holder *add(survey *s, const char *what, uint32_t slot, uint32_t generation) {
    if (slot >= s->seg->participants) return NULL;
    if (s->count++ >= s->capacity) return NULL;
    bool current = aipc_participant_current(s->seg, slot, generation);
    aipc_holder *holder = &s->holders[s->count - 1];
    *holder = (aipc_holder){.what = what, .slot = slot, .generation = generation, .amount = 1,
                            .alive = lives(s, slot, generation),
                            .pid = current ? aipc_participant_pid(s->seg, slot) : 0};
    return holder;
}

static void add_of(survey *s, const aipc_object_ref *ref, const char *what, uint32_t slot, uint32_t generation,
                   uint64_t amount, const uint64_t *task) {
    aipc_holder *holder = amount == 0 ? NULL : add(s, what, slot, generation);
    if (holder == NULL) return;
    holder->object = ref->object;
    holder->serial = ref->serial;
    holder->amount = amount;
    for (int i = 0; task != NULL && i < 4; i++) holder->task[i] = aipc_load_relaxed64(&task[i]);
}

/* aipc_look_holds, for what need not be of one moment: each record is judged by itself. */
static bool undisturbed(const aipc_look *look) {
    return (aipc_load_seq_cst32(&look->domain->lock) & ~AIPC_LOCK_CONTENDED) == look->lock &&
           aipc_load_seq_cst32(&look->domain->acquisitions) == look->acquisitions;
}

static uint32_t generation_of(const aipc_seg *seg, uint32_t slot) {
    return aipc_life_generation(aipc_load_seq_cst64(&seg->slots[slot].life));
}

/* ---- objects, by type -------------------------------------------------------------------------- */

static void of_lock(survey *s, const aipc_object_ref *ref, const struct aipc_lock *lock) {
    uint64_t word = aipc_load_seq_cst64(&lock->word);
    const char *what = ref->type == AIPC_TYPE_LEADER ? "leader" : ref->type == AIPC_TYPE_ONCE ? "once" : "lock";
    if (aipc_lock_owner(word) == 0) return;
    /* The name is the last holder's until the waiter that it was handed to has noticed. */
    const uint64_t *task = aipc_lock_granted(word) == 0 ? lock->holder : NULL;
    add_of(s, ref, what, aipc_lock_owner_slot(word), (uint32_t)(word >> 32), 1, task);
}

static void of_rwlock(survey *s, const aipc_object_ref *ref, const struct aipc_rwlock *rw) {
    for (uint32_t slot = 0; slot < aipc_slots_used(s->seg); slot++) {
        uint64_t word = aipc_load_seq_cst64(&rw->holders[slot]);
        uint32_t generation = (uint32_t)(word >> 32);
        if ((word & AIPC_RW_WRITE) != 0) add_of(s, ref, "write", slot, generation, 1, rw->holder);
        if (!aipc_rw_counts(s->seg, slot, word)) continue;
        add_of(s, ref, "upgradable", slot, generation, (word & AIPC_RW_UPGRADABLE) != 0, NULL);
        add_of(s, ref, "read", slot, generation, aipc_rw_reads(word), NULL);
    }
}

static void of_limiter(survey *s, const aipc_object_ref *ref, const struct aipc_limiter *limiter) {
    for (uint32_t slot = 0; slot < aipc_slots_used(s->seg); slot++)
        add_of(s, ref, "token", slot, generation_of(s->seg, slot), aipc_limiter_borrowed_by(s->seg, limiter, slot), NULL);
}

static void of_queue(survey *s, const aipc_object_ref *ref, const struct aipc_queue *queue) {
    for (uint32_t slot = 0; slot < aipc_slots_used(s->seg); slot++) {
        const struct aipc_queue_holder *holder = &queue->holders[slot];
        uint64_t plain = aipc_load_relaxed64(&holder->plain);
        add_of(s, ref, "lease", slot, (uint32_t)(plain >> 32), aipc_load_relaxed64(&holder->leases), NULL);
        add_of(s, ref, "unfinished", slot, (uint32_t)(plain >> 32), (uint32_t)plain, NULL);
    }
}

/* Turns a dead or stopped holder of a core lock into a record; what running ones have is gone before it is read. */
static void of_domain(survey *s, const aipc_object_ref *ref, const char *core, const struct aipc_domain *domain) {
    aipc_look look = aipc_look_begin(domain);
    uint32_t slot = look.lock >> 20, context = look.lock >> 14 & 63, never = 0;
    if (look.lock == 0 || slot >= s->seg->participants || context >= AIPC_CONTEXTS) return;
    uint32_t generation = generation_of(s->seg, slot);
    if (aipc_lock_word(slot, context, generation) != look.lock) return; /* R1: it is over */
    aipc_os_futex_wait(&never, 0, DWELL_NS);
    aipc_holder *holder = undisturbed(&look) ? add(s, "core lock", slot, generation) : NULL;
    if (holder == NULL) return;
    holder->core = core;
    holder->place = aipc_offset(s->seg, domain);
    holder->thread = aipc_load_relaxed64(&aipc_context_of(s->seg, slot, context)->thread);
    if (ref == NULL) return;
    holder->object = ref->object;
    holder->serial = ref->serial;
}

static void of_waiters(survey *s, const aipc_object_ref *ref) {
    for (uint64_t i = 0; i < s->waiting && i < s->capacity; i++) {
        if (s->holders[i].place < ref->payload || s->holders[i].place - ref->payload >= ref->size) continue;
        s->holders[i].object = ref->object;
        s->holders[i].serial = ref->serial;
    }
}

/* The payload, when it has so many bytes. */
static const void *payload(aipc_seg *seg, const aipc_object_ref *ref, uint64_t size) {
    return ref->size < size ? NULL : aipc_at(seg, ref->payload, size);
}

static void of_type(survey *s, const aipc_object_ref *ref) {
    aipc_seg *seg = s->seg;
    const void *at;
    switch (ref->type) {
    case AIPC_TYPE_LOCK:
    case AIPC_TYPE_RLOCK:
    case AIPC_TYPE_ONCE:
    case AIPC_TYPE_LEADER:
    case AIPC_TYPE_CONDITION: /* begins with a lock of its own */
        if ((at = payload(seg, ref, sizeof(struct aipc_lock))) != NULL) of_lock(s, ref, at);
        break;
    case AIPC_TYPE_RWLOCK:
        if ((at = payload(seg, ref, aipc_rwlock_object_size(seg->participants))) != NULL) of_rwlock(s, ref, at);
        break;
    case AIPC_TYPE_LIMITER:
        if ((at = payload(seg, ref, aipc_limiter_object_size(seg->participants))) != NULL) of_limiter(s, ref, at);
        break;
    case AIPC_TYPE_QUEUE:
        if ((at = aipc_queue_at(seg, ref->payload, ref->size)) != NULL) of_queue(s, ref, at);
        break;
    default: break;
    }
}

static void of_object(survey *s, const aipc_object_ref *ref) {
    struct aipc_domain *domains[AIPC_DOMAINS];
    uint64_t before = s->count;
    of_type(s, ref);
    uint32_t count = aipc_type_domains(s->seg, ref, domains);
    for (uint32_t i = 0; i < count; i++) of_domain(s, ref, "object", domains[i]);
    if (aipc_object_destroyed(s->seg, ref))
        s->count = before; /* and its memory may have been anything else's by now */
    else
        of_waiters(s, ref);
}

/* ---- all objects ---------------------------------------------------------------------------------- */

static bool is_object(aipc_seg *seg, uint64_t offset, aipc_object_ref *ref) {
    const struct aipc_object *object = aipc_object_read(seg, offset, ref);
    return object != NULL && aipc_object_hash_right(seg, object);
}

/* False: the table was replaced meanwhile. */
static bool of_table(survey *s) {
    aipc_names names;
    aipc_object_ref ref;
    uint64_t table = aipc_load_acquire64(&s->seg->catalog->table);
    if (aipc_names_view(s->seg, table, &names) != AIPC_OK) return aipc_load_acquire64(&s->seg->catalog->table) == table;
    for (uint64_t i = 0; i < names.capacity; i++) {
        uint64_t word = aipc_load_acquire64(&names.table->slots[i]);
        if (word > AIPC_TOMBSTONE && is_object(s->seg, word & AIPC_SLOT_OFFSET, &ref)) of_object(s, &ref);
    }
    return aipc_load_acquire64(&s->seg->catalog->table) == table;
}

/* ---- chains of holdings ---------------------------------------------------------------------------- */

static const char *holding_name(uint64_t kind) {
    switch (kind & 255) {
    case AIPC_HOLD_PIN: return "handle";
    case AIPC_HOLD_BLOCK: return "block";
    case AIPC_HOLD_SHARE: return "share";
    case AIPC_HOLD_MADE: return "constructs";
    case AIPC_HOLD_UNMADE: return "destroys";
    case 0: return NULL; /* just being given back */
    default: return "holding";
    }
}

static void of_holding(survey *s, uint32_t slot, const struct aipc_holding *record) {
    uint64_t target = aipc_load_relaxed64(&record->target);
    const char *what = holding_name(aipc_load_relaxed64(&record->kind));
    aipc_object_ref ref = {0};
    if (what == NULL) return;
    bool object = is_object(s->seg, target, &ref);
    /* Objects without a name are found through the handles on them alone. */
    if (object && ref.kind == AIPC_ANONYMOUS) of_object(s, &ref);
    aipc_holder *holder = add(s, what, slot, generation_of(s->seg, slot));
    if (holder == NULL) return;
    holder->place = target;
    if (!object) return;
    holder->object = ref.object;
    holder->serial = ref.serial;
}

/* The record at this offset, if it can be the one behind `before`; no record can be behind two. */
static const struct aipc_holding *holding_at(aipc_seg *seg, uint64_t offset, uint64_t before) {
    uint64_t usable;
    uint32_t flags;
    if (aipc_heap_size_of(seg, offset, &usable, &flags) != AIPC_OK || (flags & AIPC_PART) != AIPC_INTERNAL ||
        usable < sizeof(struct aipc_holding))
        return NULL;
    const struct aipc_holding *record = (const void *)(seg->base + offset);
    return aipc_load_relaxed64(&record->prev) == before ? record : NULL;
}

/* False: it changed meanwhile. */
static bool of_chain(survey *s, uint32_t slot, const uint64_t *head) {
    aipc_seg *seg = s->seg;
    aipc_look look = aipc_look_begin(&seg->catalog->domain);
    uint64_t before = 0, offset = aipc_load_relaxed64(head);
    uint64_t most = (seg->limit - seg->heap_begin) / AIPC_BLOCK_MIN;
    const struct aipc_holding *record;
    for (uint64_t i = 0; offset != 0 && i < most && (record = holding_at(seg, offset, before)) != NULL; i++) {
        of_holding(s, slot, record);
        before = offset;
        offset = aipc_load_relaxed64(&record->next);
    }
    return undisturbed(&look);
}

static bool of_holdings(survey *s, uint32_t slot) { return of_chain(s, slot, &s->seg->slots[slot].holdings); }
static bool of_registrations(survey *s, uint32_t slot) { return of_chain(s, slot, &s->seg->slots[slot].registrations); }

/* ---- the rest of a participant --------------------------------------------------------------------- */

static void of_views(survey *s, uint32_t slot) {
    if (aipc_life_state(aipc_load_seq_cst64(&s->seg->slots[slot].life)) == AIPC_SLOT_FREE) return;
    for (int i = 0; i < AIPC_PINS; i++) {
        uint64_t block = aipc_load_relaxed64(&s->seg->slots[slot].pinned[i]);
        aipc_holder *holder = block == 0 ? NULL : add(s, "view", slot, generation_of(s->seg, slot));
        if (holder != NULL) holder->place = block;
    }
}

static void of_nodes(survey *s) {
    const aipc_seg *seg = s->seg;
    uint32_t used = aipc_load_relaxed32(&seg->waits->nodes_used);
    for (uint32_t i = 0; i < used && i < seg->node_count; i++) {
        const struct aipc_node *node = &seg->nodes[i];
        if (aipc_load_relaxed32(&node->state) == AIPC_NODE_FREE || aipc_load_relaxed32(&node->withdrawn) != 0) continue;
        aipc_holder *holder = add(s, "waiting", aipc_load_relaxed32(&node->slot), aipc_load_relaxed32(&node->generation));
        if (holder == NULL) continue;
        holder->place = aipc_load_relaxed64(&node->queue);
        holder->since = aipc_load_relaxed64(&node->since);
        if (holder->place - aipc_offset(seg, seg->heap) < sizeof *seg->heap) holder->core = "free memory";
    }
    s->waiting = s->count;
}

/* Who has an atomic block open, and who waits for that. */
static void of_blocks(survey *s) {
    const struct aipc_lock *turn = &s->seg->catalog->turn;
    uint64_t word = aipc_load_seq_cst64(&turn->word), begin = aipc_offset(s->seg, turn);
    for (uint64_t i = 0; i < s->waiting && i < s->capacity; i++)
        if (s->holders[i].place - begin < sizeof *turn) s->holders[i].core = "atomic block";
    if (aipc_lock_owner(word) == 0) return;
    uint64_t before = s->count;
    add_of(s, &(aipc_object_ref){0}, "atomic", aipc_lock_owner_slot(word), (uint32_t)(word >> 32), 1,
           aipc_lock_granted(word) == 0 ? turn->holder : NULL);
    if (s->count == before || s->count > s->capacity) return;
    s->holders[s->count - 1].place = begin;
    s->holders[s->count - 1].core = "atomic block";
}

/* Until it was not changed meanwhile, but not for ever: then what was seen last is what there is. */
static void again(survey *s, bool (*look)(survey *s, uint32_t slot), uint32_t slot) {
    uint64_t before = s->count;
    for (int i = 0; i < TRIES; i++) {
        s->count = before;
        if (look(s, slot)) return;
    }
}
static bool look_at_table(survey *s, uint32_t slot) {
    (void)slot;
    return of_table(s);
}

void aipc_holders_list(aipc_seg *seg, aipc_holder *holders, uint64_t capacity, uint64_t *count) {
    survey s = {.seg = seg, .holders = holders, .capacity = capacity};
    of_nodes(&s);
    of_blocks(&s);
    of_domain(&s, NULL, "heap", &seg->heap->domain);
    of_domain(&s, NULL, "catalog", &seg->catalog->domain);
    of_domain(&s, NULL, "wait queues", &seg->waits->domain);
    again(&s, look_at_table, 0);
    for (uint32_t slot = 0; slot < aipc_slots_used(seg); slot++) {
        again(&s, of_holdings, slot);
        again(&s, of_registrations, slot);
        of_views(&s, slot);
    }
    *count = s.count;
}

aipc_status aipc_holders_object(aipc_seg *seg, const aipc_holder *holder, aipc_held_object *info) {
    const struct aipc_object *object = aipc_object_read(seg, holder->object, &info->ref);
    if (object == NULL || info->ref.serial != holder->serial) return AIPC_NOT_FOUND;
    info->name_size = aipc_label_of(object).name_size & AIPC_NAME_MAX; /* what was read before is within it */
    info->pins = aipc_load_relaxed32(&object->pins);
    for (uint32_t i = 0; i < info->name_size; i++)
        info->name[i] = *(const volatile char *)&object->name[i];
    return aipc_object_read(seg, holder->object, &info->ref) == object && info->ref.serial == holder->serial
               ? AIPC_OK
               : AIPC_NOT_FOUND;
}
