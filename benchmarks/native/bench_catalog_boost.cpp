/* The same for Boost.Interprocess: construct, find, destroy by name.
 *
 *     bench_catalog_boost iset|unordered [rounds] [names]
 *
 * iset is managed_shared_memory's own index; find takes its recursive process-shared mutex. */
#include <boost/interprocess/indexes/iunordered_set_index.hpp>
#include <boost/interprocess/managed_shared_memory.hpp>

#include <cstring>

#include "bench_catalog_loops.h"

namespace bip = boost::interprocess;
using unordered_memory = bip::basic_managed_shared_memory<char, bip::rbtree_best_fit<bip::mutex_family>,
                                                          bip::iunordered_set_index>;
struct payload {
    char bytes[BENCH_PAYLOAD];
};

static const char NAME[] = "aioipc-bench-catalog";
static bool unordered;
static bip::managed_shared_memory *with_set;
static unordered_memory *with_hash;

static void bench_open(size_t names) {
    const size_t size = names * 320 + (16 << 20);
    bip::shared_memory_object::remove(NAME);
    if (unordered) {
        with_hash = new unordered_memory(bip::create_only, NAME, size);
        with_hash->reserve_named_objects(names);
    } else {
        with_set = new bip::managed_shared_memory(bip::create_only, NAME, size);
    }
}
static void bench_close(void) {
    delete with_hash;
    delete with_set;
    with_hash = nullptr;
    with_set = nullptr;
    bip::shared_memory_object::remove(NAME);
}
static void bench_construct(const char *name, size_t) {
    if (unordered)
        with_hash->construct<payload>(name)();
    else
        with_set->construct<payload>(name)();
}
static void bench_find(const char *name, size_t) {
    const void *found = unordered ? with_hash->find<payload>(name).first : with_set->find<payload>(name).first;
    if (found == nullptr) abort();
}
static void bench_give_back(size_t) {}

/* Boost has no ranges of names, and its iterators no lock. */
template <class Segment> static size_t count_range(Segment *segment, const char *prefix, size_t size) {
    size_t found = 0;
    for (auto it = segment->named_begin(); it != segment->named_end(); ++it)
        found += it->name_length() >= size && std::memcmp(it->name(), prefix, size) == 0;
    return found;
}
static void bench_range(const char *name) {
    const size_t size = std::strlen(name) - 2;
    if ((unordered ? count_range(with_hash, name, size) : count_range(with_set, name, size)) == 0) abort();
}
static void bench_destroy(const char *name, size_t) {
    if (!(unordered ? with_hash->destroy<payload>(name) : with_set->destroy<payload>(name))) abort();
}

int main(int argc, char **argv) {
    unordered = argc > 1 && std::strcmp(argv[1], "unordered") == 0;
    bench_curve(argc > 2 ? atoi(argv[2]) : 5, argc > 3 ? (size_t)atol(argv[3]) : 1000000);
    return 0;
}
