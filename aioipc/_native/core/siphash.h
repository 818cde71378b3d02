/* SipHash-1-3 of a byte string under a 64-bit seed: names cannot be chosen to collide.
 * After: Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012). */
#ifndef AIPC_SIPHASH_H
#define AIPC_SIPHASH_H
#include <stddef.h>
#include <stdint.h>
uint64_t aipc_siphash(uint64_t seed, const void *data, size_t size);
#endif
