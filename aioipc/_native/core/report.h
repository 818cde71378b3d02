/* What a check finds.  The caller supplies the report; findings beyond its room are counted. */
#ifndef AIPC_REPORT_H
#define AIPC_REPORT_H

#include "attachment.h"

enum { AIPC_REPORT_ROOM = 64 };

typedef struct aipc_finding {
    const char *what; /* static: the invariant's name and words, e.g. "H3 free blocks touch" */
    uint64_t offset;  /* where, from the segment's base */
    uint64_t found, expected;
} aipc_finding;

typedef struct aipc_report {
    uint64_t findings;                        /* all of them */
    aipc_finding finding[AIPC_REPORT_ROOM];   /* the first */
    uint64_t blocks, free_blocks, user_blocks, owned_blocks, internal_blocks, part_blocks;
    uint64_t objects, holdings, nodes_waiting;
    uint64_t parts; /* blocks that containers know as theirs */
    uint64_t free_bytes, largest_free;
    uint64_t holes, hole_bytes;
} aipc_report;

static inline void aipc_report_add(aipc_report *report, const char *what, uint64_t offset,
                                   uint64_t found, uint64_t expected) {
    if (report->findings < AIPC_REPORT_ROOM)
        report->finding[report->findings] = (aipc_finding){what, offset, found, expected};
    report->findings++;
}

#endif
