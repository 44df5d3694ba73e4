/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A buffer between two pages that cannot be touched: code that reads one byte too far, on either
 * side, dies here. For the tests of the HTTP scanners. */
#ifndef TESTS_UNIT_HTTP_GUARD_H
#define TESTS_UNIT_HTTP_GUARD_H

#include <sys/mman.h>

#include "lib/base.h"
#include "lib/span.h"

#define GUARD_PAGE_BYTES 4096u
#define GUARD_ROOM_BYTES (32u * GUARD_PAGE_BYTES)

struct guard {
	char *map;
	char *room; /* GUARD_ROOM_BYTES */
};

static inline bool guard_open(struct guard *g)
{
	size_t all = GUARD_ROOM_BYTES + 2 * GUARD_PAGE_BYTES;

	g->map = mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (g->map == MAP_FAILED)
		return false;
	g->room = g->map + GUARD_PAGE_BYTES;
	return mprotect(g->room, GUARD_ROOM_BYTES, PROT_READ | PROT_WRITE) == 0;
}

static inline void guard_close(struct guard *g)
{
	munmap(g->map, GUARD_ROOM_BYTES + 2 * GUARD_PAGE_BYTES);
}

/* A copy whose last byte is the last one before the forbidden page. */
static inline const char *guard_end(struct guard *g, struct span s)
{
	char *at = g->room + GUARD_ROOM_BYTES - s.len;

	assert(s.len <= GUARD_ROOM_BYTES);
	if (s.len > 0)
		memcpy(at, s.ptr, s.len);
	return at;
}

/* A copy whose first byte is the first one behind the forbidden page. */
static inline const char *guard_begin(struct guard *g, struct span s)
{
	assert(s.len <= GUARD_ROOM_BYTES);
	if (s.len > 0)
		memcpy(g->room, s.ptr, s.len);
	return g->room;
}

#endif
