/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The hot tables of all cores of a process as one cache. Each key has an owner by its hash, and
 * lies in the owner's table; every core reads the tables of the others without a lock
 * (cache/hot_remote.h) and keeps copies of the hottest of their keys in a small table of its own
 * (L0). What a core fetches for another's key it stores in its L0, or if it is large in its own
 * table, and offers to the owner, which copies it from there.
 *
 * Calls: hot_share_create before the cores, hot_share_join by each core's creator, hot_share_link
 * when all have joined and before the first thread starts. From then on a struct hot_view belongs
 * to its core's thread. Nothing is allocated after hot_share_link, nobody waits for anybody.
 *
 * What a core finds has outlived every purge that this core has seen, wherever it lies: a look-up
 * judges another's entry by what this core knows. docs/decisions/shared-hot-tables.md says why. */
#ifndef CACHE_HOT_SHARE_H
#define CACHE_HOT_SHARE_H

#include "cache/hot_remote.h"
#include "cache/hot_table.h"

#define HOT_SHARE_CORES  64u
#define HOT_SHARE_OFFERS 1024u       /* to one owner that it has not looked at yet */
#define HOT_SHARE_SEEN   4096u       /* of a core: keys that it found in another's table lately */
#define HOT_SHARE_STEP   (64u << 10) /* bytes that an owner copies in one poll */
#define HOT_L0_PART      8u          /* of a core's memory, one part in this many is its L0 */
#define HOT_L0_OBJECT    8192u       /* larger objects are not copied, but read at their owner's */

struct hot_share;
struct hot_view;

/* cores: 1 to HOT_SHARE_CORES; with one, a view is its table and nothing else. */
enum status hot_share_create(struct hot_share **out, uint32_t cores);
/* Makes the tables of one core: cfg->memory_bytes is for both; below 2 MiB there is no L0. L0
 * counts in no counter. */
enum status hot_share_join(struct hot_share *s, uint32_t core, const struct hot_config *cfg,
                           struct counters *ctr);
void hot_share_link(struct hot_share *s);
/* The core's thread has ended: its counters may go. Its tables stay, since others still read them.
 */
void hot_share_leave(struct hot_share *s, uint32_t core);
/* When no thread uses a view any more. */
void hot_share_destroy(struct hot_share *s);

struct hot_view *hot_share_view(struct hot_share *s, uint32_t core);

enum hot_where { HOT_NOWHERE, HOT_OWN, HOT_L0, HOT_REMOTE };

/* Where an object was found. What is HOT_REMOTE is held until hot_view_done, or by a pin. */
struct hot_found {
	enum hot_where where;
	uint32_t peer;
	uint32_t hold;
};

/* Own table and L0: valid until the next fill; the others until hot_view_done. Of an expired copy
 * in L0 and the owner's object, the one that lives longer. */
const struct object *hot_view_get(struct hot_view *v, const struct cache_key *key,
                                  struct hot_found *found);
void hot_view_done(struct hot_view *v, struct hot_found *found);
/* Keeps the object in place until hot_view_unpin, also after hot_view_done. The cookie is below
 * 2^63. */
uint64_t hot_view_pin(struct hot_view *v, const struct object *o, struct hot_found *found);
void hot_view_unpin(struct hot_view *v, uint64_t cookie);
void hot_view_prefetch(const struct hot_view *v, struct hash128 hash);
void hot_view_prefetch_object(const struct hot_view *v, struct hash128 hash);

/* The table that takes an object of this key, of so many bytes with its body, from this core. */
struct hot_table *hot_view_table(struct hot_view *v, struct hash128 hash, uint64_t bytes);
/* The object was committed to that table: its owner hears of it. */
void hot_view_stored(struct hot_view *v, struct hot_table *t, const struct object *o);
/* Once a round: copies what was offered. Returns how much it did. */
uint32_t hot_view_poll(struct hot_view *v);

void hot_view_wall(struct hot_view *v, uint64_t wall_ms);
struct hot_table *hot_view_own(struct hot_view *v);
/* The highest born_seq of what the core stored, in either table. */
uint64_t hot_view_born(const struct hot_view *v);
struct hot_table *hot_view_l0(struct hot_view *v); /* NULL: there is none */

struct hot_view_counts {
	uint64_t l0_hits;
	uint64_t remote_hits;
	uint64_t copies;      /* into L0 */
	uint64_t offers;      /* to owners */
	uint64_t offers_full; /* dropped: the owner has too many */
	uint64_t taken;       /* offers of others that are in the own table now */
	uint64_t gone;        /* offers of which nothing was left, or that were no news */
};
const struct hot_view_counts *hot_view_counts(const struct hot_view *v);

#endif
