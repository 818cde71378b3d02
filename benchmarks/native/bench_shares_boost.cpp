/* The same for Boost.Interprocess: managed_shared_ptr and managed_weak_ptr.  Their counts do not survive a killed owner.
 *
 *     bench_shares_boost [rounds] */
#include <boost/interprocess/managed_shared_memory.hpp>
#include <boost/interprocess/smart_ptr/shared_ptr.hpp>
#include <boost/interprocess/smart_ptr/weak_ptr.hpp>

#include "bench_shares_loops.h"

namespace bip = boost::interprocess;
struct payload {
    char bytes[BENCH_PAYLOAD];
};
using pointer = bip::managed_shared_ptr<payload, bip::managed_shared_memory>::type;
using weak_pointer = bip::managed_weak_ptr<payload, bip::managed_shared_memory>::type;
struct owning {
    pointer word;
};

static const char NAME[] = "aioipc-bench-shares";
static bip::managed_shared_memory *memory;
static owning *owner;
static pointer targets[2];
static weak_pointer weak;

static pointer made() {
    return bip::make_managed_shared_ptr(memory->construct<payload>(bip::anonymous_instance)(), *memory);
}

static void bench_open(void) {
    bip::shared_memory_object::remove(NAME);
    memory = new bip::managed_shared_memory(bip::create_only, NAME, 16 << 20);
    owner = memory->construct<owning>(bip::anonymous_instance)();
    for (pointer &target : targets) target = made();
    weak = weak_pointer(targets[0]);
}
static void bench_close(void) {
    memory->destroy_ptr(owner);
    weak = weak_pointer();
    for (pointer &target : targets) target = pointer();
    delete memory;
    bip::shared_memory_object::remove(NAME);
}
static void bench_make(void) { pointer made_one = made(); }
static void bench_copy(void) {
    pointer copy(targets[0]);
    asm volatile("" : : "r"(&copy) : "memory");
}
static void bench_lock(void) {
    pointer locked = weak.lock();
    if (!locked) abort();
}
static void bench_assign(int i) { owner->word = targets[i & 1]; }

int main(int argc, char **argv) {
    bench_all(argc > 1 ? atoi(argv[1]) : 5);
    return 0;
}
