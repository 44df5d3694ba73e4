/* SPDX-License-Identifier: BSD-2-Clause */
#include "perf/load/result.h"

#include <stdio.h>
#include <stdlib.h>

#define CLIENT_BOUND_SHARE 0.9

static const char *const error_names[LOAD_ERR_COUNT] = {
        [LOAD_ERR_CONNECT] = "connect",   [LOAD_ERR_RESET] = "reset",
        [LOAD_ERR_CLOSED] = "closed",     [LOAD_ERR_TIMEOUT] = "timeout",
        [LOAD_ERR_PROTOCOL] = "protocol", [LOAD_ERR_STATUS] = "status",
        [LOAD_ERR_UNSENT] = "unsent",
};

const char *load_error_name(enum load_error e)
{
	return e < LOAD_ERR_COUNT ? error_names[e] : "unknown";
}

void load_hist_merge(struct load_hist *dst, const struct load_hist *src)
{
	if (src->count == 0)
		return;
	dst->min_ns = dst->count ? min_u64(dst->min_ns, src->min_ns) : src->min_ns;
	dst->max_ns = max_u64(dst->max_ns, src->max_ns);
	dst->count += src->count;
	dst->sum_ns += src->sum_ns;
	for (uint32_t i = 0; i < LOAD_HIST_BUCKETS; i++)
		dst->bucket[i] += src->bucket[i];
}

uint64_t load_hist_quantile_ns(const struct load_hist *h, double q)
{
	uint64_t total = 0, seen = 0;
	uint32_t last = 0;

	/* Not h->count: another thread may be between the bucket and the count. */
	for (uint32_t i = 0; i < LOAD_HIST_BUCKETS; i++)
		total += h->bucket[i];
	if (total == 0)
		return 0;
	if (!(q > 0))
		q = 0;
	double rank = (q > 1 ? 1 : q) * (double)total;
	for (uint32_t i = 0; i < LOAD_HIST_BUCKETS; i++) {
		if (h->bucket[i] == 0)
			continue;
		seen += h->bucket[i];
		last = i;
		if ((double)seen >= rank)
			break;
	}
	return min_u64(hist_log_max(last, LOAD_HIST_SUB_BITS), h->max_ns);
}

struct result *result_create(const struct scenario *s)
{
	struct result *r = calloc(1, sizeof(*r));

	if (r)
		r->scenario = s;
	return r;
}

void result_destroy(struct result *r)
{
	free(r);
}

double result_client_share(const struct result *r)
{
	double all = (double)r->elapsed_ns * r->workers;

	return all > 0 ? (double)r->cpu_busy_ns / all : 0;
}

bool result_client_bound(const struct result *r)
{
	return result_client_share(r) > CLIENT_BOUND_SHARE;
}

uint64_t load_errors(const struct load_counts *c)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < LOAD_ERR_COUNT; i++)
		sum += c->errors[i];
	return sum;
}

/* Requests that never left count as well: else a server that takes none would have no errors. */
static double share(const struct load_counts *c, uint64_t of)
{
	uint64_t all = c->sent + c->errors[LOAD_ERR_UNSENT];

	return all ? (double)of / (double)max_u64(all, of) : of ? 1 : 0;
}

double load_hist_figure(const struct load_hist *h, enum load_figure figure)
{
	switch (figure) {
	case FIGURE_MEAN:
		return h->count ? (double)h->sum_ns / (double)h->count : 0;
	case FIGURE_P50:
		return (double)load_hist_quantile_ns(h, 0.5);
	case FIGURE_P90:
		return (double)load_hist_quantile_ns(h, 0.9);
	case FIGURE_P95:
		return (double)load_hist_quantile_ns(h, 0.95);
	case FIGURE_P99:
		return (double)load_hist_quantile_ns(h, 0.99);
	case FIGURE_P999:
		return (double)load_hist_quantile_ns(h, 0.999);
	case FIGURE_MAX:
		return (double)h->max_ns;
	default:
		return 0;
	}
}

double result_figure(const struct load_part *part, enum load_figure figure)
{
	const struct load_counts *c = &part->counts;

	switch (figure) {
	case FIGURE_ERRORS:
		return share(c, load_errors(c));
	case FIGURE_TIMEOUTS:
		return share(c, c->errors[LOAD_ERR_TIMEOUT]);
	case FIGURE_HIT_RATE:
		return c->cache_known ? (double)c->hits / (double)c->cache_known : 0;
	case FIGURE_RATE:
		return part->duration_ns ? (double)c->answered * 1e9 / (double)part->duration_ns
		                         : 0;
	default:
		return load_hist_figure(&part->latency, figure);
	}
}
