/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The Internet checksum (RFC 1071, RFC 1624). Sums are 32-bit ones-complement partial sums in memory
 * order; csum_fold makes the 16-bit value that goes into a header. */
#ifndef DATAPLANE_NET_CSUM_H
#define DATAPLANE_NET_CSUM_H

#include "lib/base.h"

/* Adds len bytes to sum. Runs may be joined only at even offsets. */
uint32_t csum_add(uint32_t sum, const void *data, size_t len);
/* Copies and sums in one pass. */
uint32_t csum_copy(void *restrict dst, const void *restrict src, size_t len, uint32_t sum);

static inline uint16_t csum_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

#endif
