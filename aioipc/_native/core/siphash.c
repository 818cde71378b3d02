#include "siphash.h"

#include <string.h>

static inline uint64_t rotate(uint64_t x, unsigned by) { return x << by | x >> (64 - by); }

typedef struct state {
    uint64_t a, b, c, d;
} state;

static inline void round_(state *s) {
    s->a += s->b;
    s->b = rotate(s->b, 13) ^ s->a;
    s->a = rotate(s->a, 32);
    s->c += s->d;
    s->d = rotate(s->d, 16) ^ s->c;
    s->a += s->d;
    s->d = rotate(s->d, 21) ^ s->a;
    s->c += s->b;
    s->b = rotate(s->b, 17) ^ s->c;
    s->c = rotate(s->c, 32);
}

static inline void absorb(state *s, uint64_t word) {
    s->d ^= word;
    round_(s);
    s->a ^= word;
}

/* The last up to seven bytes and the size; little-endian whatever the machine. */
static inline uint64_t tail(const uint8_t *bytes, size_t size) {
    uint64_t word = (uint64_t)size << 56;
    for (size_t i = 0; i < (size & 7); i++) word |= (uint64_t)bytes[i] << (8 * i);
    return word;
}

static inline uint64_t whole(const uint8_t *bytes) {
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

uint64_t aipc_siphash(uint64_t seed, const void *data, size_t size) {
    /* SipHash wants 128 bits of key; the second half is the first, turned, so that one word is enough to
     * keep in a header.  64 unknown bits are as many as an attacker without the segment can be kept from. */
    const uint64_t second = rotate(seed, 32) ^ UINT64_C(0x9e3779b97f4a7c15);
    state s = {seed ^ UINT64_C(0x736f6d6570736575), second ^ UINT64_C(0x646f72616e646f6d),
               seed ^ UINT64_C(0x6c7967656e657261), second ^ UINT64_C(0x7465646279746573)};
    const uint8_t *bytes = data;
    const uint8_t *end = bytes + (size & ~(size_t)7);
    for (; bytes != end; bytes += 8) absorb(&s, whole(bytes));
    absorb(&s, tail(bytes, size));
    s.c ^= 0xff;
    for (int i = 0; i < 3; i++) round_(&s);
    return s.a ^ s.b ^ s.c ^ s.d;
}
