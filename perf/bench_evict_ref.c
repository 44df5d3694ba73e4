/* SPDX-License-Identifier: BSD-2-Clause
 *
 * LRU, SIEVE (Zhang et al., NSDI 2024) and S3-FIFO (Yang et al., SOSP 2023, algorithm 1) by object,
 * as plain as they can be: doubly linked lists over arrays that are indexed by id. */
#include <stdlib.h>

#include "perf/bench_evict.h"

#define NONE UINT32_MAX

struct link {
	uint32_t newer, older;
};

/* Newest at the head. A list's ends are in its links, at an index behind all ids. */
struct list {
	struct link *links;
	uint32_t end;
	uint32_t count;
};

static void list_init(struct list *l, struct link *links, uint32_t end)
{
	*l = (struct list){.links = links, .end = end};
	links[end] = (struct link){end, end};
}

static void list_push(struct list *l, uint32_t id)
{
	uint32_t was = l->links[l->end].older;

	l->links[id] = (struct link){.newer = l->end, .older = was};
	l->links[l->end].older = id;
	l->links[was].newer = id;
	l->count++;
}

static void list_take(struct list *l, uint32_t id)
{
	struct link at = l->links[id];

	l->links[at.newer].older = at.older;
	l->links[at.older].newer = at.newer;
	l->count--;
}

static uint32_t list_oldest(const struct list *l)
{
	return l->links[l->end].newer;
}

static struct link *links_new(const struct trace *tr)
{
	return need(calloc(tr->end + 3ul, sizeof(struct link)));
}

double lru_run(const struct trace *tr, uint32_t size)
{
	struct link *links = links_new(tr);
	uint8_t *in = need(calloc(tr->end, 1));
	uint64_t hits = 0;
	struct list l;

	list_init(&l, links, tr->end);
	for (uint32_t n = 0; n < tr->requests; n++) {
		uint32_t id = tr->id[n];

		if (in[id]) {
			hits += n >= tr->requests / 2;
			list_take(&l, id);
		} else if (l.count >= size) {
			uint32_t out = list_oldest(&l);

			in[out] = 0;
			list_take(&l, out);
		}
		in[id] = 1;
		list_push(&l, id);
	}
	free(links);
	free(in);
	return trace_ratio(tr, hits);
}

double sieve_run(const struct trace *tr, uint32_t size)
{
	enum { OUT, UNVISITED, VISITED };
	struct link *links = links_new(tr);
	uint8_t *state = need(calloc(tr->end, 1));
	uint32_t hand = tr->end;
	uint64_t hits = 0;
	struct list l;

	list_init(&l, links, tr->end);
	for (uint32_t n = 0; n < tr->requests; n++) {
		uint32_t id = tr->id[n];

		if (state[id] != OUT) {
			hits += n >= tr->requests / 2;
			state[id] = VISITED;
			continue;
		}
		if (l.count >= size) {
			for (;; hand = links[hand].newer) {
				if (hand == l.end)
					hand = list_oldest(&l);
				if (state[hand] == UNVISITED)
					break;
				state[hand] = UNVISITED;
			}
			uint32_t out = hand;

			hand = links[out].newer;
			state[out] = OUT;
			list_take(&l, out);
		}
		state[id] = UNVISITED;
		list_push(&l, id);
	}
	free(links);
	free(state);
	return trace_ratio(tr, hits);
}

/* --- S3-FIFO --- */

enum where { OUT, SMALL, MAIN, GHOST };

/* What leaves when it expires: lists by second. */
struct expiry {
	uint32_t *first; /* of each second */
	uint32_t *next;  /* of each fill: of the same second */
	uint32_t *id;    /* of each fill */
	uint32_t fills, seconds, now;
};

struct s3 {
	struct list small, main, ghost;
	uint8_t *freq;
	uint8_t *where;
	uint64_t *expires_ms;
	uint32_t size;
	struct expiry by;
};

static void s3_to_ghost(struct s3 *s, uint32_t id)
{
	if (s->ghost.count >= s->size) {
		uint32_t old = list_oldest(&s->ghost);

		list_take(&s->ghost, old);
		s->where[old] = OUT;
	}
	list_push(&s->ghost, id);
	s->where[id] = GHOST;
}

static bool s3_evict_small(struct s3 *s, uint64_t now_ms)
{
	while (s->small.count > 0 && s->small.count >= s->size / 10) {
		uint32_t id = list_oldest(&s->small);

		list_take(&s->small, id);
		if (s->freq[id] == 0 || s->expires_ms[id] <= now_ms) {
			s3_to_ghost(s, id);
			return true;
		}
		s->freq[id] = 0;
		s->where[id] = MAIN;
		list_push(&s->main, id);
	}
	return false;
}

static void s3_evict(struct s3 *s, uint64_t now_ms)
{
	if (s3_evict_small(s, now_ms))
		return;
	for (;;) {
		uint32_t id = list_oldest(&s->main);

		list_take(&s->main, id);
		if (s->freq[id] == 0 || s->expires_ms[id] <= now_ms) {
			/* What was used is asked for again: it comes back to main. */
			s->where[id] = OUT;
			if (s->freq[id] > 0)
				s3_to_ghost(s, id);
			return;
		}
		s->freq[id]--;
		list_push(&s->main, id);
	}
}

static void s3_drop_expired(struct s3 *s, uint64_t now_ms)
{
	struct expiry *by = &s->by;

	for (; by->now < now_ms / 1000 && by->now < by->seconds; by->now++) {
		for (uint32_t f = by->first[by->now]; f != NONE; f = by->next[f]) {
			uint32_t id = by->id[f];

			if (s->expires_ms[id] / 1000 != by->now ||
			    (s->where[id] != SMALL && s->where[id] != MAIN))
				continue;
			list_take(s->where[id] == SMALL ? &s->small : &s->main, id);
			if (s->where[id] == MAIN || s->freq[id] > 0)
				s3_to_ghost(s, id);
			else
				s->where[id] = OUT;
		}
	}
}

static void s3_file(struct s3 *s, uint32_t id)
{
	struct expiry *by = &s->by;
	uint64_t second = s->expires_ms[id] / 1000;

	if (second >= by->seconds)
		return;
	by->id[by->fills] = id;
	by->next[by->fills] = by->first[second];
	by->first[second] = by->fills++;
}

static bool s3_hit(struct s3 *s, uint32_t id, uint64_t now_ms)
{
	if (s->where[id] != SMALL && s->where[id] != MAIN)
		return false;
	s->freq[id] = (uint8_t)min_u32(s->freq[id] + 1u, HOT_FREQ_MAX);
	return s->expires_ms[id] > now_ms;
}

static void s3_put(struct s3 *s, uint32_t id, uint64_t now_ms)
{
	if (s->where[id] == SMALL || s->where[id] == MAIN)
		return; /* in the place of the one that expired */
	if (s->small.count + s->main.count >= s->size)
		s3_evict(s, now_ms);
	bool proved = s->where[id] == GHOST;

	if (proved)
		list_take(&s->ghost, id);
	s->where[id] = proved ? MAIN : SMALL;
	s->freq[id] = 0;
	list_push(proved ? &s->main : &s->small, id);
}

static void s3_init(struct s3 *s, const struct trace *tr, uint32_t size)
{
	struct link *links = links_new(tr);

	memset(s, 0, sizeof(*s));
	s->size = size;
	list_init(&s->small, links, tr->end);
	list_init(&s->main, links, tr->end + 1);
	list_init(&s->ghost, links, tr->end + 2);
	s->freq = need(calloc(tr->end, 1));
	s->where = need(calloc(tr->end, 1));
	s->expires_ms = need(calloc(tr->end, sizeof(uint64_t)));
	if (tr->rate == 0)
		return;
	s->by.seconds = tr->requests / tr->rate + 1;
	s->by.first = need(malloc(s->by.seconds * sizeof(uint32_t)));
	memset(s->by.first, 0xff, s->by.seconds * sizeof(uint32_t));
	s->by.next = need(calloc(tr->requests, sizeof(uint32_t)));
	s->by.id = need(calloc(tr->requests, sizeof(uint32_t)));
}

double s3_run(const struct trace *tr, uint32_t size, bool expire_at_once)
{
	uint64_t hits = 0;
	struct s3 s;

	s3_init(&s, tr, size);
	for (uint32_t n = 0; n < tr->requests; n++) {
		uint64_t now_ms = trace_ms(tr, n);
		uint32_t id = tr->id[n];

		if (expire_at_once)
			s3_drop_expired(&s, now_ms);
		if (s3_hit(&s, id, now_ms)) {
			hits += n >= tr->requests / 2;
			continue;
		}
		s3_put(&s, id, now_ms);
		s.expires_ms[id] =
		        tr->rate == 0 ? UINT64_MAX : now_ms + trace_ttl_s(tr, id) * 1000ull;
		if (expire_at_once)
			s3_file(&s, id);
	}
	free(s.small.links);
	free(s.freq);
	free(s.where);
	free(s.expires_ms);
	free(s.by.first);
	free(s.by.next);
	free(s.by.id);
	return trace_ratio(tr, hits);
}
