/* Structs and arrays: objects that say themselves what they are made of.
 *
 * The payload is aipc_described, the text of the description, and the elements.  All but the elements is written before
 * the object gets its name, and never again.  What the text means is the binding's business, and so are the elements,
 * to which no invariant applies: any bytes are values.  The type's number of a struct is the hash of its description, so
 * a struct that was declared in another way is an object of another type.
 *
 *   F1  text and elements lie in the payload, one behind the other, the elements at a multiple of 16
 *   F2  the number of a struct's type is the hash of its text; the text, and the size of an element, are what they were sealed as
 */
#ifndef AIPC_DESCRIBED_H
#define AIPC_DESCRIBED_H

#include "report.h"

/* In the type numbers of structs, and of nothing else. */
#define AIPC_TYPE_STRUCT (UINT64_C(1) << 63)

typedef struct aipc_description {
    const char *text;
    uint64_t text_size;
    uint8_t *elements;
    uint64_t element_size;
} aipc_description;

/* The type's number of a struct that is described so. */
uint64_t aipc_struct_type(const void *text, uint64_t size);
/* Bytes in front of the elements; 0: too long a text. */
uint64_t aipc_described_head(uint64_t text_size);
/* Fills the first aipc_described_head(size) bytes of an image that is zero. */
void aipc_described_init(void *image, const void *text, uint64_t size, uint64_t element_size);

/* Reads what such an object says of itself.  AIPC_CORRUPT (F1). */
aipc_status aipc_described_at(aipc_seg *seg, uint64_t payload, uint64_t size, uint32_t count, aipc_description *said);
void aipc_described_check(aipc_seg *seg, uint64_t payload, uint64_t size, uint32_t count, uint64_t type,
                          aipc_report *report);

#endif
