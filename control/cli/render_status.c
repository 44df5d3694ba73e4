/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/cli/render.h"

#include "control/cli/table.h"

#include <stdlib.h>

enum { CORES_SHOWN = 8 }; /* columns of stats; more cores show in total only */

static void fact(struct table *t, const char *title, const char *text)
{
	table_cell(t, "%s", title);
	table_cell(t, "%s", text);
}

static void store_fact(struct table *t, json_t *store)
{
	char bytes[UNIT_TEXT];
	char limit[UNIT_TEXT];
	char entries[UNIT_TEXT];

	if (json_integer_value(json_object_get(store, "limit_bytes")) == 0)
		return;
	table_cell(t, "  store");
	table_cell(t, "%s objects, %s of %s", member_count(entries, store, "entries"),
	           member_bytes(bytes, store, "bytes"), member_bytes(limit, store, "limit_bytes"));
}

static void control_facts(struct table *t, json_t *control)
{
	char buf[UNIT_TEXT];

	table_cell(t, "control");
	table_cell(t, "pid %lld, version %s, up %s%s",
	           (long long)json_integer_value(json_object_get(control, "pid")),
	           member_text(control, "version"), member_age_ms(buf, control, "uptime_ms"),
	           json_is_true(json_object_get(control, "stopping")) ? ", STOPPING" : "");
	fact(t, "  config", member_text(control, "config"));
	fact(t, "  snapshot", member_text(control, "snapshot"));
	store_fact(t, json_object_get(control, "store"));
}

static void dataplane_facts(struct table *t, json_t *dataplane)
{
	char buf[UNIT_TEXT];

	if (!json_is_true(json_object_get(dataplane, "attached"))) {
		fact(t, "dataplane",
		     "NOT ATTACHED: is sluice-dataplane running, with the same "
		     "run_dir?");
		return;
	}
	table_cell(t, "dataplane");
	table_cell(t, "pid %lld, up %s, attached",
	           (long long)json_integer_value(json_object_get(dataplane, "pid")),
	           member_age_ms(buf, dataplane, "uptime_ms"));
	fact(t, "  generation", member_text(dataplane, "generation"));
	fact(t, "  free blocks down", member_count(buf, dataplane, "down_blocks_free"));
}

static void l3_facts(struct table *t, json_t *l3)
{
	json_int_t servers = json_integer_value(json_object_get(l3, "servers"));
	json_int_t open = json_integer_value(json_object_get(l3, "servers_open"));
	char gets[UNIT_TEXT];
	char hits[UNIT_TEXT];

	if (!json_is_object(l3))
		return;
	table_cell(t, "shared store");
	table_cell(t, "%s, %s of %s gets were hits", member_text(l3, "backend"),
	           member_count(hits, l3, "hits"), member_count(gets, l3, "gets"));
	if (servers == 0)
		return;
	table_cell(t, "  servers");
	table_cell(t, "%lld%s", (long long)servers,
	           open == 0 ? ""
	           : open == servers
	                   ? ", NONE ANSWERS: answers come from this node's tiers and the origins"
	                   : ", some DO NOT ANSWER");
}

static const char *core_state(json_t *core, const char *snapshot)
{
	if (!json_is_true(json_object_get(core, "answers")))
		return member_text(core, "answer");
	if (json_is_true(json_object_get(core, "draining")))
		return "draining";
	if (strcmp(member_text(core, "snapshot"), snapshot) != 0)
		return "other snapshot";
	return "ok";
}

static void cores_table(json_t *cores, const char *snapshot, FILE *out)
{
	static const struct table_column columns[] = {
	        {"CORE", true},           {"CPU", true},          {"CONNECTIONS", true},
	        {"REQUESTS/S", true},     {"REQUESTS", true},     {"MISSES WAITING", true},
	        {"UP BLOCKS FREE", true}, {"PACKETS FREE", true}, {"STATE", false},
	};
	static const char *const members[] = {"core",           "cpu",
	                                      "connections",    "requests_per_s",
	                                      "requests_total", "misses_waiting",
	                                      "up_blocks_free", "packets_free"};
	struct table *t = table_create(columns, ARRAY_LEN(columns));
	char buf[UNIT_TEXT];
	json_t *core;
	size_t i;

	json_array_foreach(cores, i, core)
	{
		for (uint32_t m = 0; m < ARRAY_LEN(members); m++)
			table_cell(t, "%s", member_count(buf, core, members[m]));
		table_cell(t, "%s", core_state(core, snapshot));
	}
	fputc('\n', out);
	table_print(t, out);
}

void render_status(json_t *result, FILE *out)
{
	json_t *control = json_object_get(result, "control");
	json_t *dataplane = json_object_get(result, "dataplane");
	json_t *cores = json_object_get(dataplane, "cores");
	struct table *t = facts_create();

	control_facts(t, control);
	dataplane_facts(t, dataplane);
	l3_facts(t, json_object_get(result, "l3"));
	table_print(t, out);
	if (json_array_size(cores) > 0)
		cores_table(cores, member_text(control, "snapshot"), out);
}

static void latency_table(json_t *latency, FILE *out)
{
	static const struct table_column columns[] = {
	        {"LATENCY", false}, {"COUNT", true}, {"MEAN", true},  {"P50", true},
	        {"P90", true},      {"P99", true},   {"P99.9", true},
	};
	static const char *const members[] = {"mean_ns", "p50_ns", "p90_ns", "p99_ns", "p999_ns"};
	struct table *t = table_create(columns, ARRAY_LEN(columns));
	char buf[UNIT_TEXT];
	const char *kind;
	json_t *row;

	json_object_foreach(latency, kind, row)
	{
		table_cell(t, "%s", kind);
		table_cell(t, "%s", member_count(buf, row, "count"));
		for (uint32_t m = 0; m < ARRAY_LEN(members); m++)
			table_cell(t, "%s", member_ns(buf, row, members[m]));
	}
	table_print(t, out);
}

static void counters_table(json_t *result, FILE *out)
{
	struct table_column columns[2 + CORES_SHOWN] = {{"COUNTER", false}, {"TOTAL", true}};
	char titles[CORES_SHOWN][UNIT_TEXT];
	json_t *cores = json_object_get(result, "cores");
	size_t shown = json_array_size(cores);
	char buf[UNIT_TEXT];
	const char *id;
	json_t *total;

	if (shown > CORES_SHOWN || shown == 1)
		shown = 0;
	for (size_t i = 0; i < shown; i++) {
		snprintf(titles[i], sizeof(titles[i]), "CORE %zu", i);
		columns[2 + i] = (struct table_column){titles[i], true};
	}
	struct table *t = table_create(columns, (uint32_t)(2 + shown));
	json_t *totals = json_object_get(result, "total");

	json_object_foreach(totals, id, total)
	{
		if (json_integer_value(total) == 0)
			continue;
		table_cell(t, "%s", id);
		table_cell(t, "%s", member_count(buf, totals, id));
		for (size_t i = 0; i < shown; i++)
			table_cell(
			        t, "%s",
			        member_count(buf,
			                     json_object_get(json_array_get(cores, i), "counters"),
			                     id));
	}
	table_print(t, out);
}

/* Who answered: a core's hot table, the node's store, the shared store, an origin. */
static void tiers_line(json_t *tiers, FILE *out)
{
	char l1[UNIT_TEXT];
	char l2[UNIT_TEXT];
	char l3[UNIT_TEXT];
	char origin[UNIT_TEXT];

	if (tiers == NULL)
		return;
	fprintf(out, "Answered:   L1 %s, L2 %s, L3 %s, origin %s\n",
	        member_count(l1, tiers, "l1_hits"), member_count(l2, tiers, "l2_hits"),
	        member_count(l3, tiers, "l3_hits"), member_count(origin, tiers, "origin"));
}

void render_stats(json_t *result, FILE *out)
{
	json_t *ratio = json_object_get(result, "hit_ratio");
	json_t *cores = json_object_get(result, "cores");
	char buf[UNIT_TEXT];
	double per_s = 0;
	json_t *core;
	size_t i;

	json_array_foreach(cores, i, core) per_s +=
	        json_number_value(json_object_get(core, "requests_per_s"));
	fprintf(out, "Requests/s: %s\n", unit_count(buf, (uint64_t)(per_s + 0.5)));
	fprintf(out, "Hit ratio:  %s\n",
	        json_is_number(ratio) ? unit_percent(buf, json_number_value(ratio)) : "-");
	tiers_line(json_object_get(result, "tiers"), out);
	fputc('\n', out);
	latency_table(json_object_get(result, "latency"), out);
	fputc('\n', out);
	counters_table(result, out);
}
