#include "adopt.h"

#include <string.h>

#include "gate.h"
#include "holes.h"
#include "header.h"
#include "os.h"

static aipc_status quiet(aipc_seg *seg, uint64_t offset) {
    const struct aipc_domain *domain = aipc_at(seg, offset, sizeof *domain);
    if (domain != NULL && !aipc_os_readable(&domain->head)) return AIPC_FULL; /* a sparse copy, and no room for the rest */
    if (domain == NULL || domain->head == 0) return AIPC_OK; /* R1 is recovery's to find */
    return aipc_corrupt(seg, "L2 copied, or cut off by a power loss, in the middle of a change", &domain->head, domain->head, 0);
}

static aipc_status all_quiet(aipc_seg *seg) {
    const struct aipc_domain *fixed[] = {&seg->heap->domain, &seg->catalog->domain, &seg->waits->domain};
    aipc_status status = AIPC_OK;
    for (int i = 0; i < 3 && status == AIPC_OK; i++) status = quiet(seg, aipc_offset(seg, fixed[i]));
    for (uint32_t i = 0; i < seg->participants * AIPC_CONTEXTS && status == AIPC_OK; i++)
        if (seg->contexts[i].domain != 0) status = quiet(seg, seg->contexts[i].domain);
    return status;
}

/* As the boot is named in the header while a copy is adopted (A1), and afterwards. */
static void name_boot(struct aipc_header *header, uint64_t flip) {
    uint64_t boot[2];
    aipc_os_boot_id(boot);
    aipc_store_release64(&header->boot_id[1], boot[1] ^ flip);
    aipc_store_release64(&header->boot_id[0], boot[0] ^ flip);
}

static void forget_origin(aipc_seg *seg, const uint8_t uuid[16]) {
    struct aipc_header *header = seg->header;
    memcpy(header->uuid, uuid, sizeof header->uuid);
    header->flags &= ~(uint32_t)AIPC_FLAG_LAST_DETACH;
    header->unlinked = 0;
    if (seg->lent) header->max_size = seg->mapped; /* there is no more of it */
    header->born = seg->born;
    aipc_store_release64(&header->device, seg->device);
    aipc_store_release64(&header->inode, seg->inode);
}

static aipc_status begin(aipc_seg *seg) {
    struct aipc_header *header = seg->header;
    uint8_t uuid[16];
    aipc_status status = seg->lent ? AIPC_OK : aipc_os_reserve(seg->fd, 0, seg->heap_begin, &seg->error);
    if (status == AIPC_OK) status = all_quiet(seg);
    if (status == AIPC_OK && !seg->lent) status = aipc_heap_back_all(seg, seg->fd);
    if (status == AIPC_OK) status = aipc_os_random(uuid, sizeof uuid, &seg->error);
    if (status != AIPC_OK) return status;
    name_boot(header, UINT64_MAX);
    const aipc_object_id id = aipc_id_of(seg);
    if (!aipc_header_on(header, &id)) forget_origin(seg, uuid);
    return AIPC_OK;
}

aipc_status aipc_adopt_begin(aipc_seg *seg, int gate) {
    const struct aipc_header *header = seg->header;
    const aipc_object_id id = aipc_id_of(seg);
    if (!aipc_nobody(gate, &seg->error)) {
        seg->fault = (aipc_fault){.what = "inode: a copy of a segment that somebody has open",
                                  .offset = offsetof(struct aipc_header, inode), .found = seg->inode, .expected = header->inode};
        return AIPC_INCOMPATIBLE;
    }
    return aipc_header_adopting(header, &id) ? AIPC_OK : begin(seg);
}

/* The first thing that a check finds is what is wrong with the copy. */
static aipc_status checked(aipc_ctx *ctx) {
    aipc_report report; /* 2 KiB */
    memset(&report, 0, sizeof report);
    aipc_status status = aipc_check(ctx, &report);
    if (status != AIPC_OK || report.findings == 0) return status;
    const aipc_finding *first = &report.finding[0];
    ctx->seg->fault = (aipc_fault){.what = first->what, .offset = first->offset, .found = first->found,
                                   .expected = first->expected};
    return AIPC_CORRUPT;
}

aipc_status aipc_adopt_end(aipc_seg *seg) {
    aipc_ctx *ctx;
    aipc_status status = aipc_ctx_enter(seg, &ctx);
    if (status != AIPC_OK) return status;
    status = checked(ctx);
    aipc_ctx_leave(ctx);
    if (status == AIPC_OK) name_boot(seg->header, 0);
    return status;
}
