// Boost.Interprocess' two algorithms, and malloc, under the loops of bench_heap.c.
//
//     bench_heap_boost rbtree|seq|malloc [rounds [scale]]
#include <boost/interprocess/managed_external_buffer.hpp>
#include <boost/interprocess/mem_algo/rbtree_best_fit.hpp>
#include <boost/interprocess/mem_algo/simple_seq_fit.hpp>
#include <boost/interprocess/sync/mutex_family.hpp>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>
#include <sys/mman.h>

namespace bip = boost::interprocess;
using rbtree = bip::rbtree_best_fit<bip::mutex_family>;
using seq = bip::simple_seq_fit<bip::mutex_family>;
typedef void *bench_block;
#include "bench_heap_loops.h"

static enum { RBTREE, SEQ, MALLOC } algorithm;
static rbtree *rbtree_heap;
static seq *seq_heap;

static bench_block bench_allocate(uint64_t size) {
    if (algorithm == RBTREE) return rbtree_heap->allocate(size);
    return algorithm == SEQ ? seq_heap->allocate(size) : std::malloc(size);
}
static bool bench_try(uint64_t size, bench_block *block) {
    if (algorithm == MALLOC) return false; /* it has no end */
    *block = bench_allocate(size);
    return *block != nullptr;
}
static void bench_free(bench_block block) {
    if (algorithm == RBTREE)
        rbtree_heap->deallocate(block);
    else if (algorithm == SEQ)
        seq_heap->deallocate(block);
    else
        std::free(block);
}
static void bench_touch(bench_block block) { *static_cast<volatile uint64_t *>(block) = 1; }

static std::vector<void *> many;
static rbtree::multiallocation_chain rbtree_chains[10];
static seq::multiallocation_chain seq_chains[10];
static int chains;
static void bench_take_many(uint64_t size, uint64_t count) {
    if (algorithm == RBTREE) rbtree_heap->allocate_many(size, count, rbtree_chains[chains++]);
    if (algorithm == SEQ) seq_heap->allocate_many(size, count, seq_chains[chains++]);
    if (algorithm == MALLOC)
        for (uint64_t i = 0; i < count; i++) many.push_back(std::malloc(size));
}
static void bench_drop_many() {
    for (; chains > 0; chains--) {
        if (algorithm == RBTREE) rbtree_heap->deallocate_many(rbtree_chains[chains - 1]);
        if (algorithm == SEQ) seq_heap->deallocate_many(seq_chains[chains - 1]);
    }
    for (void *block : many) std::free(block);
    many.clear();
}

// Shared anonymous memory, as bench_heap.c has: the file behind a segment makes no difference here.
static void make_heap(uint64_t size) {
    static void *memory;
    static uint64_t mapped;
    if (memory != nullptr) munmap(memory, mapped);
    memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    mapped = size;
    if (algorithm == RBTREE) rbtree_heap = new (memory) rbtree(size, 0);
    if (algorithm == SEQ) seq_heap = new (memory) seq(size, 0);
}

int main(int argc, char **argv) {
    const std::string name = argc > 1 ? argv[1] : "rbtree";
    algorithm = name == "malloc" ? MALLOC : name == "seq" ? SEQ : RBTREE;
    (argc > 3 ? bench_scale : bench_all)(argc > 2 ? atoi(argv[2]) : 5, make_heap, algorithm == SEQ);
    return 0;
}
