/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the filters of key templates do to a value, so that requests of equal meaning share a key.
 * Called by key_program.c for each request that has such a rule, on the core: allocates nothing,
 * takes time in the length of the value. A value that a filter cannot read (letters for int) stays
 * as it is, which at worst costs a hit.
 *
 * NORM_ID stands in a value for an identifier that was taken out. No request has this byte. */
#ifndef CACHE_NORMALISE_H
#define CACHE_NORMALISE_H

#include "lib/base.h"
#include "lib/span.h"

#define NORM_MAX  2048u /* bytes of a value */
#define NORM_ID   '\0'
#define NORM_LIST 64u /* members of a list that norm_sort sorts; a longer one stays as it is */

struct norm {
	struct span text; /* in buf, or where the request or the snapshot has it */
	char *buf;        /* NORM_MAX bytes */
	bool present;     /* the request has it; text is empty when not */
};

/* Undoes percent-encoding; form: '+' is a space (WHATWG URL 5.1). False: malformed, NUL, or too
 * long. */
bool norm_decode(struct norm *v, bool form);
/* ASCII letters. False, here and below: too long. */
bool norm_lower(struct norm *v);
bool norm_upper(struct norm *v);
/* Without white space (SP, HTAB, LF, CR) at its ends. */
void norm_trim(struct norm *v);
/* The same, and each run of it inside becomes one space; slashes at the end go too. */
bool norm_squeeze(struct norm *v);
/* The members of a list with commas in order, each trimmed, each once. */
bool norm_sort(struct norm *v);
/* "+007" becomes "7", "-0" becomes "0". */
bool norm_int(struct norm *v);
/* Down to a multiple of n: a whole number of up to 18 digits, or a time (RFC 3339, as seconds since
 * 1970). n: from 1. */
bool norm_bucket(struct norm *v, uint32_t n);
/* A decimal number to that many digits behind the point (0 to 9), half away from zero; "-0.0"
 * becomes "0". */
bool norm_round(struct norm *v, uint32_t digits);
/* Parts between '/', ':', '.', ',' and spaces that are whole numbers or UUIDs (RFC 9562) become
 * NORM_ID. */
bool norm_id(struct norm *v);

/* "1.5h" as digits and unit, for a table of units; false when it is not of that form. The number is
 * scaled by 10^*decimals. */
bool norm_unit_split(struct span text, uint64_t *number, uint32_t *decimals, struct span *unit);
/* number * factor / 10^decimals as text; the value stays when it is no whole number or too large.
 */
bool norm_unit_set(struct norm *v, uint64_t number, uint32_t decimals, uint64_t factor);

/* Has the value its bytes in buf, from its start? Makes it so; false: too long. */
bool norm_own(struct norm *v);

#endif
