/* The core's public face: everything the binding may call. */
#ifndef AIPC_H
#define AIPC_H

#include "adopt.h"
#include "barrier.h"
#include "check.h"
#include "condition.h"
#include "described.h"
#include "dict.h"
#include "event.h"
#include "heap_map.h"
#include "holders.h"
#include "grow.h"
#include "holes.h"
#include "limiter.h"
#include "lock.h"
#include "memory.h"
#include "os.h"
#include "pending.h"
#include "pointer.h"
#include "pool.h"
#include "queue.h"
#include "quiesce.h"
#include "reader.h"
#include "room.h"
#include "rwlock.h"
#include "segment.h"
#include "semaphore.h"
#include "stream.h"
#include "watch.h"
#include "where.h"

#endif
