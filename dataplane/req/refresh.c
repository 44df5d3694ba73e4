/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stale-while-revalidate (RFC 5861 3): the client has the stale answer, control is asked to fetch
 * it anew, and nobody waits. When it has, it purges the key here, and the next request is a miss
 * that its store answers. A key that is asked for often is named to control once in refresh_ms. */
#include "dataplane/path.h"

/* The place of the key, or a free one of its set; NULL: none, or (*again) it was asked for. */
static struct refresh *place_of(struct core *core, uint64_t key_lo, bool *again)
{
	struct refresh *set = &core->chan.refreshes[key_lo % (CORE_REFRESHES / CORE_REFRESH_WAYS) *
	                                            CORE_REFRESH_WAYS];
	struct refresh *free = NULL;

	*again = false;
	for (uint32_t i = 0; i < CORE_REFRESH_WAYS; i++) {
		if (set[i].until_ns <= core->now_ns) {
			free = &set[i];
		} else if (set[i].key_lo == key_lo) {
			*again = true;
			return NULL;
		}
	}
	return free;
}

void refresh_ask(struct core *core, struct req *req, const struct object *o)
{
	struct refresh *r;
	bool again;

	/* Who forbids to fetch, or to store, does so for this too. */
	if (req->cache.only_if_cached ||
	    (!req->cache.store && req->method == HTTP_GET && !req->cache.range))
		return;
	r = place_of(core, o->hash.lo, &again);
	if (again) {
		counter_inc(core->ctr, CTR_cache_refresh_again);
		return;
	}
	if (r == NULL || !miss_refresh(core, req, CHAN_REQ_REFRESH)) {
		counter_inc(core->ctr, CTR_cache_refresh_full);
		return;
	}
	*r = (struct refresh){
	        .key_lo = o->hash.lo,
	        .until_ns = core->now_ns + core->snap->timeouts.refresh_ms * NS_PER_MS,
	};
	counter_inc(core->ctr, CTR_cache_refresh);
}
