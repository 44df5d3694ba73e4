/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the cores had done at each of the last seconds, so that an answer can tell of an interval
 * without waiting for it. */
#include "control/admin/admin_priv.h"
#include "control/chan_server.h"
#include "lib/clock.h"

#include <stdlib.h>

enum { ROWS = ADMIN_HISTORY_S + 1, INTERVAL_LEAST_MS = 100 };

bool core_sample_take(struct chan_server *chan, uint32_t core, struct core_sample *out)
{
	static const enum counter_id ids[CORE_FIGURES] = {
	        [CORE_REQUESTS] = CTR_http_requests,
	        [CORE_POLLS] = CTR_loop_polls,
	        [CORE_EMPTY] = CTR_loop_empty,
	        [CORE_SLEEPS] = CTR_loop_sleeps,
	        [CORE_BUSY_CYCLES] = CTR_loop_busy_cycles,
	};
	struct core_stats *stats;
	void *mem = NULL;
	bool ok;

	if (posix_memalign(&mem, CACHE_LINE, sizeof(*stats)) != 0)
		return false;
	stats = mem;
	ok = chan_server_attached(chan) && chan_server_stats(chan, core, stats);
	if (ok) {
		out->cycles = clock_cycles();
		for (uint32_t i = 0; i < CORE_FIGURES; i++)
			out->figures[i] = counter_read(&stats->counters, ids[i]);
		out->stages = stats->stages;
	}
	free(mem);
	return ok;
}

void admin_history_free(struct admin_history *h)
{
	free(h->samples);
	*h = (struct admin_history){0};
}

/* For a dataplane that is new, or has gone (generation 0). */
static void history_anew(struct admin_history *h, uint64_t generation, uint32_t cores)
{
	void *mem = NULL;

	admin_history_free(h);
	if (generation == 0 || cores == 0 ||
	    posix_memalign(&mem, CACHE_LINE, sizeof(*h->samples) * cores * ROWS) != 0)
		return;
	*h = (struct admin_history){.generation = generation, .cores = cores, .samples = mem};
}

void admin_history_sample(struct admin_history *h, struct chan_server *chan)
{
	uint64_t generation = chan_server_attached(chan) ? chan_server_generation(chan) : 0;
	struct core_sample *row;

	if (generation != h->generation)
		history_anew(h, generation, chan_server_cores(chan));
	if (h->samples == NULL)
		return;
	row = h->samples + (size_t)h->next * h->cores;
	for (uint32_t core = 0; core < h->cores; core++)
		if (!core_sample_take(chan, core, &row[core]))
			return;
	h->next = (h->next + 1) % ROWS;
	h->count = min_u32(h->count + 1, ROWS);
}

const struct core_sample *admin_history_find(const struct admin_history *h, uint64_t generation,
                                             uint32_t core, uint32_t seconds)
{
	uint32_t back = min_u32(max_u32(seconds, 1), h->count);
	uint64_t ms_cycles = (uint64_t)((double)NS_PER_MS * clock_cycles_per_ns());
	uint64_t now = clock_cycles();
	uint64_t age;
	const struct core_sample *s;

	if (h->samples == NULL || generation != h->generation || core >= h->cores || h->count == 0)
		return NULL;
	for (;; back++) {
		s = h->samples + (size_t)((h->next + ROWS - back) % ROWS) * h->cores + core;
		age = now - s->cycles;
		if (age >= seconds * 1000 * ms_cycles)
			return s;
		if (back >= h->count)
			return age < INTERVAL_LEAST_MS * ms_cycles ? NULL : s;
	}
}
