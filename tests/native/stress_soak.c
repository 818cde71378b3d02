// variants: plain
/* The soak in its long form. */
#include "soak.h"

static void thousands_of_kills_leave_no_trace(void) { soak(6000, 0); }
static void nor_do_they_when_slots_are_scarce(void) { soak(2000, FIXTURE_PARTICIPANTS - 1 - SOAK_WORKERS); }

int main(void) {
    RUN(thousands_of_kills_leave_no_trace);
    RUN(nor_do_they_when_slots_are_scarce);
    return SUMMARY();
}
