/* What the core knows about the types of objects: how to check one, and how to take it apart. */
#ifndef AIPC_TYPES_H
#define AIPC_TYPES_H

#include "barrier.h"
#include "catalog.h"
#include "condition.h"
#include "described.h"
#include "dict.h"
#include "event.h"
#include "limiter.h"
#include "lock.h"
#include "pool.h"
#include "queue.h"
#include "rwlock.h"
#include "semaphore.h"
#include "stream.h"

/* Type numbers of built-in objects (aipc_object.type).  Those of structs have AIPC_TYPE_STRUCT set. */
enum {
    AIPC_TYPE_LOCK = 1,
    AIPC_TYPE_QUEUE = 2,
    AIPC_TYPE_DICT = 3,
    AIPC_TYPE_RLOCK = 4, /* an aipc_lock, as is the next one */
    AIPC_TYPE_ONCE = 5,
    AIPC_TYPE_LEADER = 6, /* an aipc_leader */
    AIPC_TYPE_RWLOCK = 7,
    AIPC_TYPE_CONDITION = 8,
    AIPC_TYPE_SEMAPHORE = 9,
    AIPC_TYPE_BOUNDED_SEMAPHORE = 10,
    AIPC_TYPE_EVENT = 11,
    AIPC_TYPE_BARRIER = 12,
    AIPC_TYPE_LIMITER = 13,
    AIPC_TYPE_ATOMIC_INT64 = 32, /* one word of eight bytes, as is the next one */
    AIPC_TYPE_ATOMIC_UINT64 = 33,
    AIPC_TYPE_ATOMIC_INT32 = 34, /* one word of four bytes, as are those up to the flag */
    AIPC_TYPE_ATOMIC_UINT32 = 35,
    AIPC_TYPE_ATOMIC_BOOL = 36,
    AIPC_TYPE_ATOMIC_FLAG = 37,
    AIPC_TYPE_ARRAY = 38, /* described.h */
    AIPC_TYPE_BUFFER_IO = 39,
    AIPC_TYPE_VECTOR_IO = 40,
    AIPC_TYPE_POOL = 44, /* an aipc_pool, as are the next two */
    AIPC_TYPE_PRIVATE_POOL = 45,
    AIPC_TYPE_ADAPTIVE_POOL = 46
};

/* Unlinks one block that only this destroyed object knows (aipc_retired.part); 0: there is none (any more). */
uint64_t aipc_type_part(aipc_tx *tx, uint64_t type, uint64_t payload, uint64_t size);

/* The domains inside of an object, at most AIPC_DOMAINS of them; returns how many. */
enum { AIPC_DOMAINS = 2 };
uint32_t aipc_type_domains(aipc_seg *seg, const aipc_object_ref *ref, struct aipc_domain *domains[AIPC_DOMAINS]);

/* What is true of an object that a participant, dead or leaving, has a pin on, is so without it afterwards: nothing of it is in
 * the object.  Before the pin goes; may be repeated.  *ends: the object is to be destroyed with it. */
aipc_status aipc_type_forsake(aipc_ctx *ctx, const aipc_object_ref *ref, uint32_t slot, bool *ends);

/* Reports the broken invariants of one object, and counts its parts.  pre: a hazard of ctx names the object. */
aipc_status aipc_type_check(aipc_ctx *ctx, const aipc_object_ref *ref, aipc_report *report);

#endif
