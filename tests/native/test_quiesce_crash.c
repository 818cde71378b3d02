// variants: hook
// leaves: bells
/* Who holds every domain of a segment may be killed at any point, and its recoverer too: nothing stays held. */
#include "quiesce_fixture.h"
#include "crash.h"

static int copy = -1;

static void setup(void *arg) {
    (void)arg;
    if (A.base != NULL) fixture_detach(&A);
    if (copy >= 0) close(copy);
    make_some_of_everything();
    copy = memfd_create("aioipc-copy", MFD_CLOEXEC);
    CHECK(copy >= 0);
}
static void attach(void *arg) {
    (void)arg;
    fixture_attach(&B);
}
static void copy_it(void *arg) {
    (void)arg;
    OK(snapshot(&B, copy));
    check_copy(copy);
}
static void go_on(void *arg) {
    (void)arg;
    fixture_attach(&C);
    check_all_free(&C);
    fixture_detach(&C);
}
static const struct scenario copying = {setup, attach, copy_it, go_on, NULL};

static void a_copier_may_die_anywhere(void) {
    const uint64_t deaths = crash_sweep(&copying), recoverers = crash_sweep_nested(&copying);
    fprintf(stderr, "  %" PRIu64 " deaths, %" PRIu64 " recoverers' deaths\n", deaths, recoverers);
    CHECK(deaths > 30 && recoverers > 50);
}

int main(void) {
    crash_nested_budget = 12;
    crash_budget = 200;
    RUN(a_copier_may_die_anywhere);
    return SUMMARY();
}
