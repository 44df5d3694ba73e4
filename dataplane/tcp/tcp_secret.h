/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The keys of a stack: all of them come from one seed, so that a simulation can repeat a run by
 * giving the seed, and the product's come from the kernel's generator. Used by tcp_create and by
 * the files that keep a key. It must not be asked for a key a packet: it is slow. */
#ifndef DATAPLANE_TCP_TCP_SECRET_H
#define DATAPLANE_TCP_TCP_SECRET_H

#include "lib/base.h"

/* What a key is for; no two uses share one. */
enum secret_use {
	SECRET_HASH,  /* buckets of the connection table */
	SECRET_ISN,   /* RFC 6528 */
	SECRET_PORTS, /* RFC 6056 */
	SECRET_COOKIE,
	SECRET_FAST_OPEN,
};

struct secret {
	uint64_t word[4];
};

/* Fills out[0, n) with words that tell nothing about the seed nor about those of another use. */
void secret_expand(const struct secret *seed, enum secret_use use, uint64_t *out, uint32_t n);
/* The seed that follows this one once fresh is mixed in; a bad fresh costs nothing. */
struct secret secret_next(const struct secret *seed, const struct secret *fresh);

#endif
