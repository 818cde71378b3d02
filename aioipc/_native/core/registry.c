#include "registry.h"

#include "bells.h"
#include "os.h"

static aipc_seg *registry;
static uint32_t registry_lock;

static void in_forked_child(void) {
    registry_lock = 0;
    for (aipc_seg *seg = registry; seg != NULL; seg = seg->next) {
        aipc_participants_in_child(seg);
        /* A bell's read end kept open here would hide its owner's death and steal its wake-ups. */
        aipc_bells_close(seg);
    }
    aipc_os_forget_thread(); /* by its parent's number it was recognised above */
}

static void lock_registry(void) {
    while (!aipc_cas_seq_cst32(&registry_lock, 0, 1)) aipc_os_yield();
}

void aipc_registry_add(aipc_seg *seg) {
    static uint32_t installed;
    if (aipc_exchange_seq_cst32(&installed, 1) == 0) (void)aipc_os_at_fork(in_forked_child);
    aipc_registry_remove(seg); /* a forked child that attaches again stands there already */
    lock_registry();
    seg->next = registry;
    registry = seg;
    aipc_store_release32(&registry_lock, 0);
}

void aipc_registry_remove(aipc_seg *seg) {
    lock_registry();
    for (aipc_seg **link = &registry; *link != NULL; link = &(*link)->next)
        if (*link == seg) {
            *link = seg->next;
            break;
        }
    aipc_store_release32(&registry_lock, 0);
}
