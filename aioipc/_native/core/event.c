#include "event.h"

bool aipc_event_set(struct aipc_event *e) {
    for (;;) {
        uint64_t word = aipc_load_seq_cst64(&e->word);
        if ((word & 1) != 0) return false;
        if (aipc_cas_seq_cst64(&e->word, word, (word + 2) | 1)) return true; /* SYNC line-asleep */
    }
}

void aipc_event_clear(struct aipc_event *e) { (void)aipc_fetch_and_seq_cst64(&e->word, ~UINT64_C(1)); }

aipc_status aipc_event_check(aipc_ctx *ctx, const struct aipc_event *e, aipc_report *report) {
    return aipc_line_check(ctx, &e->line, report);
}
