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

/* The one of this test program. */
static struct guard guard;

/* For cmocka_run_group_tests. */
static inline int guard_setup(void **state)
{
	size_t all = GUARD_ROOM_BYTES + 2 * GUARD_PAGE_BYTES;

	(void)state;
	guard.map = mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (guard.map == MAP_FAILED)
		return -1;
	guard.room = guard.map + GUARD_PAGE_BYTES;
	return mprotect(guard.room, GUARD_ROOM_BYTES, PROT_READ | PROT_WRITE);
}

static inline int guard_teardown(void **state)
{
	(void)state;
	return munmap(guard.map, GUARD_ROOM_BYTES + 2 * GUARD_PAGE_BYTES);
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
