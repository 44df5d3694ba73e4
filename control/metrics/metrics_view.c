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
	free(v->rules);
	memset(v, 0, sizeof(*v));
}

static enum status rules_read(const struct control *ctl, struct metrics_view *out)
{
	const struct snapshot *s = ctl->snapshot;
	const struct snap_rule *rules;

	if (s == NULL || s->rules.rule_count == 0)
		return ST_OK;
	rules = (const struct snap_rule *)(const void *)((const char *)s + s->rules.rules_off);
	out->rules = calloc(s->rules.rule_count, sizeof(*out->rules));
	if (!out->rules)
		return ST_NOMEM;
	out->snapshot_id = s->id;
	out->rule_count = s->rules.rule_count;
	for (uint32_t i = 0; i < out->rule_count; i++) {
		const struct rule_text *name = &rules[i].name;

		memcpy(out->rules[i].name, snapshot_text(s, name->off, name->len).ptr,
		       min_size(name->len, sizeof(out->rules[i].name) - 1));
		out->rules[i].semantic = rules[i].semantic != 0;
		out->rules[i].pattern = (rules[i].flags & RULE_PATTERN) != 0;
		if (out->rules[i].pattern && ctl->fetcher)
			pattern_state(ctl->fetcher, out->rules[i].name, &out->rules[i].state);
	}
	return ST_OK;
}

static enum status rules_copy(const struct metrics_view *from, struct metrics_view *out)
{
	size_t bytes = from->rule_count * sizeof(*out->rules);

	out->rules = NULL;
	if (bytes == 0)
		return ST_OK;
	out->rules = malloc(bytes);
	if (!out->rules) {
		out->rule_count = 0;
		return ST_NOMEM;
	}
	memcpy(out->rules, from->rules, bytes);
	return ST_OK;
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
	warm_counts(ctl->warm, &out->warm);
	if (ctl->l3)
		l3_counts(ctl->l3, &out->l3);
	if (ctl->clock)
		out->clock = clock_watch_counts(ctl->clock);
	if (ctl->chan)
		chan_server_counts(ctl->chan, &out->chan);
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
	if (rules_read(ctl, out) != ST_OK)
		return ST_NOMEM;
	if (count == 0)
		return ST_OK;
	out->rows = calloc(count, sizeof(*out->rows));
	if (!out->rows) {
		metrics_view_free(out);
		return ST_NOMEM;
	}
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
	if (rules_copy(from, out) != ST_OK)
		return ST_NOMEM;
	if (from->row_count == 0)
		return ST_OK;
	out->rows = calloc(from->row_count, sizeof(*out->rows));
	if (!out->rows) {
		metrics_view_free(out);
		return ST_NOMEM;
	}
	while (out->row_count < from->row_count) {
		uint32_t i = out->row_count++;

		if (row_copy(&from->rows[i], &out->rows[i]) != ST_OK) {
			metrics_view_free(out);
			return ST_NOMEM;
		}
	}
	return ST_OK;
}
