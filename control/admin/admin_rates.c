/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/admin/admin_priv.h"

#include "control/chan_server.h"

#include <stdlib.h>

static double rate(uint64_t now, uint64_t before, uint64_t over_ns)
{
	if (now < before || over_ns == 0)
		return 0;
	return (double)(now - before) * (double)NS_PER_S / (double)over_ns;
}

void admin_rates_sample(struct admin_rates *r, struct chan_server *chan, uint64_t now_ns)
{
	uint64_t generation = chan_server_attached(chan) ? chan_server_generation(chan) : 0;
	bool fresh = generation != r->generation; /* other memory: its counters began at zero */
	struct core_stats *stats;
	void *mem = NULL;

	if (posix_memalign(&mem, CACHE_LINE, sizeof(*stats)) != 0)
		return;
	stats = mem;
	for (uint32_t core = 0; core < CHAN_MAX_CORES; core++) {
		uint64_t now = 0;

		if (generation && core < chan_server_cores(chan) &&
		    chan_server_stats(chan, core, stats))
			now = counter_read(&stats->counters, CTR_http_requests);
		r->per_s[core] = fresh ? 0 : rate(now, r->requests[core], now_ns - r->sampled_ns);
		r->requests[core] = now;
	}
	r->generation = generation;
	r->sampled_ns = now_ns;
	free(mem);
}
