/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Structured fields (RFC 9651): the members of a Dictionary or a List, one after the other, in the
 * line of a field. The syntax is checked in full; of the values only those are handed out that
 * caching has a use for. Parameters are read over. Who reads must treat the whole field as absent
 * when any member is bad. */
#ifndef CACHE_SF_H
#define CACHE_SF_H

#include "lib/span.h"

enum sf_type { SF_BOOL, SF_INTEGER, SF_STRING, SF_TOKEN, SF_OTHER };

struct sf_value {
	enum sf_type type;
	int64_t number;     /* SF_INTEGER; SF_BOOL: 0 or 1 */
	struct span string; /* SF_STRING: between the quotes, with its escapes (sf_string); SF_TOKEN */
};

struct sf_reader {
	const char *at;
	const char *end;
};

enum sf_next { SF_MEMBER, SF_END, SF_BAD };

void sf_begin(struct sf_reader *r, struct span line);
enum sf_next sf_dictionary_next(struct sf_reader *r, struct span *key, struct sf_value *out);
/* Also a member that is an inner list: SF_OTHER. */
enum sf_next sf_list_next(struct sf_reader *r, struct sf_value *out);

/* The text of a string; its length, 0 when it is empty or does not fit. */
size_t sf_string(struct span escaped, char *out, size_t cap);

#endif
