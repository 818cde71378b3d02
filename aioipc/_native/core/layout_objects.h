/* Part of layout.h, which includes it: what lies in the payloads of objects, but for the lock. */
#ifndef AIPC_LAYOUT_OBJECTS_H
#define AIPC_LAYOUT_OBJECTS_H

/* ---- the other things to wait for ---------------------------------------------------------------- */

struct aipc_semaphore {
    uint64_t value;      /* lock-free, seq_cst CAS: permits to be had.  Nobody owns them: a death changes nothing */
    uint64_t bound;      /* immutable: `value` never exceeds it; UINT32_MAX when it was made without a bound */
    struct aipc_line line;
    uint64_t initial;    /* immutable: what `value` was at first */
    uint64_t reserved;
};

struct aipc_event {
    uint64_t word;       /* lock-free, seq_cst CAS: times it was set 63 | set 1 */
    struct aipc_line line;
    uint64_t reserved[3];
};

/* Tokens of a CapacityLimiter belong to participants: one that has ended holds none. */
struct aipc_limiter {
    uint64_t total;      /* lock-free, seq_cst: tokens there are; UINT64_MAX: no limit */
    struct aipc_line line;
    uint64_t reserved[3];
    uint64_t holders[];  /* one for each slot of the segment: generation 32 | tokens 32.  Lock-free readers, seq_cst CAS by
                            the slot's owner, who adds to it under waits only; counts only while its generation is the
                            slot's */
};

struct aipc_condition {
    struct aipc_lock own;  /* the lock, when `lock` is 0 */
    uint64_t lock;         /* immutable: offset of the aipc_object that is the lock */
    uint64_t lock_serial;  /* immutable */
    uint32_t lock_type;    /* immutable: AIPC_TYPE_LOCK (the own one too), AIPC_TYPE_RLOCK, AIPC_TYPE_CONDITION: its own */
    uint32_t contended;    /* under waits, unlogged statistics: how many ever waited */
    uint64_t notified;     /* under waits, unlogged statistics: how many were notified */
    struct aipc_wait_queue waiters; /* those who have no token */
    struct aipc_wait_queue served;  /* those who have one, and have not looked yet */
    uint32_t withdrawn;    /* lock-free, seq_cst, never logged: see aipc_wait_withdraw */
    uint32_t closed;       /* lock-free, seq_cst: 0, then 1 for ever */
    uint64_t seal;         /* immutable: of lock, lock_serial and lock_type (condition.h) */
};

struct aipc_barrier {
    uint64_t parties;      /* immutable, 1 .. AIPC_MAX_NODES */
    uint64_t word;         /* lock-free readers, written under waits by one exchange: cycle 62 | through 1 | broken 1 */
    struct aipc_wait_queue waiters; /* those who want the present cycle; before them, for a moment, those of the last one */
    struct aipc_wait_queue served;  /* those whose cycle is over; what came of it is in aipc_node.got */
    uint32_t contended;    /* under waits, unlogged statistics: how many ever waited */
    uint32_t place;        /* under waits: how many of the last cycle were served */
    uint32_t withdrawn;    /* lock-free, seq_cst, never logged: see aipc_wait_withdraw */
    uint32_t closed;       /* lock-free, seq_cst: 0, then 1 for ever */
};

/* Read-write lock: what each participant holds is one word of its own, see rwlock.h. */
enum { AIPC_GATE_OPEN = 0, AIPC_GATE_WRITER = 1, AIPC_GATE_WAITERS = 2 };
struct aipc_rwlock {
    uint64_t fair;         /* immutable: 1 strictly first come first served, 0 writers first */
    uint64_t gate;         /* lock-free, seq_cst; written under waits.  OPEN only while nobody writes or waits: readers
                              need no lock.  WAITERS if somebody waits: who lets go must tell */
    uint64_t abandoned;    /* lock-free readers.  1: set under waits by who finds a writer dead; 0: by the next writer when
                              it lets go */
    uint32_t contended;    /* under waits, unlogged statistics: acquisitions that had to wait */
    uint32_t takeovers;    /* under waits, unlogged statistics: writers found dead */
    struct aipc_wait_queue waiters[4]; /* by aipc_rwlock_want */
    uint64_t holder[4];    /* as in aipc_lock: the writer's task */
    uint64_t holders[];    /* one for each slot of the segment: generation 32 | writes 1 | upgradable 1 | reads 30.  RMW by the
                              slot's owner; counts only while its generation is the slot's.  A dead writer's is cleared,
                              under waits, by who finds it */
};

/* ---- dict --------------------------------------------------------------------------------------
 * A compact hash table: slots lead to places, places stand in insertion order and lead to entries.  What
 * is true is said by the places of the current table alone (dict.h).  Tables and entries are PART blocks. */
struct aipc_dict {
    struct aipc_domain domain;
    /* Read by everybody, written seldom. */
    uint64_t table;      /* lock-free, published under the domain: payload offset of the current aipc_dict_table; 0:
                            none, the dict is empty.  A reader whose hazard names the table, and who then finds it
                            here, knows that its places are the truth until it is not here any more. */
    uint64_t closed;     /* lock-free: 0, then 1 for ever.  RMW by who destroyed the object. */
    uint64_t reserved0[6];
    /* Changed by every write. */
    uint64_t count;        /* keys.  Lock-free readers, redo only: behind by one while a writer publishes, or is
                              stopped or dead in the middle of that. */
    uint64_t next_version; /* of the next entry.  Lock-free readers (cursors), redo only; behind as `count` is */
    uint64_t retired;      /* under the domain: unlinked blocks that a reader may look at, chained by first words */
    uint64_t shedding;     /* under the domain: tables whose entries are still to be retired, chained likewise */
    uint64_t building;     /* under the domain: the table that will be current, 0: none.  Nobody else reads it. */
    uint64_t cleared;      /* under the domain: its slots below this are 0 or in use, those above are garbage */
    uint64_t mark;         /* under the domain: places of the current table below this are in `building` too */
    uint64_t next_table;   /* under the domain: serial of the last table made */
    uint64_t rebuilds;     /* under the domain: tables replaced, for statistics */
    uint64_t skip;         /* under the domain, unlogged: retired blocks to pass over at first (retire.h) */
    uint64_t reserved1[6];
};

/* A slot is 0 or tag 24 | place + 1 40; a place is an entry's offset, or 0 when that was deleted.  Both are lock-free,
 * published under the domain.  A slot never becomes 0 again, and is given to another place only when its own is 0; a
 * place that became 0 stays so.  capacity slots are followed by capacity - capacity / 8 places. */
struct aipc_dict_table {
    uint64_t retired_next; /* under the domain, once it is retired or shed */
    uint64_t serial;       /* immutable: tells a table from another one in the same memory */
    uint64_t capacity;     /* immutable: a power of two */
    uint64_t reserved[7];  /* keeps what follows off the cache line that readers need */
    uint64_t used;         /* places below this were filled once, holes included.  Lock-free readers, redo only; behind
                              by one as `count` is.  In `building`: undo-logged, as nobody else reads it. */
    uint64_t shed;         /* under the domain: places below this have given up their entry.  0 in the current one */
    uint64_t first, top;   /* places below `first`, and from `top` on, are holes: where iterations begin.  Lock-free
                              readers, redo only; `top` is behind as `used` is, before next_version */
    uint64_t slots[];
};

/* Immutable once published, but for the first word.  Key, original key and value follow; the value at a multiple
 * of 16. */
struct aipc_dict_entry {
    uint64_t retired_next;  /* under the domain, once it is retired */
    uint64_t hash;          /* of the key */
    uint64_t serial;        /* ascends with the places of a table; a replacement takes over that of the old entry */
    uint64_t version;       /* never repeats in this dict */
    uint32_t key_size;
    uint32_t original_size;
    uint64_t value_size;    /* seal 16 | bytes 48 (seal.h); the seal is of key_size and original_size too */
    uint8_t bytes[];
};

/* ---- queues --------------------------------------------------------------------------- */

/* A run of records in a PART block, at 8-byte steps:
 *     INLINE  size << 8 | 1, then the payload, padded to 8
 *     BLOCK   size << 8 | 2, then the offset of an aipc_item
 *     END     3: the next record is the first of the next chunk
 * Nobody changes a record once it is published (in.count).  Bytes beyond in.at are the producers' alone; what a
 * dead one wrote there is overwritten. */
enum { AIPC_RECORD_INLINE = 1, AIPC_RECORD_BLOCK = 2, AIPC_RECORD_END = 3 };
struct aipc_chunk {
    uint64_t next;      /* payload offset; written under in.domain before the END that leads to it is published */
    uint64_t records[];
};

/* A message with memory of its own: too large for a record, or leased.  PART block.  All under out.domain once it
 * was published; before, its producer's alone. */
struct aipc_item {
    uint64_t next;       /* younger lease of the same holder, or next in `returned` */
    uint64_t prev;       /* older lease of the same holder */
    uint64_t owner;      /* identity of the latest holder; counts only in a holder's list */
    uint64_t queue;      /* payload offset of the aipc_queue it was made for */
    uint64_t serial;     /* of the latest lease, never repeats in its queue; 0: never leased */
    uint64_t size;       /* bytes of payload; immutable */
    uint32_t deliveries; /* how often it was leased */
    uint32_t reserved0;
    uint64_t reserved1;
    /* payload */
};

/* The producers' end. */
struct aipc_queue_in {
    uint64_t count;      /* lock-free readers, published under `domain`: messages ever put.  The commit of a put. */
    uint64_t bytes;      /* the same, by redo: payload bytes ever put.  Lags behind `count` while a put is on its way. */
    uint64_t chunk;      /* under `domain`: payload offset of the chunk that `at` is in; 0 before the first put */
    uint64_t at;         /* under `domain`: where in it the next record goes */
    uint64_t first;      /* under `domain`, written once: the first chunk ever; read under out.domain once count > 0,
                            and is never taken back from then on */
    uint64_t reserved[3];
    struct aipc_domain domain;
};

/* The consumers' end.  All under `domain`; lock-free readers where it says so. */
struct aipc_queue_out {
    uint64_t taken;      /* lock-free readers, published: messages taken or leased, less those returned */
    uint64_t done;       /* lock-free readers, published or by redo: messages reported done, or dropped */
    uint64_t bytes;      /* lock-free readers, by redo: payload bytes taken, less those returned */
    uint64_t chunk;      /* payload offset of the chunk that `at` is in; 0: nothing was taken yet, see in.first */
    uint64_t at;         /* where in it the next record is */
    uint64_t ring_taken; /* records ever taken out of the chunks */
    uint64_t returned;   /* items that came back, next to be taken first, chained through `next` */
    uint64_t leases;     /* lock-free readers, by redo: in all holders' lists together */
    uint64_t serial;     /* of the latest lease */
    uint64_t returns;    /* unlogged statistics: how many leases came back */
    uint32_t reclaimed;  /* unlogged: header.recoveries as of the last look at all holders; stale: they are looked at again */
    uint32_t reserved0;
    uint64_t all_done;   /* lock-free readers, by redo: what in.count was when all of it was done, the last time.  So
                            whoever finds it at n or beyond knows that the first n messages are done, all of them */
    uint64_t reserved1[4];
    struct aipc_domain domain;
};

/* What one participant has of a queue.  All under out.domain.  A dead one's is reclaimed by whoever takes next. */
struct aipc_queue_holder {
    uint64_t plain;       /* generation 32 | outstanding 32: of the slot's owner this is about; how many it took
                             plainly and has not reported done */
    uint64_t leases;
    uint64_t oldest, newest; /* leased items, linked both ways */
    uint64_t bytes;       /* payload bytes of them */
};

enum { AIPC_QUEUE_SHUTDOWN = 1, AIPC_QUEUE_DISCARD = 2, AIPC_QUEUE_CLOSED = 4 };

struct aipc_queue {
    uint64_t maxsize;    /* immutable: messages, 0: no limit */
    uint64_t max_bytes;  /* immutable: payload bytes, 0: no limit */
    uint32_t codec;      /* immutable, the binding's own */
    uint32_t state;      /* lock-free, seq_cst: bits are only ever set.  SHUTDOWN and DISCARD under in.domain: whoever
                            sees SHUTDOWN sees every message that was put before it */
    struct aipc_line getters, putters, joiners;
    uint64_t seal;        /* immutable: of maxsize, max_bytes and codec (queue.h) */
    uint64_t reserved[8]; /* keeps the ends out of each other's cache lines, and of this one */
    struct aipc_queue_in in;
    struct aipc_queue_out out;
    struct aipc_queue_holder holders[]; /* one for each slot of the segment */
};

/* ---- structs and arrays -------------------------------------------------------------------------- */

/* What the payload of a struct or an array begins with (described.h).  Immutable, but for `shed`.  The elements are the
 * users': words that lie as their types want it are read and written in one access each, by anybody at any time; but
 * owning words (shares.h) under catalog only. */
struct aipc_described {
    uint32_t description_size; /* bytes of UTF-8 behind these fields */
    uint32_t elements;         /* where the elements begin, counted from the payload: a multiple of 16 */
    uint64_t element_size;     /* seal 16 | bytes 48 (seal.h); aipc_object.count of them lie end to end.  The seal is of the text and the
                                  places of owning words too */
    uint64_t owners;           /* owning words in each element: where they lie in it is said behind the description, 32 bits
                                  each, ascending */
    uint64_t shed;             /* under catalog, 0 while the object lives: so many owning words have been given back */
    char description[];
};

/* ---- streams ------------------------------------------------------------------------------------- */
enum { AIPC_STREAM_CHUNKS = 40 };

/* The whole of a BufferIO but for its room, and the beginning of a VectorIO (stream.h). */
struct aipc_stream {
    uint64_t length;     /* lock-free, seq_cst: bytes that are there.  Written after them: the commit of a write */
    uint64_t room;       /* immutable: bytes that follow; 0: it grows */
    uint64_t reserved[6];
};

struct aipc_vector {
    struct aipc_stream stream;
    struct aipc_domain domain;
    uint64_t chunks[AIPC_STREAM_CHUNKS]; /* lock-free readers, published under the domain: payload offsets of PART blocks,
                                            0: not there yet.  Never changed afterwards, but by who destroys the object */
};

/* ---- pools --------------------------------------------------------------------------------------- */
enum { AIPC_POOL_OWNED = 1, AIPC_POOL_PRIVATE = 2 };

/* Nodes of one size (pool.h). */
struct aipc_pool {
    struct aipc_domain domain;
    uint64_t size;        /* immutable: bytes of a node, as asked for */
    uint64_t stride;      /* immutable: from node to node, header included; a multiple of 16 */
    uint32_t per_chunk;   /* immutable: nodes of a chunk */
    uint32_t flags;       /* immutable */
    uint64_t max_idle;    /* immutable: so many chunks are kept though all of their nodes are free */
    uint64_t owner;       /* immutable: PRIVATE: identity of the process that it goes with */
    uint64_t chunks;      /* under the domain: all chunks, newest first */
    uint64_t partial;     /* under the domain: those with some free nodes */
    uint64_t idle;        /* under the domain: those with nothing but free nodes */
    uint64_t chunk_count; /* this and the next two under the domain, lock-free readers: statistics */
    uint64_t idle_count;
    uint64_t free_nodes;
    uint64_t reserved[5];
};

/* The head of a chunk; the nodes' headers follow 8 bytes behind it, `stride` apart. */
struct aipc_pool_chunk {
    uint64_t pool;        /* payload offset of its aipc_pool; 0 once it was unlinked.  Lock-free readers */
    uint64_t all[2];      /* under the domain: next and previous in `chunks` */
    uint64_t listed[2];   /* under the domain: the same in `partial` or `idle` */
    uint64_t free;        /* under the domain: first free node (index + 1) 32 | free nodes 32 */
    uint64_t reserved[2];
};

AIPC_CHECK_SIZE(aipc_semaphore, 64);
AIPC_CHECK_SIZE(aipc_event, 64);
AIPC_CHECK_SIZE(aipc_limiter, 64);
AIPC_CHECK_SIZE(aipc_condition, 144);
AIPC_CHECK_SIZE(aipc_barrier, 64);
AIPC_CHECK_SIZE(aipc_rwlock, 128);
AIPC_CHECK_SIZE(aipc_dict, 1088 + 64 + 128);
AIPC_CHECK_SIZE(aipc_dict_table, 112);
AIPC_CHECK_SIZE(aipc_dict_entry, 48);
AIPC_CHECK_SIZE(aipc_item, 64);
AIPC_CHECK_SIZE(aipc_described, 32);
AIPC_CHECK_SIZE(aipc_stream, 64);
AIPC_CHECK_SIZE(aipc_vector, 64 + 1088 + 8 * AIPC_STREAM_CHUNKS);
AIPC_CHECK_SIZE(aipc_pool, 1088 + 128);
AIPC_CHECK_SIZE(aipc_pool_chunk, 64);
AIPC_CHECK_SIZE(aipc_queue_in, 64 + 1088);
AIPC_CHECK_SIZE(aipc_queue_out, 128 + 1088);
AIPC_CHECK_SIZE(aipc_queue_holder, 40);
AIPC_CHECK_SIZE(aipc_queue, 192 + 1152 + 1216);

#endif
