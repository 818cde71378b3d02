/* Seals: checksums of words that everybody believes and that nothing else in the segment would contradict. */
#ifndef AIPC_SEAL_H
#define AIPC_SEAL_H

#include <stdint.h>

/* 16 bits, in the upper ones of a word whose own value has at most 48: found are 65,535 of 65,536 changes. */
#define AIPC_SEALED UINT64_C(0x0000ffffffffffff)
static inline uint64_t aipc_seal(uint64_t value, uint64_t more) {
    uint64_t x = (value & AIPC_SEALED) ^ (more + UINT64_C(0x9e3779b97f4a7c15));
    x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
    x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return (x & ~AIPC_SEALED) | (value & AIPC_SEALED);
}

/* 8 bits of CRC: found are all changes of up to 8 neighbouring bits, and 255 of 256 others. */
static inline uint8_t aipc_crc8(uint8_t sum, uint64_t word) {
    static const uint8_t table[16] = {0x00, 0x07, 0x0e, 0x09, 0x1c, 0x1b, 0x12, 0x15,
                                      0x38, 0x3f, 0x36, 0x31, 0x24, 0x23, 0x2a, 0x2d};
    for (unsigned shift = 64; shift > 0; shift -= 4)
        sum = (uint8_t)((unsigned)sum << 4 ^ table[(unsigned)(sum >> 4) ^ (unsigned)(word >> (shift - 4) & 15)]);
    return sum;
}

#endif
