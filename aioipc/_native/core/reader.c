#include "reader.h"

#include "os.h"

static aipc_status map(aipc_seg *seg, const struct aipc_header *h, const aipc_file_info *info) {
    void *base;
    aipc_status status = aipc_os_map(seg->fd, h->max_size, false, &base, &seg->error);
    if (status != AIPC_OK) return status;
    seg->base = base;
    seg->mapped = h->max_size;
    seg->limit = h->size;
    seg->wary = true;
    seg->device = info->device;
    seg->inode = info->inode;
    seg->born = info->born;
    seg->participants = h->participants;
    seg->node_count = h->nodes;
    seg->algorithm = h->algorithm;
    seg->seed = h->seed;
    seg->ordered = (h->flags & AIPC_FLAG_ORDERED) != 0;
    aipc_place_areas(seg);
    return AIPC_OK;
}

static aipc_status check_origin(aipc_seg *seg, const struct aipc_header *h, const aipc_file_info *info) {
    if (h->state != AIPC_STATE_READY) return AIPC_GONE;
    const aipc_object_id id = aipc_id_of_file(info);
    if (aipc_header_original(h, &id)) return AIPC_OK;
    seg->fault = (aipc_fault){.what = "inode: a copy of a segment, or one from before a restart; open() it for writing once",
                              .offset = offsetof(struct aipc_header, inode), .found = info->inode, .expected = h->inode};
    return AIPC_INCOMPATIBLE;
}

/* Whoever makes the segment smaller keeps readers out for a moment. */
static aipc_status be_seen(aipc_seg *seg) {
    enum { SLICE_NS = 1000000 };
    for (uint64_t waited = 0;; waited += SLICE_NS) {
        aipc_status status = aipc_os_share_byte(seg->fd, AIPC_READER_BYTE, &seg->error);
        if (status != AIPC_AGAIN) return status;
        if (waited > seg->stall_ns) {
            seg->fault = (aipc_fault){.what = "a stopped process is making the segment smaller"};
            return AIPC_STALLED;
        }
        uint32_t never = 0;
        aipc_os_futex_wait(&never, 0, SLICE_NS);
    }
}

aipc_status aipc_reader_open(aipc_seg *seg) {
    struct aipc_header copy;
    aipc_file_info info;
    aipc_status status = be_seen(seg); /* before the size is read: from now on it only grows */
    if (status == AIPC_OK) status = aipc_header_read(seg->fd, &copy, &info, &seg->fault, &seg->error);
    if (status == AIPC_OK) status = aipc_header_validate(&copy, &info, &seg->fault);
    if (status == AIPC_OK) status = check_origin(seg, &copy, &info);
    if (status == AIPC_OK) status = map(seg, &copy, &info);
    if (status != AIPC_OK) {
        aipc_reader_close(seg);
        return status;
    }
    seg->ctx[0] = (aipc_ctx){.seg = seg, .shared = &seg->nobody};
    return AIPC_OK;
}

void aipc_reader_close(aipc_seg *seg) {
    if (seg->base != NULL) aipc_os_unmap(seg->base, seg->mapped);
    aipc_os_close(seg->fd);
    seg->base = NULL;
    seg->fd = -1;
}
