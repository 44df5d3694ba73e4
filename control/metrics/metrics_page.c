/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/metrics/metrics_page.h"

#include <inttypes.h>
#include <stdio.h>

enum {
	HELP_MAX = 2048,
	LABELS_MAX = 512,
	NAME_MAX_BYTES = 220, /* of an upstream or address, quoted */
	/* The histogram's octaves that are published: 2^10 ns (1 us) to 2^36 ns (69 s). */
	FIRST_OCTAVE = 10,
	LAST_OCTAVE = 36,
};

enum metric_id {
#define METRIC(id, name, type, labels, help) METRIC_##id,
#define TIER(part, field, name, type, help)  METRIC_##part##_##field,
#define UPSTREAM(field, name, type, help)    METRIC_upstream_##field,
#include "control/metrics/metrics.def"
#undef METRIC
#undef TIER
#undef UPSTREAM
	METRIC_COUNT
};

const struct metric_info metric_infos[] = {
#define METRIC(id, name, type, labels, help) {name, type, labels, help},
#define TIER(part, field, name, type, help)  {name, type, "", help},
#define UPSTREAM(field, name, type, help)    {name, type, "upstream, address", help},
#include "control/metrics/metrics.def"
#undef METRIC
#undef TIER
#undef UPSTREAM
        {NULL, NULL, NULL, NULL},
};

const char *metrics_counter_type(const struct counter_info *info)
{
	static const char suffix[] = "_total";
	size_t len = strlen(info->metric);
	size_t n = sizeof(suffix) - 1;

	return len > n && strcmp(info->metric + len - n, suffix) == 0 ? "counter" : "gauge";
}

static bool same_family(uint32_t a, uint32_t b)
{
	return strcmp(counter_infos[a].metric, counter_infos[b].metric) == 0;
}

bool metrics_family_begins(uint32_t id)
{
	for (uint32_t i = 0; i < id; i++)
		if (same_family(i, id))
			return false;
	return true;
}

void metrics_family_help(uint32_t id, char *out, size_t room)
{
	const struct counter_info *info = &counter_infos[id];
	size_t len = 0;

	if (info->kind == COUNTER_DROP) {
		snprintf(out, room, "Received packets that ended here, by reason");
		return;
	}
	if (info->kind == COUNTER_SHED) {
		snprintf(out, room, "Work given up for want of room, by reason");
		return;
	}
	if (*info->labels == '\0') {
		snprintf(out, room, "%s", info->help);
		return;
	}
	out[0] = '\0';
	for (uint32_t i = id; i < CTR_COUNT && len < room; i++) {
		if (same_family(i, id))
			len += (size_t)snprintf(out + len, room - len, "%s%s: %s", len ? "; " : "",
			                        counter_infos[i].labels, counter_infos[i].help);
	}
}

static void family_begin(struct text_page *p, enum metric_id id)
{
	page_family(p, metric_infos[id].name, metric_infos[id].type, metric_infos[id].help);
}

static void single(struct text_page *p, enum metric_id id, uint64_t value)
{
	family_begin(p, id);
	page_sample(p, metric_infos[id].name, "", value);
}

static void process_metrics(struct text_page *p, const struct metrics_view *view)
{
	family_begin(p, METRIC_build_info);
	page_sample(p, metric_infos[METRIC_build_info].name, "version=\"" SLUICE_VERSION "\"", 1);
	family_begin(p, METRIC_up);
	page_sample(p, metric_infos[METRIC_up].name, "process=\"control\"", 1);
	page_sample(p, metric_infos[METRIC_up].name, "process=\"dataplane\"", view->attached);
	single(p, METRIC_cores, view->cores);
	single(p, METRIC_uptime, view->uptime_ms / 1000);
	single(p, METRIC_draining, view->draining);
	single(p, METRIC_blocks, view->down_blocks_free);
}

static void counter_samples(struct text_page *p, const struct summary *s, uint32_t id)
{
	const struct counter_info *info = &counter_infos[id];
	char labels[LABELS_MAX];

	for (uint32_t core = 0; core < s->cores; core++) {
		snprintf(labels, sizeof(labels), "core=\"%u\"%s%s", core, *info->labels ? "," : "",
		         info->labels);
		page_sample(p, info->metric, labels, s->by_core[core].counters.v[id]);
	}
}

static void counter_families(struct text_page *p, const struct summary *s)
{
	char help[HELP_MAX];

	for (uint32_t id = 0; id < CTR_COUNT; id++) {
		if (!metrics_family_begins(id))
			continue;
		metrics_family_help(id, help, sizeof(help));
		page_family(p, counter_infos[id].metric, metrics_counter_type(&counter_infos[id]),
		            help);
		for (uint32_t i = id; i < CTR_COUNT; i++)
			if (same_family(i, id))
				counter_samples(p, s, i);
	}
}

/* Two bounds an octave. Each is the largest value of one of struct hist's buckets, so that no count
 * is an estimate. _count is the sum of the buckets, because the writer's own count may be ahead of
 * them. */
static void duration_samples(struct text_page *p, const struct hist *h, const char *labels)
{
	const char *name = metric_infos[METRIC_duration].name;
	uint64_t below = 0;
	uint32_t next = 0;

	for (uint32_t half = 2 * FIRST_OCTAVE; half <= 2 * LAST_OCTAVE; half++) {
		uint64_t octave_ns = 1ull << (half / 2);
		uint64_t bound_ns = half % 2 ? octave_ns + octave_ns / 2 : octave_ns;
		uint32_t last = hist_index(bound_ns - 1);

		while (next <= last)
			below += h->bucket[next++];
		page_printf(p, "%s_bucket{%s,le=\"%.6f\"} %" PRIu64 "\n", name, labels,
		            (double)hist_bucket_max_ns(last) / (double)NS_PER_MS, below);
	}
	while (next < HIST_BUCKETS)
		below += h->bucket[next++];
	page_printf(p, "%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n", name, labels, below);
	page_printf(p, "%s_sum{%s} %.6f\n", name, labels, (double)h->sum_ns / (double)NS_PER_MS);
	page_printf(p, "%s_count{%s} %" PRIu64 "\n", name, labels, below);
}

static uint64_t stage_value(const struct stage_stats *s, enum metric_id id)
{
	switch (id) {
	case METRIC_stage_calls:
		return s->calls;
	case METRIC_stage_items:
		return s->items;
	case METRIC_stage_timed_items:
		return s->timed_items;
	case METRIC_stage_timed_cycles:
		return s->timed_cycles;
	case METRIC_stage_max:
		return max_u64(s->peak_cycles, s->last_peak_cycles);
	default:
		return 0;
	}
}

static void stage_families(struct text_page *p, const struct summary *s)
{
	char labels[LABELS_MAX];

	for (enum metric_id id = METRIC_stage_calls; id <= METRIC_stage_max; id++) {
		family_begin(p, id);
		for (uint32_t i = 0; i < s->cores * STAGE_COUNT; i++) {
			uint32_t core = i / STAGE_COUNT, stage = i % STAGE_COUNT;

			snprintf(labels, sizeof(labels), "core=\"%u\",stage=\"%s\"", core,
			         stage_infos[stage].name);
			page_sample(p, metric_infos[id].name, labels,
			            stage_value(&s->by_core[core].stages.stage[stage], id));
		}
	}
}

static void burst_family(struct text_page *p, const struct summary *s)
{
	const char *name = metric_infos[METRIC_burst].name;

	family_begin(p, METRIC_burst);
	for (uint32_t core = 0; core < s->cores; core++) {
		const struct stages *st = &s->by_core[core].stages;
		uint64_t below = 0;

		for (uint32_t i = 0; i < STAGE_BURSTS; i++) {
			below += st->burst[i];
			if (stage_burst_most(i) == UINT32_MAX)
				page_printf(p, "%s_bucket{core=\"%u\",le=\"+Inf\"} ", name, core);
			else
				page_printf(p, "%s_bucket{core=\"%u\",le=\"%u\"} ", name, core,
				            stage_burst_most(i));
			page_printf(p, "%" PRIu64 "\n", below);
		}
		page_printf(p, "%s_sum{core=\"%u\"} %" PRIu64 "\n", name, core,
		            st->stage[STAGE_rx].items);
		page_printf(p, "%s_count{core=\"%u\"} %" PRIu64 "\n", name, core, below);
	}
}

static void duration_family(struct text_page *p, const struct summary *s)
{
	char labels[LABELS_MAX];

	family_begin(p, METRIC_duration);
	for (uint32_t core = 0; core < s->cores; core++) {
		snprintf(labels, sizeof(labels), "core=\"%u\",result=\"hit\"", core);
		duration_samples(p, &s->by_core[core].hit, labels);
		snprintf(labels, sizeof(labels), "core=\"%u\",result=\"miss\"", core);
		duration_samples(p, &s->by_core[core].miss, labels);
	}
}

static void tier_families(struct text_page *p, const struct metrics_view *view)
{
#define METRIC(metric, name, type, labels, help)
#define TIER(part, field, name, type, help) \
	single(p, METRIC_##part##_##field, view->tiers.part.field);
#define UPSTREAM(field, name, type, help)
#include "control/metrics/metrics.def"
#undef METRIC
#undef TIER
#undef UPSTREAM
}

static uint64_t row_value(const struct upstream_row *row, enum metric_id id)
{
	switch (id) {
#define METRIC(metric, name, type, labels, help)
#define TIER(part, field, name, type, help)
#define UPSTREAM(field, name, type, help) \
	case METRIC_upstream_##field:     \
		return row->field;
#include "control/metrics/metrics.def"
#undef METRIC
#undef TIER
#undef UPSTREAM
	default:
		return 0;
	}
}

static void upstream_families(struct text_page *p, const struct metrics_view *view)
{
	char labels[LABELS_MAX];
	char name[NAME_MAX_BYTES];
	char address[NAME_MAX_BYTES];

	/* metrics.def has these behind the others. */
	for (enum metric_id id = METRIC_upstream_open; id < METRIC_COUNT; id++) {
		family_begin(p, id);
		for (uint32_t i = 0; i < view->row_count; i++) {
			page_quote(name, sizeof(name), view->rows[i].name);
			page_quote(address, sizeof(address), view->rows[i].address);
			snprintf(labels, sizeof(labels), "upstream=%s,address=%s", name, address);
			page_sample(p, metric_infos[id].name, labels,
			            row_value(&view->rows[i], id));
		}
	}
}

/* The counters of a core that has another snapshot yet are of other rules. */
static void rule_families(struct text_page *p, const struct metrics_view *view,
                          const struct summary *s)
{
	static const char *const results[] = {
	        [RULE_HIT] = "hit",         [RULE_MISS] = "miss",
	        [RULE_STALE] = "stale",     [RULE_BYPASS] = "bypass",
	        [RULE_PATTERN_HIT] = "hit", [RULE_PATTERN_STALE] = "stale"};
	char labels[LABELS_MAX];

	family_begin(p, METRIC_rule_requests);
	for (uint32_t i = 0; i < s->cores * view->rule_count * RULE_RESULTS; i++) {
		uint32_t core = i / RULE_RESULTS / view->rule_count;
		uint32_t rule = i / RULE_RESULTS % view->rule_count, result = i % RULE_RESULTS;
		const struct rule_stats *rs = &s->by_core[core].rules;

		if (rs->snapshot_id != view->snapshot_id ||
		    (result >= RULE_PATTERN_HIT && !view->rules[rule].pattern))
			continue;
		snprintf(labels, sizeof(labels),
		         "core=\"%u\",rule=\"%s\",match=\"%s\",result=\"%s\"", core,
		         view->rules[rule].name, metrics_rule_match(&view->rules[rule], result),
		         results[result]);
		page_sample(p, metric_infos[METRIC_rule_requests].name, labels,
		            rs->v[rule][result]);
	}
}

/* Rules that are patterns: are they on, and what their checks found. */
static void pattern_families(struct text_page *p, const struct metrics_view *view)
{
	char labels[LABELS_MAX];

	for (enum metric_id id = METRIC_rule_disabled; id <= METRIC_rule_store_hits; id++) {
		family_begin(p, id);
		for (uint32_t i = 0; i < view->rule_count; i++) {
			const struct metrics_rule *r = &view->rules[i];
			uint32_t count = id == METRIC_rule_checks ? PATTERN_RESULTS : 1;
			int at = snprintf(labels, sizeof(labels), "rule=\"%s\"", r->name);

			for (uint32_t k = 0; k < count && r->pattern; k++) {
				uint64_t value = id == METRIC_rule_disabled ? r->state.off
				                 : id == METRIC_rule_checks ? r->state.checks[k]
				                                            : r->state.store_hits;

				if (id == METRIC_rule_checks)
					snprintf(labels + at, sizeof(labels) - (size_t)at,
					         ",result=\"%s\"", pattern_result_name(k));
				page_sample(p, metric_infos[id].name, labels, value);
			}
		}
	}
}

static void warm_families(struct text_page *p, const struct metrics_tiers *t)
{
	char labels[LABELS_MAX];

	family_begin(p, METRIC_warm_requests);
	for (uint32_t i = WARM_LIST * WARM_RESULTS; i < WARM_SOURCES * WARM_RESULTS; i++) {
		enum warm_source source = (enum warm_source)(i / WARM_RESULTS);
		enum warm_result result = (enum warm_result)(i % WARM_RESULTS);

		snprintf(labels, sizeof(labels), "source=\"%s\",result=\"%s\"",
		         warm_source_name(source), warm_result_name(result));
		page_sample(p, metric_infos[METRIC_warm_requests].name, labels,
		            t->warm.results[source][result]);
	}
	family_begin(p, METRIC_warm_answers);
	for (uint32_t i = WARM_LIST; i < WARM_SOURCES; i++) {
		const char *name = warm_source_name((enum warm_source)i);

		snprintf(labels, sizeof(labels), "source=\"%s\",use=\"used\"", name);
		page_sample(p, metric_infos[METRIC_warm_answers].name, labels,
		            t->fetch.warm_used[i]);
		snprintf(labels, sizeof(labels), "source=\"%s\",use=\"unused\"", name);
		page_sample(p, metric_infos[METRIC_warm_answers].name, labels,
		            t->store.marks_lost[i]);
	}
	family_begin(p, METRIC_warm_waiting);
	for (uint32_t i = WARM_LIST; i < WARM_SOURCES; i++) {
		snprintf(labels, sizeof(labels), "source=\"%s\"",
		         warm_source_name((enum warm_source)i));
		page_sample(p, metric_infos[METRIC_warm_waiting].name, labels, t->store.marked[i]);
	}
}

void metrics_page(struct text_page *p, const struct metrics_view *view, const struct summary *s)
{
	process_metrics(p, view);
	counter_families(p, s);
	stage_families(p, s);
	burst_family(p, s);
	duration_family(p, s);
	rule_families(p, view, s);
	pattern_families(p, view);
	warm_families(p, &view->tiers);
	tier_families(p, view);
	upstream_families(p, view);
}
