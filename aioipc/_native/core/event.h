/* Event: a flag that tasks and threads wait for.
 *
 * The word counts how often the flag was set, so whoever waited when it was set goes on, also when it was cleared again
 * before they ran (as with asyncio.Event):
 *
 *     wait    mark; happened? done.  stand (line.h); happened? leave; sleep; woken: happened? again, happened?; leave
 *     set     word: times + 1, set; asleep? wake all
 */
#ifndef AIPC_EVENT_H
#define AIPC_EVENT_H

#include "line.h"

/* Notes the present, for aipc_event_happened. */
static inline uint64_t aipc_event_mark(const struct aipc_event *e) { return aipc_load_seq_cst64(&e->word) >> 1; }
static inline bool aipc_event_is_set(const struct aipc_event *e) { return (aipc_load_seq_cst64(&e->word) & 1) != 0; }
/* Whether it is set, or was since the mark was noted. */
static inline bool aipc_event_happened(const struct aipc_event *e, uint64_t mark) {
    return aipc_event_is_set(e) || aipc_event_mark(e) != mark;
}

/* False: it was set already.  If then aipc_line_asleep(&e->line), the caller owes the line
 * aipc_line_wake(..., AIPC_EVERYBODY), whatever this returned: who set it may have died before waking. */
bool aipc_event_set(struct aipc_event *e);
void aipc_event_clear(struct aipc_event *e);

aipc_status aipc_event_check(aipc_ctx *ctx, const struct aipc_event *e, aipc_report *report);

#endif
