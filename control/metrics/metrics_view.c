/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/metrics/metrics_view.h"

#include "control/chan_server.h"

#include <stdlib.h>

static enum status row_copy(const struct upstream_row *from, struct upstream_row *to)
{
	*to = *from;
	to->name = strdup(from->name);
	to->address = strdup(from->address);
	return to->name && to->address ? ST_OK : ST_NOMEM;
}

void metrics_view_free(struct metrics_view *v)
{
	for (uint32_t i = 0; i < v->row_count; i++) {
		free((char *)v->rows[i].name);
		free((char *)v->rows[i].address);
	}
	free(v->rows);
	memset(v, 0, sizeof(*v));
}

static uint32_t rows_count(const struct upstreams *u)
{
	struct upstream_row row;
	uint32_t n = 0;

	while (upstreams_row(u, n, &row))
		n++;
	return n;
}

void metrics_tiers_read(const struct control *ctl, struct metrics_tiers *out)
{
	*out = (struct metrics_tiers){0};
	if (!ctl->fetcher)
		return;
	fetcher_counts(ctl->fetcher, &out->fetch);
	if (fetcher_store(ctl->fetcher))
		store_counts(fetcher_store(ctl->fetcher), &out->store);
}

enum status metrics_view_read(const struct control *ctl, struct metrics_view *out)
{
	uint32_t count = rows_count(ctl->upstreams);
	struct upstream_row row;

	*out = (struct metrics_view){
	        .attached = chan_server_attached(ctl->chan),
	        .draining = ctl->draining,
	        .uptime_ms = (loop_now_ns(ctl->loop) - ctl->started_ns) / NS_PER_MS,
	};
	metrics_tiers_read(ctl, &out->tiers);
	if (out->attached) {
		out->cores = chan_server_cores(ctl->chan);
		out->down_blocks_free = chan_server_down_blocks_free(ctl->chan);
	}
	if (count == 0)
		return ST_OK;
	out->rows = calloc(count, sizeof(*out->rows));
	if (!out->rows)
		return ST_NOMEM;
	while (out->row_count < count && upstreams_row(ctl->upstreams, out->row_count, &row)) {
		if (row_copy(&row, &out->rows[out->row_count++]) != ST_OK) {
			metrics_view_free(out);
			return ST_NOMEM;
		}
	}
	return ST_OK;
}

enum status metrics_view_copy(const struct metrics_view *from, struct metrics_view *out)
{
	*out = *from;
	out->rows = NULL;
	out->row_count = 0;
	if (from->row_count == 0)
		return ST_OK;
	out->rows = calloc(from->row_count, sizeof(*out->rows));
	if (!out->rows)
		return ST_NOMEM;
	while (out->row_count < from->row_count) {
		uint32_t i = out->row_count++;

		if (row_copy(&from->rows[i], &out->rows[i]) != ST_OK) {
			metrics_view_free(out);
			return ST_NOMEM;
		}
	}
	return ST_OK;
}
