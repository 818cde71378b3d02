/* The whole fsck: header, slots, heap, catalog, waits, objects; each under its own short lock.
 *
 *   C7  every AIPC_PART block is known to one object as its own, or stands in an orphan word
 */
#ifndef AIPC_CHECK_H
#define AIPC_CHECK_H

#include "recovery.h"
#include "shares.h"
#include "types.h"

/* Recovers the dead first, then checks everything.  AIPC_OK however much is found; the findings are in the
 * report.  Each domain is locked for the length of its walk: linear in blocks, names, nodes. */
aipc_status aipc_check(aipc_ctx *ctx, aipc_report *report);

#endif
