/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Numbers in network byte order at any address, for frames that tests and benchmarks read and write
 * by hand. Apart from the product's own (dataplane/tcp/seq.h), which they are to check. */
#ifndef TESTS_SIM_BYTES_H
#define TESTS_SIM_BYTES_H

#include "lib/base.h"

static inline uint32_t get16(const uint8_t *p)
{
	return (uint32_t)(p[0] << 8 | p[1]);
}

static inline uint32_t get32(const uint8_t *p)
{
	return get16(p) << 16 | get16(p + 2);
}

static inline void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

#endif
