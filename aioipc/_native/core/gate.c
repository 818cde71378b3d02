#include "gate.h"

#include <string.h>

enum { RETRY_NS = 1000000 };

void aipc_bell_directory(const uint8_t uuid[16], char *out) {
    static const char prefix[] = "/dev/shm/.aioipc-", digits[] = "0123456789abcdef";
    memcpy(out, prefix, sizeof prefix - 1);
    out += sizeof prefix - 1;
    for (int i = 0; i < 16; i++) {
        *out++ = digits[uuid[i] >> 4];
        *out++ = digits[uuid[i] & 15];
    }
    *out = '\0';
}

aipc_status aipc_path_is(const char *path, uint64_t device, uint64_t inode, int *error) {
    aipc_file_info info;
    if (path[0] == '\0') return AIPC_OK;
    aipc_status status = aipc_os_stat_path(path, &info, error);
    if (status == AIPC_OK && (info.device != device || info.inode != inode)) return AIPC_NOT_FOUND;
    return status;
}

static aipc_status lock_gate(aipc_seg *seg, int fd) {
    for (uint64_t waited = 0;; waited += RETRY_NS) {
        aipc_status status = aipc_os_lock_byte(fd, AIPC_GATE_BYTE, &seg->error);
        if (status != AIPC_AGAIN) return status;
        if (waited > seg->stall_ns) {
            seg->fault = (aipc_fault){.what = "the gate is held by a stopped process"};
            return AIPC_STALLED;
        }
        uint32_t never = 0;
        aipc_os_futex_wait(&never, 0, RETRY_NS); /* held for microseconds; nobody wakes us */
    }
}

aipc_status aipc_gate_open(aipc_seg *seg, int *gate) {
    aipc_status status = aipc_os_reopen(seg->fd, seg->path, seg->device, seg->inode, gate, &seg->error);
    if (status != AIPC_OK) return status;
    status = lock_gate(seg, *gate);
    if (status != AIPC_OK) aipc_os_close(*gate);
    return status;
}

aipc_status aipc_byte_take(aipc_seg *seg, int64_t byte, int *taken) {
    aipc_status status = aipc_os_reopen(seg->fd, seg->path, seg->device, seg->inode, taken, &seg->error);
    if (status != AIPC_OK) return status;
    status = aipc_os_lock_byte(*taken, byte, &seg->error);
    if (status != AIPC_OK) aipc_os_close(*taken);
    return status;
}

/* Closing alone would leave it locked by a child that another thread has forked meanwhile. */
void aipc_byte_give_back(int taken, int64_t byte) {
    int ignored;
    (void)aipc_os_unlock_byte(taken, byte, &ignored);
    aipc_os_close(taken);
}

void aipc_gate_close(int gate) { aipc_byte_give_back(gate, AIPC_GATE_BYTE); }

bool aipc_nobody(int fd, int *error) {
    return aipc_os_test_bytes(fd, AIPC_LIVENESS_BASE, AIPC_MAX_PARTICIPANTS, error) == AIPC_OK;
}

/* Under the gate, when nobody is attached: the last one out switches off the light.  The name goes last: as long as
 * it is there, whoever looks finishes what a killed one began. */
void aipc_finish_off(aipc_seg *seg) {
    int ignored;
    aipc_store_release32(&seg->header->state, AIPC_STATE_DEAD);
    (void)aipc_os_remove_directory(seg->bell_path, &ignored);
    if (seg->path[0] != '\0' && aipc_path_is(seg->path, seg->device, seg->inode, &ignored) == AIPC_OK)
        aipc_os_unlink(seg->path);
}
