/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Requests fall on cores at random. Either each core keeps what it fetched for itself, or each key
 * has an owner, whose table all read, and the cores keep copies of the hottest in a small table of
 * their own (L0). In all, memory is the same. */
#include "perf/bench_evict.h"

#include <stdio.h>
#include <stdlib.h>

#define CORES_MAX  16u
#define SEEN_SLOTS 4096u /* of a core: keys that it found elsewhere lately */
#define TOTAL_PCT  10u   /* of the ids fit into all tables together */
/* Larger than for one table, so that an eighth of a sixteenth is still a table. */
#define BODY_BYTES        1200u
#define MULTI_ENTRY_BYTES 1344u

struct shape {
	const char *name;
	bool owners;
	uint32_t l0_part; /* of the memory, one in this many; 0: none */
	bool second;      /* a copy is made of what is found elsewhere a second time */
};

struct multi {
	struct hot_table *table[CORES_MAX];
	struct hot_table *l0[CORES_MAX];
	struct counters ctr[2 * CORES_MAX];
	uint16_t seen[CORES_MAX][SEEN_SLOTS];
	uint32_t cores;
	uint64_t own, near, remote, copies, all;
};

static void multi_open(struct multi *m, const struct shape *shape, size_t bytes)
{
	for (uint32_t c = 0; c < m->cores; c++) {
		size_t l0 = shape->l0_part == 0 ? 0 : bytes / m->cores / shape->l0_part;

		if (l0 > 0)
			m->l0[c] = table_new(l0, &m->ctr[CORES_MAX + c]);
		m->table[c] = table_new(bytes / m->cores - l0, &m->ctr[c]);
	}
}

static void multi_close(struct multi *m)
{
	for (uint32_t c = 0; c < m->cores; c++) {
		hot_destroy(m->table[c]);
		hot_destroy(m->l0[c]);
	}
}

static void put(struct hot_table *t, const struct cache_key *key)
{
	(void)table_put(t, key, UINT64_MAX, BODY_BYTES);
}

static bool seen_before(struct multi *m, uint32_t core, struct hash128 h)
{
	uint16_t *slot = &m->seen[core][(h.hi >> 20) % SEEN_SLOTS];
	uint16_t print = (uint16_t)(h.hi >> 48 | 1);
	bool was = *slot == print;

	*slot = was ? 0 : print;
	return was;
}

static void multi_request(struct multi *m, const struct shape *shape, uint32_t core,
                          const struct cache_key *key)
{
	uint32_t owner =
	        shape->owners ? (uint32_t)((key->hash.hi & UINT32_MAX) * m->cores >> 32) : core;
	struct hot_table *l0 = owner == core ? NULL : m->l0[core];

	m->all++;
	if (l0 != NULL && hot_get(l0, key) != NULL) {
		m->near++;
		return;
	}
	if (hot_get(m->table[owner], key) == NULL) {
		put(m->table[owner], key);
		if (l0 != NULL)
			put(l0, key);
		return;
	}
	m->own += owner == core;
	m->remote += owner != core;
	if (l0 != NULL && (!shape->second || seen_before(m, core, key->hash))) {
		m->copies++;
		put(l0, key);
	}
}

static void shape_run(struct report *r, const struct trace *tr, const struct shape *shape,
                      const char *tag)
{
	struct multi *m = need(calloc(1, sizeof(*m)));
	size_t bytes = (size_t)tr->ids * TOTAL_PCT / 100 * MULTI_ENTRY_BYTES / 10 * 11;
	uint64_t state = 7;

	sscanf(tag + strlen(tag) - 2, "%u", &m->cores);
	multi_open(m, shape, bytes);
	for (uint32_t n = 0; n < tr->requests; n++) {
		struct cache_key key = table_key(&tr->id[n]);

		if (n == tr->requests / 2)
			m->own = m->near = m->remote = m->copies = m->all = 0;
		multi_request(m, shape, random_below(&state, m->cores), &key);
	}
	double all = (double)m->all;
	report_add(r, (double)(m->own + m->near + m->remote) / all, NULL, "%s_%s_hit_ratio", tag,
	           shape->name);
	if (shape->owners) {
		report_add(r, (double)m->remote / all, NULL, "%s_%s_remote_share", tag,
		           shape->name);
		report_add(r, (double)m->copies / all, NULL, "%s_%s_copies_share", tag,
		           shape->name);
	}
	multi_close(m);
	free(m);
}

void multi_run(struct report *r, const struct trace *tr, const char *name)
{
	static const struct shape shapes[] = {
	        {"private", false, 0, false},
	        {"owners", true, 0, false},
	        {"l0_8th", true, 8, false},
	        {"l0_8th_2nd", true, 8, true},
	};
	static const uint32_t cores[] = {4, 16};

	for (size_t c = 0; c < ARRAY_LEN(cores); c++) {
		char tag[40];

		snprintf(tag, sizeof(tag), "%s_cores%02u", name, cores[c]);
		for (size_t i = 0; i < ARRAY_LEN(shapes); i++)
			shape_run(r, tr, &shapes[i], tag);
	}
}
