/* The whole fsck: header, slots, heap, catalog, waits, locks; each under its own short lock. */
#ifndef AIPC_CHECK_H
#define AIPC_CHECK_H

#include "lock.h"
#include "recovery.h"
#include "segment.h"

/* Type numbers of built-in objects (aipc_object.type). */
enum { AIPC_TYPE_LOCK = 1 };

/* Recovers the dead first, then checks everything.  AIPC_OK however much is found; the findings are in the
 * report.  Each domain is locked for the length of its walk: linear in blocks, names, nodes. */
aipc_status aipc_check(aipc_ctx *ctx, aipc_report *report);

#endif
