// variants: plain
/* The soak in its short form. */
#include "soak.h"

static void a_few_hundred_kills_leave_no_trace(void) { soak(harness_full() ? 1000 : 250, 0); }
static void nor_do_they_when_slots_are_scarce(void) {
    soak(harness_full() ? 1000 : 150, FIXTURE_PARTICIPANTS - 1 - SOAK_WORKERS);
}

int main(void) {
    RUN(a_few_hundred_kills_leave_no_trace);
    RUN(nor_do_they_when_slots_are_scarce);
    return SUMMARY();
}
