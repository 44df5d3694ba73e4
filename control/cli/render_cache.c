/* SPDX-License-Identifier: BSD-2-Clause
 *
 * `cache stats` and `cache warm` for people. */
#include "control/cli/render.h"

#include "control/cli/table.h"

static const char *percent(char *buf, json_t *row, const char *name)
{
	json_t *value = json_object_get(row, name);

	return json_is_number(value) ? unit_percent(buf, json_number_value(value)) : "-";
}

/* "name n, name n" of the members that are not 0; "none". */
static const char *members(char *buf, size_t room, json_t *object)
{
	size_t len = 0;
	char n[UNIT_TEXT];
	const char *name;
	json_t *value;

	snprintf(buf, room, "none");
	json_object_foreach(object, name, value)
	{
		if (json_integer_value(value) == 0 || len >= room)
			continue;
		len += (size_t)snprintf(buf + len, room - len, "%s%s %s", len ? ", " : "", name,
		                        unit_count(n, (uint64_t)json_integer_value(value)));
	}
	return buf;
}

static void requests_print(json_t *result, FILE *out)
{
	static const struct table_column columns[] = {
	        {"ANSWERED BY", false}, {"REQUESTS", true}, {"SHARE", true}};
	static const char *const names[][2] = {
	        {"own", "L1, the core's own table"},    {"l0", "L1, its copies (L0)"},
	        {"remote", "L1, another core's table"}, {"l2", "L2, the node's store"},
	        {"l3", "L3, the shared store"},         {"origin", "origin, or another's fetch"},
	        {"bypass", "origin, past the cache"},
	};
	struct table *t = table_create(columns, ARRAY_LEN(columns));
	char buf[UNIT_TEXT];
	json_t *row;
	size_t i;

	json_array_foreach(json_object_get(result, "tiers"), i, row)
	{
		const char *tier = member_text(row, "tier");

		for (uint32_t n = 0; n < ARRAY_LEN(names); n++)
			if (strcmp(tier, names[n][0]) == 0)
				tier = names[n][1];
		table_cell(t, "%s", tier);
		table_cell(t, "%s", member_count(buf, row, "requests"));
		table_cell(t, "%s", percent(buf, row, "share"));
	}
	table_print(t, out);
	fputc('\n', out);
}

static void fact(struct table *t, const char *title, const char *text)
{
	table_cell(t, "%s:", title);
	table_cell(t, "%s", text);
}

static void hits_print(json_t *result, FILE *out)
{
	struct table *t = facts_create();
	char text[512];
	char a[UNIT_TEXT];
	char b[UNIT_TEXT];

	snprintf(text, sizeof(text), "%s of what may be cached; in L1 alone %s",
	         percent(a, result, "hit_ratio"), percent(b, result, "hot_hit_ratio"));
	fact(t, "Hits", text);
	fact(t, "Stale answers", members(text, sizeof(text), json_object_get(result, "stale")));
	fact(t, "Not for sharing", member_count(a, result, "pass"));
	fact(t, "Origin", members(text, sizeof(text), json_object_get(result, "origin")));
	table_print(t, out);
	fputc('\n', out);
}

static void tier_row(struct table *t, const char *name, json_t *tier)
{
	char text[512];
	char buf[UNIT_TEXT];

	table_cell(t, "%s", name);
	table_cell(t, "%s", member_count(buf, tier, "entries"));
	table_cell(t, "%s", member_bytes(buf, tier, "bytes"));
	table_cell(t, "%s", member_bytes(buf, tier, "limit_bytes"));
	table_cell(t, "%s", member_count(buf, tier, "fills"));
	table_cell(t, "%s", member_count(buf, tier, "evicted"));
	table_cell(t, "%s", member_count(buf, tier, "purged"));
	table_cell(t, "%s", members(text, sizeof(text), json_object_get(tier, "refused")));
}

static void tiers_print(json_t *result, FILE *out)
{
	static const struct table_column columns[] = {
	        {"TIER", false}, {"ENTRIES", true}, {"BYTES", true},  {"LIMIT", true},
	        {"FILLS", true}, {"EVICTED", true}, {"PURGED", true}, {"REFUSED", false}};
	struct table *t = table_create(columns, ARRAY_LEN(columns));
	json_t *shared = json_object_get(result, "shared");
	char text[512];
	char buf[6][UNIT_TEXT];

	tier_row(t, "L1", json_object_get(result, "hot"));
	tier_row(t, "L2", json_object_get(result, "store"));
	table_print(t, out);
	if (!json_is_object(shared)) {
		fputs("L3: none\n", out);
		return;
	}
	fprintf(out,
	        "L3: %s, circuit %s (open at %s of %s servers); %s of %s asked for found, %s "
	        "stored; "
	        "refused: %s\n",
	        member_text(shared, "backend"),
	        json_is_true(json_object_get(shared, "open")) ? "open" : "closed",
	        member_count(buf[0], shared, "servers_open"),
	        member_count(buf[1], shared, "servers"), member_count(buf[2], shared, "hits"),
	        member_count(buf[3], shared, "gets"), member_count(buf[4], shared, "puts"),
	        members(text, sizeof(text), json_object_get(shared, "refused")));
}

static void rules_print(json_t *rules, FILE *out)
{
	static const struct table_column columns[] = {
	        {"RULE", false},   {"MATCH", false}, {"HIT", true},    {"STALE", true},
	        {"PATTERN", true}, {"MISS", true},   {"BYPASS", true}, {"HIT RATE", true},
	};
	struct table *t;
	char buf[UNIT_TEXT];
	json_t *row;
	size_t i;

	if (json_array_size(rules) == 0)
		return;
	fputc('\n', out);
	t = table_create(columns, ARRAY_LEN(columns));
	json_array_foreach(rules, i, row)
	{
		table_cell(t, "%s", member_text(row, "rule"));
		table_cell(t, "%s", member_text(row, "match"));
		table_cell(t, "%s", member_count(buf, row, "hit"));
		table_cell(t, "%s", member_count(buf, row, "stale"));
		table_cell(t, "%s", member_count(buf, row, "pattern"));
		table_cell(t, "%s", member_count(buf, row, "miss"));
		table_cell(t, "%s", member_count(buf, row, "bypass"));
		table_cell(t, "%s", percent(buf, row, "hit_ratio"));
	}
	table_print(t, out);
}

static void sources_print(json_t *sources, FILE *out)
{
	static const struct table_column columns[] = {
	        {"WARMED BY", false}, {"STORED", true},  {"USED", true},
	        {"UNUSED", true},     {"WAITING", true}, {"PRECISION", true},
	};
	struct table *t = table_create(columns, ARRAY_LEN(columns));
	char buf[UNIT_TEXT];
	json_t *row;
	size_t i;

	json_array_foreach(sources, i, row)
	{
		table_cell(t, "%s", member_text(row, "source"));
		table_cell(t, "%s", member_count(buf, row, "stored"));
		table_cell(t, "%s", member_count(buf, row, "used"));
		table_cell(t, "%s", member_count(buf, row, "unused"));
		table_cell(t, "%s", member_count(buf, row, "waiting"));
		table_cell(t, "%s", percent(buf, row, "precision"));
	}
	table_print(t, out);
}

static void jobs_print(json_t *jobs, FILE *out)
{
	static const struct table_column columns[] = {
	        {"JOB", true},   {"SOURCE", false}, {"LIST", false},  {"STATE", false},
	        {"ASKED", true}, {"WAITING", true}, {"STORED", true}, {"FRESH", true},
	        {"NOT", true},   {"FAILED", true},  {"TOOK", true},
	};
	struct table *t;
	char buf[UNIT_TEXT];
	json_t *row;
	size_t i;

	if (json_array_size(jobs) == 0)
		return;
	fputc('\n', out);
	t = table_create(columns, ARRAY_LEN(columns));
	json_array_foreach(jobs, i, row)
	{
		bool bad = json_is_string(json_object_get(row, "trouble"));
		bool ended = json_is_true(json_object_get(row, "ended"));

		table_cell(t, "%s", member_count(buf, row, "job"));
		table_cell(t, "%s", member_text(row, "source"));
		table_cell(t, "%s", member_text(row, "name"));
		table_cell(t, "%s", bad ? "no list" : ended ? "ended" : "runs");
		table_cell(t, "%s", member_count(buf, row, "asked"));
		table_cell(t, "%s", member_count(buf, row, "waiting"));
		table_cell(t, "%s", member_count(buf, row, "stored"));
		table_cell(t, "%s", member_count(buf, row, "fresh"));
		table_cell(t, "%s", member_count(buf, row, "not_storable"));
		table_cell(t, "%s", member_count(buf, row, "failed"));
		table_cell(t, "%s", member_age_ms(buf, row, "ms"));
	}
	table_print(t, out);
}

void render_cache_stats(json_t *result, FILE *out)
{
	json_t *warm = json_object_get(result, "warm");
	json_t *list = json_object_get(warm, "list");
	char text[512];
	char n[UNIT_TEXT];
	char m[UNIT_TEXT];

	requests_print(result, out);
	hits_print(result, out);
	tiers_print(result, out);
	if (json_object_size(json_object_get(result, "compression")) > 0)
		fprintf(out, "Compression: %s\n",
		        members(text, sizeof(text), json_object_get(result, "compression")));
	rules_print(json_object_get(result, "rules"), out);
	fputc('\n', out);
	sources_print(json_object_get(warm, "sources"), out);
	fprintf(out, "Hot list: %s requests of %s known\n", member_count(n, list, "entries"),
	        member_count(m, list, "notes"));
	jobs_print(json_object_get(warm, "jobs"), out);
}

void render_warm(json_t *result, FILE *out)
{
	static const char *const rows[][3] = {
	        {"Asked for", "asked", ""},
	        {"Fresh already", "fresh", ""},
	        {"Fetched", "fetched", " from origins"},
	        {"Stored", "stored", ""},
	        {"Not storable", "not_storable", ""},
	        {"Failed", "failed", ""},
	        {"Waiting", "waiting", ""},
	};
	const char *trouble = json_string_value(json_object_get(result, "trouble"));
	struct table *t = facts_create();
	char text[512];
	char buf[UNIT_TEXT];

	snprintf(text, sizeof(text), "%s, of %s (%s)", member_count(buf, result, "job"),
	         member_text(result, "name"), member_text(result, "source"));
	fact(t, "Warming", text);
	for (uint32_t i = 0; i < ARRAY_LEN(rows); i++) {
		snprintf(text, sizeof(text), "%s%s", member_count(buf, result, rows[i][1]),
		         rows[i][2]);
		fact(t, rows[i][0], text);
	}
	fact(t, "Bodies", member_bytes(buf, result, "bytes"));
	fact(t, "Outcomes", members(text, sizeof(text), json_object_get(result, "results")));
	fact(t, json_is_true(json_object_get(result, "ended")) ? "Took" : "Runs since",
	     member_age_ms(buf, result, "ms"));
	table_print(t, out);
	if (trouble != NULL) {
		fputs("No list: ", out);
		print_safe(out, trouble);
		fputc('\n', out);
	}
}
