/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/cli/render.h"

#include "control/cli/table.h"

static double number(json_t *object, const char *name)
{
	return json_number_value(json_object_get(object, name));
}

static const char *percent(char *buf, json_t *object, const char *name)
{
	json_t *value = json_object_get(object, name);

	return json_is_number(value) ? unit_percent(buf, json_number_value(value)) : "-";
}

/* One place after the point: 31.9 packets are not 32. */
static const char *tenths(char *buf, json_t *object, const char *name)
{
	json_t *value = json_object_get(object, name);

	if (!json_is_number(value))
		return "-";
	snprintf(buf, UNIT_TEXT, "%.1f", json_number_value(value));
	return buf;
}

static void cores_table(json_t *cores, FILE *out)
{
	static const struct table_column columns[] = {
	        {"CORE", true},          {"CPU", true},
	        {"STATE", false},        {"BUSY", true},
	        {"LOOPS/S", true},       {"EMPTY", true},
	        {"REQUESTS/S", true},    {"CYCLES/REQUEST", true},
	        {"PACKETS/BURST", true},
	};
	struct table *t = table_create(columns, ARRAY_LEN(columns));
	char buf[UNIT_TEXT];
	json_t *core;
	size_t i;

	json_array_foreach(cores, i, core)
	{
		table_cell(t, "%s", member_count(buf, core, "core"));
		table_cell(t, "%s", member_count(buf, core, "cpu"));
		table_cell(t, "%s", member_text(core, "state"));
		table_cell(t, "%s", percent(buf, core, "busy_ratio"));
		table_cell(t, "%s", member_count(buf, core, "loops_per_s"));
		table_cell(t, "%s", percent(buf, core, "empty_ratio"));
		table_cell(t, "%s", member_count(buf, core, "requests_per_s"));
		table_cell(t, "%s", member_count(buf, core, "cycles_per_request"));
		table_cell(t, "%s", tenths(buf, core, "packets_per_burst"));
	}
	table_print(t, out);
}

static void stages_table(json_t *stages, FILE *out)
{
	static const struct table_column columns[] = {
	        {"STAGE", false},     {"ITEM", false},       {"CALLS", true}, {"ITEMS", true},
	        {"ITEMS/CALL", true}, {"CYCLES/ITEM", true}, {"MAX", true},   {"SHARE", true},
	};
	struct table *t = table_create(columns, ARRAY_LEN(columns));
	char buf[UNIT_TEXT];
	json_t *row;
	size_t i;

	json_array_foreach(stages, i, row)
	{
		bool timed = json_is_number(json_object_get(row, "max_us"));
		double max_ns = number(row, "max_us") * (double)NS_PER_US;

		table_cell(t, "%s", member_text(row, "stage"));
		table_cell(t, "%s", member_text(row, "item"));
		table_cell(t, "%s", member_count(buf, row, "calls"));
		table_cell(t, "%s", member_count(buf, row, "items"));
		table_cell(t, "%s", tenths(buf, row, "items_per_call"));
		table_cell(t, "%s", member_count(buf, row, "cycles_per_item"));
		table_cell(t, "%s", timed ? unit_duration_ns(buf, (uint64_t)max_ns) : "-");
		table_cell(t, "%s", percent(buf, row, "share"));
	}
	table_print(t, out);
}

static void burst_title(char *buf, json_t *row)
{
	json_int_t least = json_integer_value(json_object_get(row, "least"));
	json_t *most = json_object_get(row, "most");

	if (!json_is_integer(most))
		snprintf(buf, UNIT_TEXT, "%lld up", (long long)least);
	else if (json_integer_value(most) == least)
		snprintf(buf, UNIT_TEXT, "%lld", (long long)least);
	else
		snprintf(buf, UNIT_TEXT, "%lld to %lld", (long long)least,
		         (long long)json_integer_value(most));
}

/* Which share of the filled bursts held how many packets. */
static void bursts_line(json_t *bursts, FILE *out)
{
	char title[UNIT_TEXT], share[UNIT_TEXT];
	double all = 0;
	json_t *row;
	size_t i;

	json_array_foreach(bursts, i, row) all += number(row, "count");
	if (all == 0)
		return;
	fputs("Bursts by packets: ", out);
	json_array_foreach(bursts, i, row)
	{
		burst_title(title, row);
		fprintf(out, "%s%s: %s", i ? ", " : "", title,
		        unit_percent(share, number(row, "count") / all));
	}
	fputc('\n', out);
}

static void core_stages(json_t *core, FILE *out)
{
	const char *timed = member_text(core, "timed");
	char id[UNIT_TEXT];

	fprintf(out, "\nCore %s, ", member_count(id, core, "core"));
	if (strcmp(timed, "off") == 0) {
		fputs("stages not counted (stages: off)\n", out);
		return;
	}
	fprintf(out, "%s\n",
	        strcmp(timed, "all") == 0 ? "every round timed" : "one round in about 16 timed");
	stages_table(json_object_get(core, "stages"), out);
	bursts_line(json_object_get(core, "bursts"), out);
}

void render_cores(json_t *result, FILE *out)
{
	json_t *cores = json_object_get(result, "cores");
	double seconds = number(json_array_get(cores, 0), "seconds");
	json_t *core;
	size_t i;

	if (json_is_true(json_object_get(result, "total")))
		fprintf(out, "Since the start, %.1f s ago\n", seconds);
	else
		fprintf(out, "The last %.1f s\n", seconds);
	cores_table(cores, out);
	json_array_foreach(cores, i, core) core_stages(core, out);
}
