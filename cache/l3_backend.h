/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a backend of the shared store is: a table of functions over keys and values that are bytes
 * to it. Written by cache/l3_memory.c and cache/l3_redis.c, called by cache/l3.c alone, which makes
 * and checks the values and knows what purges mean. All on the loop's thread; no function waits. */
#ifndef CACHE_L3_BACKEND_H
#define CACHE_L3_BACKEND_H

#include "cache/l3.h"

/* What a backend is given; all of it outlives the backend. */
struct l3_env {
	struct loop *loop;
	const struct l3_config *cfg;
	/* The backend counts: timeouts, errors, opened, connects, moved, asked, bytes_in,
	 * bytes_out, sends, purges_sent, purges_lost. */
	struct l3_counts *counts;
	void *owner;
	/* A record of the purge stream, of whichever node, and the server's wall time when it was
	 * appended; records come in their order. */
	void (*purge_record)(void *owner, struct span record, uint64_t at_ms);
	/* Some before the next are missing. */
	void (*purge_lost)(void *owner);
	/* Purges ordered before wall_ms may be forgotten by the stream (at the start only). */
	void (*purge_floor)(void *owner, uint64_t wall_ms);
	/* Once: all that was kept when the watch began has been told. */
	void (*purge_ready)(void *owner);
};

/* The longest value that a backend has to bring. */
static inline uint64_t l3_value_max(const struct l3_config *cfg)
{
	return cfg->max_object_bytes + 4096;
}

struct l3_backend {
	const char *name;
	enum status (*create)(void **out, const struct l3_env *env);
	/* Each get that is under way is answered with ST_CLOSED. */
	void (*destroy)(void *b);
	/* ST_OK: l3_answer follows once, in a later round. Else it does not: ST_CLOSED, ST_FULL,
	 * ST_NOMEM. key and value are read within the call only. */
	enum status (*get)(void *b, struct span key, struct l3_wait *wait);
	enum status (*put)(void *b, struct span key, struct span value, uint64_t keep_ms);
	enum status (*del)(void *b, struct span key);
	/* Makes purge_record be called. */
	void (*watch)(void *b);
	/* Appends to the stream, now or when the server is back; lost: as many records as it could
	 * not keep are replaced by this one (struct span everything, given at the call). */
	void (*publish)(void *b, struct span record, struct span everything);
	/* in_flight, servers, servers_open, open. */
	void (*state)(const void *b, struct l3_counts *out);
};

/* Ends a get: ST_OK with the value (valid within the call), ST_NOTFOUND, ST_TIMEOUT, ST_CLOSED. */
void l3_answer(struct l3_wait *wait, enum status st, struct span value);

extern const struct l3_backend l3_backend_memory;
extern const struct l3_backend l3_backend_redis;

#endif
