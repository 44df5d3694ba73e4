/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The store that nodes share (L3), behind one interface: backends "redis" (one server, or a
 * cluster), "memory" (in the process: for tests and for one node) and "none". All on the loop's
 * thread; no call waits. A backend that is away says so at once (ST_CLOSED): the circuit is open,
 * and opens again by itself. What comes from a backend is hostile until it was checked (magic,
 * version, lengths, checksum, key text): what is not sound is counted and is a miss.
 *
 * docs/L3.md tells how to write another backend. */
#ifndef CACHE_L3_H
#define CACHE_L3_H

#include "cache/object.h"
#include "lib/loop.h"
#include "lib/status.h"

struct l3;

struct l3_config {
	const char *backend; /* "redis", "memory", "none" */
	const char *const
	        *addresses; /* "host:port" or a unix socket's path; redis: seeds of a cluster */
	unsigned addresses_count;
	bool cluster;
	const char *user;     /* NULL: none */
	const char *password; /* NULL: none */
	const char *prefix;   /* of every key: "sluice:" */
	uint32_t timeout_ms;  /* a command's, from its call to its answer: 50 */
	uint32_t connect_ms;  /* 500 */
	uint32_t retry_ms;    /* open circuit: time to the next try, doubled up to 60 times: 500 */
	uint32_t failures;    /* in a row, until the circuit opens: 5 */
	uint32_t in_flight;   /* commands; above, ST_FULL: 1024 */
	uint32_t compress_bytes; /* values from this size on are compressed (LZ4, level 1): 1024 */
	uint64_t max_object_bytes;
	uint64_t memory_bytes; /* "memory" */
};

enum status l3_create(struct l3 **out, struct loop *loop, const struct l3_config *cfg);
/* Callbacks that wait are called with ST_CLOSED. */
void l3_destroy(struct l3 *l);
bool l3_enabled(const struct l3 *l); /* not "none" */

/* head, body: valid within the call; head is checked and its key equals. ST_NOTFOUND, ST_TIMEOUT,
 * ST_CLOSED, ST_FULL, ST_INVALID (a value that is not sound). Called once, always later than the
 * call. wait: to cancel; NULL is fine. */
typedef void (*l3_get_fn)(void *arg, enum status st, const struct object *head, struct span body);
struct l3_wait;
void l3_get(struct l3 *l, struct span key_text, l3_get_fn fn, void *arg, struct l3_wait **wait);
/* fn is not called any more. */
void l3_cancel(struct l3_wait *wait);
/* Several keys with one call to each server; fn once a key. */
void l3_get_many(struct l3 *l, const struct span *keys, uint32_t count, l3_get_fn fn,
                 void *const *args);

/* Copies what it needs; keeps it keep_ms. Fire and forget: failures are counted. */
void l3_put(struct l3 *l, const struct object *head, struct span body, uint64_t keep_ms);
void l3_delete(struct l3 *l, struct span key_text);

/* Purges travel to other nodes through the backend, in order, and those that were missed in a
 * partition are read afterwards. fn: one of another node; lost: there were more than are kept,
 * everything must be taken for void. */
struct l3_purge {
	uint8_t kind; /* enum inval_kind */
	bool soft;
	struct span text;
	uint64_t wall_ms; /* of the sender, when it was ordered */
};
typedef void (*l3_purge_fn)(void *arg, const struct l3_purge *p, bool lost);
void l3_watch_purges(struct l3 *l, l3_purge_fn fn, void *arg);
void l3_publish_purge(struct l3 *l, const struct l3_purge *p);

struct l3_counts {
	uint64_t gets, hits, misses;
	uint64_t puts;
	uint64_t timeouts, errors, refused; /* refused: circuit open, or too many in flight */
	uint64_t corrupt;                   /* values that were not sound */
	uint64_t opened;                    /* times that the circuit opened */
	uint64_t purges_sent, purges_seen, purges_lost;
	uint64_t moved, asked; /* redirections of a cluster */
	uint64_t bytes_in, bytes_out;
	uint32_t in_flight;
	bool open; /* the circuit is: no commands */
};
void l3_counts(const struct l3 *l, struct l3_counts *out);

#endif
