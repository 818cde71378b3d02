/* Structs and arrays: objects that say themselves what they are made of.
 *
 * The payload is aipc_described, the text of the description, where the owning words of an element lie (shares.h), and
 * the elements.  All but the elements is written before the object gets its name, and never again.  What the text means
 * is the binding's business, and so are the elements, to which no invariant applies: any bytes are values, but for owning
 * words.  The type's number of a struct is the hash of its description, so a struct that was declared in another way is
 * an object of another type.
 *
 *   F1  text, places of owning words, and elements lie in the payload, one behind the other, the elements at a multiple of 16
 *   F2  the number of a struct's type is the hash of its text and of the places of its owning words; those, and the size of
 *       an element, are what they were sealed as
 *   F3  owning words lie in the element, at multiples of 8, none twice
 */
#ifndef AIPC_DESCRIBED_H
#define AIPC_DESCRIBED_H

#include "report.h"

/* In the type numbers of structs, and of nothing else. */
#define AIPC_TYPE_STRUCT (UINT64_C(1) << 63)
enum { AIPC_OWNERS_MAX = 4096 }; /* owning words of one element */

typedef struct aipc_description {
    const char *text;
    uint64_t text_size;
    uint64_t element_size;
    const uint32_t *owners; /* places of the owning words in an element */
    uint64_t owner_count;
    uint8_t *elements;
} aipc_description;

/* The type's number of a struct that is described so. */
uint64_t aipc_struct_type(const aipc_description *said);
/* Bytes in front of the elements; 0: too long a text, or too many owning words. */
uint64_t aipc_described_head(uint64_t text_size, uint64_t owner_count);
/* Fills the first aipc_described_head() bytes of an image that is zero. */
void aipc_described_init(void *image, const aipc_description *said);

/* Reads what such an object says of itself.  AIPC_CORRUPT (F1). */
aipc_status aipc_described_at(aipc_seg *seg, uint64_t payload, uint64_t size, uint32_t count, aipc_description *said);
/* The n-th owning word, counted through all elements; NULL when its place is none (F3).
 * pre: n < owner_count * count. */
uint64_t *aipc_owning_word(const aipc_description *said, uint64_t n);
void aipc_described_check(aipc_seg *seg, uint64_t payload, uint64_t size, uint32_t count, uint64_t type,
                          aipc_report *report);

#endif
