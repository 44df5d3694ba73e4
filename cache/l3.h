/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The store that nodes share (L3), behind one interface: backends "redis" (one server, or a
 * cluster), "memory" (in the process: for tests and for one node) and "none". Called by control's
 * fetch on the loop's thread; no call waits. A backend that is away says so at once (ST_CLOSED):
 * its circuit is open, and closes again by itself. What comes from a backend is hostile until it
 * was checked (magic, version, lengths, checksum, key text): what is not sound is counted and is a
 * miss.
 *
 * Objects of other nodes and purges: nodes number purges each for itself, so the numbers mean
 * nothing elsewhere. A value carries the wall time at which its request left for the origin
 * (asked_ms), a purge the wall time of its order; a value is void if a purge that matches it is not
 * older than asked_ms - L3_SKEW_MS. So clocks of nodes may be up to L3_SKEW_MS apart; a value from
 * further in the future than that is not taken.
 *
 * docs/L3.md tells how to write another backend (cache/l3_backend.h). */
#ifndef CACHE_L3_H
#define CACHE_L3_H

#include "cache/object.h"
#include "lib/loop.h"
#include "lib/status.h"

/* How far the clocks of two nodes may be apart; for so long after a purge, what is fetched anew is
 * not shared. */
#define L3_SKEW_MS 1000u
/* When every node that reads the stream of purges knows those that were ordered so long ago, by
 * whichever clock. */
#define L3_SETTLE_MS (2 * L3_SKEW_MS)

struct l3;

struct l3_config {
	const char *backend; /* "redis", "memory", "none" */
	/* "host:port", "[v6]:port" or a unix socket's path; a name is looked up at creation only.
	 * Redis: one address, or the seeds of a cluster. */
	const char *const *addresses;
	unsigned addresses_count;
	bool cluster;
	const char *user;     /* NULL: none */
	const char *password; /* NULL: none */
	const char *prefix;   /* of every key: "sluice:" */
	uint32_t timeout_ms;  /* a command's, from its call to its answer: 50 */
	uint32_t connect_ms;  /* 500 */
	uint32_t retry_ms;    /* open circuit: time to the next try, doubled to at most 64 times */
	uint32_t failures;    /* in a row, until the circuit opens: 5 */
	uint32_t in_flight;   /* commands; above, ST_FULL: 1024 */
	uint32_t compress_bytes; /* values from this size on are compressed (LZ4, level 1): 1024 */
	uint64_t pending_bytes;  /* of commands that wait to be answered; above, ST_FULL: 64 MiB */
	uint64_t max_object_bytes; /* head and body */
	uint64_t memory_bytes;     /* "memory" */
	uint32_t purges_kept;      /* in the stream, about: 10000 */
};

/* Copies what it needs of cfg. ST_INVALID: a backend or an address that is none; ST_NOTFOUND: a
 * name that cannot be looked up; both are logged with the reason. A server that is away is no
 * error. */
enum status l3_create(struct l3 **out, struct loop *loop, const struct l3_config *cfg);
/* Callbacks that wait are called with ST_CLOSED. Runs the loop until the kernel has nothing of ours
 * any more. NULL is fine. */
void l3_destroy(struct l3 *l);
bool l3_enabled(const struct l3 *l); /* not "none" */

/* head, body: valid within the call; head is checked, its key equals, it lies in one piece with its
 * fields and tags, and body.len == head->body_len (0 with OBJECT_NO_BODY). Fresh or stale:
 * expires_ms says. hash and born_seq are 0, since they mean something in one node only: the caller
 * sets both, born_seq to the number of the node's last purge as of its call of l3_get, not of the
 * answer.
 *
 * ST_NOTFOUND, ST_TIMEOUT, ST_CLOSED, ST_INVALID (a value that is not sound, or purged): head is
 * NULL. Called once, always later than the call. */
typedef void (*l3_get_fn)(void *arg, enum status st, const struct object *head, struct span body);
struct l3_wait;
struct l3_ask {
	struct span key; /* text; read within the call only */
	l3_get_fn fn;
	void *arg;
	struct l3_wait *wait; /* out: to cancel; valid until fn is called; NULL: refused */
	enum status st; /* out: ST_OK, fn will be called; ST_CLOSED, ST_FULL, ST_NOTFOUND ("none"),
	                   ST_TOOBIG (key): it will not, go on without this tier */
};
/* All that a round of the loop asks for, by one call or by many, goes to each server in one piece,
 * puts too. Returns how many are under way. */
uint32_t l3_get(struct l3 *l, struct l3_ask *asks, uint32_t count);
/* fn is not called any more. */
void l3_cancel(struct l3_wait *wait);

struct l3_item {
	const struct object *head; /* body_len must be known, or it has none (OBJECT_NO_BODY) */
	struct span body;
	uint64_t asked_ms; /* wall time when its request left for the origin */
	uint64_t keep_ms;  /* from now: freshness and stale windows; 0: not stored */
};
/* Copies what it needs. Fire and forget: failures are counted. Not stored when a purge that was
 * seen since makes it void. */
void l3_put(struct l3 *l, const struct l3_item *items, uint32_t count);
void l3_delete(struct l3 *l, struct span key_text);

/* Purges travel to other nodes through the backend, in order, and those that were missed in a
 * partition are read afterwards, also those from before the start as far as they are kept. fn: one
 * of another node; lost (p is NULL): there were more than are kept, everything must be taken for
 * void. The tier itself heeds both: while it has not read what was kept when it began, it answers
 * no get (ST_CLOSED), since it could be void. */
struct l3_purge {
	uint8_t kind; /* enum inval_kind */
	bool soft;    /* heeded by other tiers; in this one a soft purge is as good as a hard one */
	struct span text;
	uint64_t wall_ms; /* of the sender, when it was ordered */
	/* Out: 0: it came now. Else it was kept when this node began to read, and what was asked
	 * for from this wall time on is certainly younger; KIND may be INVAL_ALL then for purges
	 * that are not kept any more. What was asked for before may have missed it */
	uint64_t before_ms;
};
typedef void (*l3_purge_fn)(void *arg, const struct l3_purge *p, bool lost);
void l3_watch_purges(struct l3 *l, l3_purge_fn fn, void *arg);
/* From now on no value that it makes void is answered here; a key's value is deleted. What cannot
 * be sent now is sent when the server is back; if that is too much, everything is purged then. */
void l3_publish_purge(struct l3 *l, const struct l3_purge *p);

struct l3_counts {
	uint64_t gets, hits, misses; /* gets that were sent, and their sound answers */
	uint64_t puts;
	uint64_t timeouts, errors, refused; /* refused: circuit open, or too many in flight */
	uint64_t corrupt;                   /* values that were not sound */
	uint64_t stale;    /* values that a purge made void, or from the future; both ways */
	uint64_t too_big;  /* not stored */
	uint64_t opened;   /* times that a circuit opened */
	uint64_t connects; /* connections opened */
	uint64_t purges_sent, purges_seen, purges_lost;
	uint64_t moved, asked; /* redirections of a cluster */
	uint64_t bytes_in, bytes_out;
	uint64_t sends; /* pieces in which bytes_out left */
	uint32_t in_flight;
	uint32_t servers;      /* known */
	uint32_t servers_open; /* of these, with an open circuit: no commands */
	bool open;             /* no server takes commands */
	bool ready; /* the purges that were kept at the start are known: gets are answered */
};
void l3_counts(const struct l3 *l, struct l3_counts *out);
const char *l3_backend_name(const struct l3 *l);

#endif
