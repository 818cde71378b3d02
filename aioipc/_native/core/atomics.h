/* The only place with memory orders, and the hook point of the test builds.
 *
 * The memory order is part of each operation's name.  Every word of shared memory that two threads
 * may touch at once goes through here, at both widths (32 and 64 bits); nothing else in the core
 * uses atomic builtins (tests/test_source.py holds that).
 *
 * Test builds define AIPC_HOOK and supply aipc_hook(): the crash sweep kills the process in it, the
 * interleaving explorer switches threads in it.
 *
 * Orders in use, and why there are so few:
 *   relaxed   the word is protected by a lock, or is only a hint
 *   acquire / release   publication; each pair carries a `SYNC <tag>` comment on both sides
 *   seq_cst   lock words, and every store-load (Dekker) pattern: armed bells, hazards.  No stand-alone
 *             thread fences: they are easy to get wrong on one side and TSan cannot follow them.
 */
#ifndef AIPC_ATOMICS_H
#define AIPC_ATOMICS_H

#include <stdbool.h>
#include <stdint.h>

enum aipc_hook_kind { AIPC_HOOK_LOAD, AIPC_HOOK_STORE, AIPC_HOOK_RMW, AIPC_HOOK_SYSCALL };

#ifdef AIPC_HOOK
void aipc_hook(enum aipc_hook_kind kind, const volatile void *word);
#define AIPC_HOOK_POINT(kind, word) aipc_hook((kind), (word))
#else
#define AIPC_HOOK_POINT(kind, word) ((void)0)
#endif

#define AIPC_DEFINE_ATOMICS(T, N)                                                                   \
    static inline T aipc_load_relaxed##N(const T *word) {                                           \
        AIPC_HOOK_POINT(AIPC_HOOK_LOAD, word);                                                      \
        return __atomic_load_n(word, __ATOMIC_RELAXED);                                             \
    }                                                                                               \
    static inline T aipc_load_acquire##N(const T *word) {                                           \
        AIPC_HOOK_POINT(AIPC_HOOK_LOAD, word);                                                      \
        return __atomic_load_n(word, __ATOMIC_ACQUIRE);                                             \
    }                                                                                               \
    static inline T aipc_load_seq_cst##N(const T *word) {                                           \
        AIPC_HOOK_POINT(AIPC_HOOK_LOAD, word);                                                      \
        return __atomic_load_n(word, __ATOMIC_SEQ_CST);                                             \
    }                                                                                               \
    static inline void aipc_store_relaxed##N(T *word, T value) {                                    \
        AIPC_HOOK_POINT(AIPC_HOOK_STORE, word);                                                     \
        __atomic_store_n(word, value, __ATOMIC_RELAXED);                                            \
    }                                                                                               \
    static inline void aipc_store_release##N(T *word, T value) {                                    \
        AIPC_HOOK_POINT(AIPC_HOOK_STORE, word);                                                     \
        __atomic_store_n(word, value, __ATOMIC_RELEASE);                                            \
    }                                                                                               \
    static inline T aipc_exchange_seq_cst##N(T *word, T value) {                                    \
        AIPC_HOOK_POINT(AIPC_HOOK_RMW, word);                                                       \
        return __atomic_exchange_n(word, value, __ATOMIC_SEQ_CST);                                  \
    }                                                                                               \
    static inline T aipc_fetch_add_seq_cst##N(T *word, T value) {                                   \
        AIPC_HOOK_POINT(AIPC_HOOK_RMW, word);                                                       \
        return __atomic_fetch_add(word, value, __ATOMIC_SEQ_CST);                                   \
    }                                                                                               \
    static inline T aipc_fetch_or_seq_cst##N(T *word, T value) {                                    \
        AIPC_HOOK_POINT(AIPC_HOOK_RMW, word);                                                       \
        return __atomic_fetch_or(word, value, __ATOMIC_SEQ_CST);                                    \
    }                                                                                               \
    static inline T aipc_fetch_and_seq_cst##N(T *word, T value) {                                   \
        AIPC_HOOK_POINT(AIPC_HOOK_RMW, word);                                                       \
        return __atomic_fetch_and(word, value, __ATOMIC_SEQ_CST);                                   \
    }                                                                                               \
    static inline T aipc_fetch_xor_seq_cst##N(T *word, T value) {                                   \
        AIPC_HOOK_POINT(AIPC_HOOK_RMW, word);                                                       \
        return __atomic_fetch_xor(word, value, __ATOMIC_SEQ_CST);                                   \
    }                                                                                               \
    /* True when *word was `expected` and is now `desired`. */                                     \
    static inline bool aipc_cas_seq_cst##N(T *word, T expected, T desired) {                        \
        AIPC_HOOK_POINT(AIPC_HOOK_RMW, word);                                                       \
        return __atomic_compare_exchange_n(word, &expected, desired, false, __ATOMIC_SEQ_CST,       \
                                           __ATOMIC_SEQ_CST);                                       \
    }

AIPC_DEFINE_ATOMICS(uint32_t, 32)
AIPC_DEFINE_ATOMICS(uint64_t, 64)

/* Narrower words are users' data alone: one access each, and no order. */
#define AIPC_DEFINE_ACCESS(T, N)                                                                    \
    static inline T aipc_load_relaxed##N(const T *word) {                                           \
        AIPC_HOOK_POINT(AIPC_HOOK_LOAD, word);                                                      \
        return __atomic_load_n(word, __ATOMIC_RELAXED);                                             \
    }                                                                                               \
    static inline void aipc_store_relaxed##N(T *word, T value) {                                    \
        AIPC_HOOK_POINT(AIPC_HOOK_STORE, word);                                                     \
        __atomic_store_n(word, value, __ATOMIC_RELAXED);                                            \
    }

AIPC_DEFINE_ACCESS(uint8_t, 8)
AIPC_DEFINE_ACCESS(uint16_t, 16)

/* A word of this process's own memory that its threads share.  Nobody else sees it: no hook point. */
static inline uint64_t aipc_private_load64(const uint64_t *word) { return __atomic_load_n(word, __ATOMIC_RELAXED); }
static inline void aipc_private_store64(uint64_t *word, uint64_t value) { __atomic_store_n(word, value, __ATOMIC_RELAXED); }

/* Holds the compiler, not the processor: SIGKILL leaves a prefix of the machine code's program
 * order, so stores to a killed process's log and data need no processor fence, but gcc must not move
 * a store across the commit. */
static inline void aipc_compiler_barrier(void) { __atomic_signal_fence(__ATOMIC_SEQ_CST); }

/* The one thread fence: for who may only read, and looks afterwards whether what it read was true (reader.h).  Each load
 * before it comes before each load after it.  gcc refuses it under TSan, which could not follow it. */
static inline void aipc_fence_acquire(void) {
#if defined(__SANITIZE_THREAD__)
    aipc_compiler_barrier();
#else
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
#endif
}

static inline void aipc_cpu_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

_Static_assert(__GCC_ATOMIC_INT_LOCK_FREE == 2 && __GCC_ATOMIC_LLONG_LOCK_FREE == 2,
               "aioipc needs lock-free 32- and 64-bit atomics");

#endif
