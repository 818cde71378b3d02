#include "domain.h"

#include "os.h"
#include "participants.h"

enum { SPINS = 200 };

static inline aipc_status acquired(aipc_ctx *ctx, struct aipc_domain *domain) {
    uint64_t head = aipc_load_relaxed64(&domain->head);
    if (head == 0) {
        /* Unlogged: a lost count harms nobody. */
        aipc_store_relaxed32(&domain->acquisitions, aipc_load_relaxed32(&domain->acquisitions) + 1);
        return AIPC_OK;
    }
    aipc_domain_unlock(ctx, domain);
    return aipc_corrupt(ctx->seg, "L2 log not empty though nobody held the lock", &domain->head, head, 0);
}

static inline bool try_lock(aipc_ctx *ctx, struct aipc_domain *domain, uint32_t contended) {
    aipc_store_release64(&ctx->shared->domain, aipc_offset(ctx->seg, domain)); /* intent before the lock */
    return aipc_cas_seq_cst32(&domain->lock, 0, ctx->lock_word | contended);
}

static bool spin(aipc_ctx *ctx, struct aipc_domain *domain) {
    if (aipc_os_cpus() == 1) return false;
    for (int i = 0; i < SPINS; i++) {
        if (aipc_load_relaxed32(&domain->lock) == 0 && try_lock(ctx, domain, 0)) return true;
        aipc_cpu_relax();
    }
    return false;
}

/* Generation 0: the slot is free. */
static bool word_of_generation(uint32_t word, uint32_t generation) {
    uint32_t bits = AIPC_LOCK_GENERATION_BITS;
    return generation != 0 && (word & bits) == (aipc_lock_word(0, 0, generation) & bits);
}

/* The holder is some other context: dead, then recover it; alive, then wait a slice. */
static aipc_status wait_or_recover(aipc_ctx *ctx, struct aipc_domain *domain, uint32_t word) {
    aipc_seg *seg = ctx->seg;
    uint32_t slot = aipc_lock_word_slot(word);
    uint32_t generation;
    if (slot >= seg->participants)
        return aipc_corrupt(seg, "L4 short lock held by a slot that does not exist", &domain->lock, word, 0);

    /* The intent would name us as the holder-to-be while recovery uses this context for others. */
    aipc_store_release64(&ctx->shared->domain, 0);
    aipc_status status = aipc_participant_test(seg, slot, &generation);
    if (status == AIPC_NOT_FOUND) {
        status = seg->recover(ctx, slot, generation);
        if (status != AIPC_AGAIN) return status;
    } else if (status != AIPC_OK) {
        return status;
    } else if (!word_of_generation(word, generation) && aipc_load_seq_cst32(&domain->lock) == word) {
        /* Recovery and detach release every lock before the generation ends. */
        return aipc_corrupt(seg, "L4 short lock held by a participant that has ended", &domain->lock, word, 0);
    }
    if ((word & AIPC_LOCK_CONTENDED) == 0) {
        if (!aipc_cas_seq_cst32(&domain->lock, word, word | AIPC_LOCK_CONTENDED)) return AIPC_OK;
        word |= AIPC_LOCK_CONTENDED;
    }
    return seg->idle(seg, &domain->lock, word);
}

/* Apart from the fast path, which needs none of its registers. */
__attribute__((noinline)) static aipc_status lock_contended(aipc_ctx *ctx, struct aipc_domain *domain) {
    if (spin(ctx, domain)) return acquired(ctx, domain);
    aipc_seg *seg = ctx->seg;
    uint32_t watched = 0; /* whose hold we are timing */
    uint64_t since = 0;
    for (;;) {
        if (ctx->lock_word == 0) return AIPC_FORKED; /* while we waited: a signal handler's child */
        uint32_t word = aipc_load_seq_cst32(&domain->lock);
        if (word == 0) {
            /* Others may sleep on the word: keep their wake-up coming. */
            if (try_lock(ctx, domain, AIPC_LOCK_CONTENDED)) return acquired(ctx, domain);
            continue;
        }
        uint64_t now = aipc_os_now();
        uint32_t acquisitions = aipc_load_relaxed32(&domain->acquisitions);
        if ((word & ~AIPC_LOCK_CONTENDED) + acquisitions != watched) {
            watched = (word & ~AIPC_LOCK_CONTENDED) + acquisitions;
            since = now;
        } else if (now - since > seg->stall_ns) {
            aipc_store_release64(&ctx->shared->domain, 0);
            seg->fault = (aipc_fault){.what = "short lock held by a stopped process",
                                      .offset = aipc_offset(seg, domain), .found = word};
            seg->fault.pid = aipc_participant_pid(seg, aipc_lock_word_slot(word));
            return AIPC_STALLED;
        }
        aipc_status status = wait_or_recover(ctx, domain, word);
        if (status != AIPC_OK) {
            aipc_store_release64(&ctx->shared->domain, 0);
            return status;
        }
    }
}

aipc_status aipc_domain_lock(aipc_ctx *ctx, struct aipc_domain *domain) {
    if (ctx->lock_word == 0) return AIPC_FORKED; /* see aipc_participants_in_child */
    return try_lock(ctx, domain, 0) ? acquired(ctx, domain) : lock_contended(ctx, domain);
}

bool aipc_domain_try_lock(aipc_ctx *ctx, struct aipc_domain *domain) {
    if (ctx->lock_word != 0 && try_lock(ctx, domain, 0)) return acquired(ctx, domain) == AIPC_OK;
    aipc_store_release64(&ctx->shared->domain, 0);
    return false;
}

void aipc_domain_unlock(aipc_ctx *ctx, struct aipc_domain *domain) {
    /* A death between the exchange and the wake is healed by the waiters' time slices. */
    if ((aipc_exchange_seq_cst32(&domain->lock, 0) & AIPC_LOCK_CONTENDED) != 0)
        aipc_os_futex_wake(&domain->lock, 1);
    aipc_store_release64(&ctx->shared->domain, 0);
}
