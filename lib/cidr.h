/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Ranges of addresses as an operator writes them: "10.0.0.0/8", "2001:db8::/32", or one address.
 * Pure functions. */
#ifndef LIB_CIDR_H
#define LIB_CIDR_H

#include "lib/base.h"

struct cidr {
	uint8_t addr[16]; /* IPv4 as ::ffff:a.b.c.d */
	uint8_t bits;     /* of the 128 */
};

/* False when text is neither, or has bits set behind the prefix. */
bool cidr_parse(const char *text, struct cidr *out);
bool cidr_has(const struct cidr *c, const uint8_t addr[16]);

#endif
