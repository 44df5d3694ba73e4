/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Answers that are shared by what they depend on (rules with match: pattern). Two look-ups behind
 * that of the request's own key: the list of what such answers depend on, then the answer for the
 * values that the request has. When control switches a rule off it purges both, so there is nothing
 * to be told here. */
#include "dataplane/path.h"

#include "cache/read_set.h"

/* Behind the list, which is let go. */
static const struct object *answer_get(struct core *core, const struct key_input *in,
                                       const struct cache_key *front)
{
	const struct object *list = hot_view_get(core->view, front, &core->found);
	struct hot_found of_list = core->found;
	const struct object *o = NULL;
	struct cache_key key;
	struct span names;

	core->found.where = HOT_NOWHERE;
	if (list == NULL)
		return NULL;
	if (read_list_read(list, &names) &&
	    read_set_key(core->snap, in, front->text, names, core->pattern_buf, &key) == KEY_OK)
		o = hot_view_get(core->view, &key, &core->found);
	hot_view_done(core->view, &of_list);
	if (o != NULL && (o->flags & (OBJECT_VARY | OBJECT_PASS))) {
		hot_view_done(core->view, &core->found);
		return NULL;
	}
	return o;
}

/* The look-ups below take the place of what the last one found, and a copy that one of them makes
 * in L0 may take that of its bytes. */
static uint64_t keep(struct core *core, const struct object *o)
{
	core->kept = *o;
	return hot_view_pin(core->view, o, &core->found);
}

const struct object *pattern_instead(struct core *core, struct req *req, const struct object *o)
{
	struct hot_found before = core->found;
	const struct object *shared;
	struct cache_key front;
	struct key_input in;
	uint64_t pin = 0;

	req_key_input(core, req, &in);
	if (read_set_front(core->snap, &in, core->key_buf, &front) != KEY_OK)
		return o;
	if (o != NULL)
		pin = keep(core, o);
	req->front_hash = front.hash;
	req->fronted = true;
	shared = answer_get(core, &in, &front);
	/* Nothing is stored before the request is answered: o's bytes stay. */
	if (o != NULL)
		hot_view_unpin(core->view, pin);
	if (shared != NULL && (o == NULL || object_is_fresh(shared, core->wall_ms))) {
		hot_view_done(core->view, &before);
		req->pattern = true;
		return shared;
	}
	hot_view_done(core->view, &core->found);
	core->found = before;
	return o != NULL ? &core->kept : NULL;
}

/* From 1 to twice the mean: no pattern in the requests can stay beside the checks. */
static uint32_t next_check(struct core *core, uint32_t mean)
{
	uint64_t x = core->check_random ^ core->now_ns ^ core->hash_seed;

	core->check_random = hash64(&x, sizeof(x), core->hash_seed);
	return 1 + (uint32_t)(core->check_random % (2ull * mean - 1));
}

void pattern_hit(struct core *core, struct req *req)
{
	const struct snap_rule *rule = key_rule(core->snap, req->route);
	uint32_t *left = &core->check_in[(req->route->rule - 1) % RULES_MAX];

	req_rule_count(core, req, req->stale ? RULE_PATTERN_STALE : RULE_PATTERN_HIT);
	if (*left == 0)
		*left = next_check(core, rule->check_one_in);
	if (--*left > 0)
		return;
	/* Who forbids to ask the origin does so for this too. */
	if (req->cache.only_if_cached) {
		*left = 1;
	} else if (miss_refresh(core, req, CHAN_REQ_REFRESH | CHAN_REQ_CHECK)) {
		counter_inc(core->ctr, CTR_cache_check);
	} else {
		*left = 1;
		counter_inc(core->ctr, CTR_cache_check_full);
	}
}

bool pattern_key_is(const struct core *core, const struct req *req, const struct object *o)
{
	struct span text = object_key(o);
	struct span front = read_set_front_of(text);

	return req->fronted && front.len > 0 && front.len < text.len &&
	       hash128_eq(hash128(text.ptr, text.len, core->hash_seed), o->hash) &&
	       hash128_eq(hash128(front.ptr, front.len, core->hash_seed), req->front_hash);
}
