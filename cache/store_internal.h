/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Inside of the node store, shared by store.c (look-up, purges, walks), store_fill.c (how entries
 * come in) and store_evict.c (queues, ghosts, the bound). Nobody else includes it, except tests
 * that look at the inside.
 *
 *   item: entry, links, head      body: counted bytes, shared by an entry and its refreshed one
 *
 * Linked items lie in a hash table and in one of two queues (small, main). An item that was
 * replaced, evicted or purged while somebody holds it is in neither, and is freed when dropped. */
#ifndef CACHE_STORE_INTERNAL_H
#define CACHE_STORE_INTERNAL_H

#include "cache/store.h"

#define STORE_FREQ_MAX   3u /* as in S3-FIFO: two bits of use */
#define STORE_GHOST_WAYS 8u
#define STORE_BYTES_SLOT 2048u  /* of the bound to one bucket, and to one ghost */
#define STORE_LOOKS      256u   /* items looked at to evict one */
#define STORE_STEP_BYTES 65536u /* memory of a long body is claimed in such steps */
#define STORE_WALK_MS    60000u

struct store_body {
	uint32_t refs;
	uint64_t claimed; /* of the bound */
	uint64_t cap;     /* of bytes */
	unsigned char bytes[];
};

enum store_queue_id { STORE_SMALL, STORE_MAIN, STORE_QUEUES };

struct item {
	struct store_entry e; /* first: a pointer to one is one to the other */
	struct store *s;
	struct item *hash_next;
	struct item *older; /* in the queue */
	struct item *newer;
	struct item *list; /* a variant's: on which it hangs */
	struct item *var_older;
	struct item *var_newer;
	struct item *var_oldest; /* a list's */
	struct item *var_newest;
	uint64_t hash;
	uint64_t own_bytes; /* of the item itself, as allocated */
	uint64_t bytes;     /* with its body: what the queue counts */
	struct store_body *body;
	uint32_t var_count;
	uint8_t queue; /* enum store_queue_id */
	uint8_t freq;
	bool linked;
	bool stale; /* a soft purge said so; a pattern is forgotten after the walk that saw it */
	uint64_t head[]; /* struct object and what follows it, without the body */
};

struct store_queue {
	struct item *oldest;
	struct item *newest;
	uint64_t bytes;
	uint64_t count;
};

struct store_ghost {
	uint32_t tag;  /* 0: empty */
	uint32_t when; /* ghost_clock */
};

struct store {
	struct store_config cfg;
	struct item **buckets;
	uint64_t bucket_mask;
	struct store_ghost *ghosts;
	uint64_t ghost_mask; /* of sets */
	uint32_t ghost_clock;
	uint64_t seed;
	uint64_t budget; /* memory_bytes without the tables */
	uint64_t fixed_bytes;
	uint64_t bytes; /* claimed */
	struct store_queue queues[STORE_QUEUES];
	struct inval *inval;
	/* The walk over all entries */
	uint64_t walk_bucket;
	uint64_t walk_seq; /* purges when it began */
	uint64_t walk_ms;  /* when the last one began */
	bool walking;
	bool walk_wanted;
	uint64_t open; /* items and fills alive */
	struct store_counts counts;
};

static inline struct object *item_head(struct item *it)
{
	return (struct object *)(void *)it->head;
}

static inline struct span item_key(const struct item *it)
{
	return object_key(it->e.head);
}

/* store.c */
uint64_t store_hash(const struct store *s, struct span key_text);
struct item *store_find(const struct store *s, struct span key_text, uint64_t hash);
/* Puts it into table and queue. An older one of the key goes; its use stays. */
void store_link(struct store *s, struct item *it);
/* Takes it out of everything, and its variants with it; freed unless held. */
void store_unlink(struct item *it);
/* store_fill.c */
void store_item_free(struct item *it);
/* store_evict.c */
void queue_add(struct store *s, struct item *it, enum store_queue_id id);
void queue_remove(struct store *s, struct item *it);
bool ghost_take(struct store *s, uint64_t hash);
/* Claims n more bytes of the bound, evicting; false when there is no room. */
bool store_claim(struct store *s, uint64_t n);

#endif
