/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/cli/render.h"

#include "control/cli/table.h"

/* Says so when a listing was cut short. */
static void more_print(json_t *result, FILE *out)
{
	if (json_is_string(json_object_get(result, "next")))
		fputs("There are more; see --limit\n", out);
}

void render_conns(json_t *result, FILE *out)
{
	static const struct table_column columns[] = {
	        {"CORE", true},   {"STATE", false}, {"LOCAL", false}, {"REMOTE", false},
	        {"SRTT", true},   {"CWND", true},   {"SEND-Q", true}, {"RECV-Q", true},
	        {"REXMIT", true}, {"AGE", true},    {"IDLE", true},
	};
	struct table *t = table_create(columns, ARRAY_LEN(columns));
	json_t *conns = json_object_get(result, "conns");
	char buf[UNIT_TEXT];
	json_t *row;
	size_t i;

	json_array_foreach(conns, i, row)
	{
		json_int_t srtt_us = json_integer_value(json_object_get(row, "srtt_us"));
		json_int_t age_s = json_integer_value(json_object_get(row, "age_s"));

		table_cell(t, "%s", member_count(buf, row, "core"));
		table_cell(t, "%s", member_text(row, "state"));
		table_cell(t, "%s", member_text(row, "local"));
		table_cell(t, "%s", member_text(row, "remote"));
		table_cell(t, "%s", unit_duration_ns(buf, (uint64_t)srtt_us * NS_PER_US));
		table_cell(t, "%s", member_bytes(buf, row, "cwnd_bytes"));
		table_cell(t, "%s", member_bytes(buf, row, "snd_queued_bytes"));
		table_cell(t, "%s", member_bytes(buf, row, "rcv_queued_bytes"));
		table_cell(t, "%s", member_count(buf, row, "retransmits"));
		table_cell(t, "%s", unit_age_s(buf, (uint64_t)age_s));
		table_cell(t, "%s", member_age_ms(buf, row, "idle_ms"));
	}
	table_print(t, out);
	more_print(result, out);
}

void render_drops(json_t *result, FILE *out)
{
	static const struct table_column columns[] = {
	        {"REASON", false}, {"KIND", false}, {"TOTAL", true}, {"MEANING", false}};
	struct table *t = table_create(columns, ARRAY_LEN(columns));
	json_t *drops = json_object_get(result, "drops");
	char buf[UNIT_TEXT];
	json_t *row;
	size_t i;

	json_array_foreach(drops, i, row)
	{
		table_cell(t, "%s", member_text(row, "id"));
		table_cell(t, "%s", member_text(row, "kind"));
		table_cell(t, "%s", member_count(buf, row, "total"));
		table_cell(t, "%s", member_text(row, "help"));
	}
	table_print(t, out);
	if (json_array_size(drops) == 0)
		fputs("Nothing was dropped or shed; --all lists every reason\n", out);
}

/* Age and lifetime; a list of variants has none. */
static void age_cells(struct table *t, json_t *row, bool fresh)
{
	json_t *left = json_object_get(row, "fresh_ms");
	json_int_t left_ms = json_integer_value(left);
	uint64_t abs_s = (uint64_t)(left_ms < 0 ? -left_ms : left_ms) / 1000;
	char buf[UNIT_TEXT];

	if (!json_is_integer(left)) {
		table_cell(t, "-");
		table_cell(t, "-");
		return;
	}
	table_cell(t, "%s",
	           unit_age_s(buf, (uint64_t)json_integer_value(json_object_get(row, "age_s"))));
	table_cell(t, fresh ? "%s" : "stale for %s", unit_age_s(buf, abs_s));
}

void render_cache_list(json_t *result, FILE *out)
{
	static const struct table_column columns[] = {
	        {"TIER", false}, {"CORE", true},  {"STATUS", true}, {"BODY", true},
	        {"AGE", true},   {"FRESH", true}, {"KEY", false},
	};
	struct table *t = table_create(columns, ARRAY_LEN(columns));
	json_t *entries = json_object_get(result, "entries");
	char buf[UNIT_TEXT];
	json_t *row;
	size_t i;

	json_array_foreach(entries, i, row)
	{
		table_cell(t, "%s", member_text(row, "tier"));
		table_cell(t, "%s", member_count(buf, row, "core"));
		table_cell(t, "%s", member_count(buf, row, "status"));
		table_cell(t, "%s", member_bytes(buf, row, "body_bytes"));
		age_cells(t, row, json_is_true(json_object_get(row, "fresh")));
		table_cell(t, "%s", member_text(row, "key"));
	}
	table_print(t, out);
	more_print(result, out);
}

void render_cache_get(json_t *result, FILE *out)
{
	json_t *entries = json_object_get(result, "entries");
	size_t unanswered = json_array_size(json_object_get(result, "unanswered"));
	bool lists = false;
	json_t *field;
	json_t *row;
	size_t i;
	size_t f;

	render_cache_list(result, out);
	json_array_foreach(entries, i, row)
	{
		json_t *fields = json_object_get(row, "fields");

		if (strcmp(member_text(row, "kind"), "variants") == 0) {
			lists = true;
			continue;
		}
		if (json_is_integer(json_object_get(row, "core")))
			fprintf(out, "\nFields, core %lld\n",
			        (long long)json_integer_value(json_object_get(row, "core")));
		else
			fputs("\nFields, store\n", out);
		json_array_foreach(fields, f, field)
		{
			fputs("  ", out);
			print_safe(out, json_string_value(field));
			fputc('\n', out);
		}
	}
	if (lists)
		fputs("\nThe answers are variants of the key: `sluicectl cache list` shows them\n",
		      out);
	if (unanswered > 0)
		fprintf(out, "\nCores that did not answer: %zu\n", unanswered);
}

void render_explain(json_t *result, FILE *out)
{
	static const struct table_column columns[] = {
	        {"TIER", false}, {"CORE", true},  {"STATUS", true},
	        {"AGE", true},   {"FRESH", true}, {"WHAT", false},
	};
	static const char *const members[] = {"rule",    "mode",   "key",
	                                      "variant", "shared", "verdict"};
	json_t *route = json_object_get(result, "route");
	json_t *tiers = json_object_get(result, "tiers");
	struct table *t = table_create(columns, ARRAY_LEN(columns));
	char buf[UNIT_TEXT];
	json_t *row;
	size_t i;

	if (route != NULL)
		fprintf(out, "Route %lld: %s%s to %s\n",
		        (long long)json_integer_value(json_object_get(route, "index")),
		        member_text(route, "host"), member_text(route, "path"),
		        member_text(route, "upstream"));
	for (i = 0; i < ARRAY_LEN(members); i++) {
		const char *text = json_string_value(json_object_get(result, members[i]));

		if (text == NULL)
			continue;
		fprintf(out, "%c%s: ", members[i][0] - 32, members[i] + 1);
		print_safe(out, text);
		fputc('\n', out);
	}
	json_array_foreach(tiers, i, row)
	{
		json_int_t left_ms = json_integer_value(json_object_get(row, "fresh_ms"));

		table_cell(t, "%s%s", member_text(row, "tier"),
		           json_is_true(json_object_get(row, "shared")) ? ", shared" : "");
		table_cell(t, "%s", member_count(buf, row, "core"));
		table_cell(t, "%s", member_count(buf, row, "status"));
		age_cells(t, row, left_ms > 0);
		table_cell(t, "%s", member_text(row, "what"));
	}
	table_print(t, out);
}

void render_upstreams(json_t *result, FILE *out)
{
	static const struct table_column columns[] = {
	        {"UPSTREAM", false}, {"ADDRESS", false}, {"OPEN", true},   {"IDLE", true},
	        {"WAITING", true},   {"REQUESTS", true}, {"REUSED", true}, {"CONNECT ERRORS", true},
	        {"TIMEOUTS", true},  {"RETRIES", true},  {"ERRORS", true}, {"IN", true},
	        {"OUT", true},
	};
	static const char *const after[] = {"connect_errors", "timeouts", "retries", "errors"};
	struct table *t = table_create(columns, ARRAY_LEN(columns));
	json_t *rows = json_object_get(result, "upstreams");
	char buf[UNIT_TEXT];
	json_t *row;
	size_t i;

	json_array_foreach(rows, i, row)
	{
		double requests = json_number_value(json_object_get(row, "requests"));
		double reused = json_number_value(json_object_get(row, "reused"));

		table_cell(t, "%s", member_text(row, "upstream"));
		table_cell(t, "%s", member_text(row, "address"));
		table_cell(t, "%s", member_count(buf, row, "open"));
		table_cell(t, "%s", member_count(buf, row, "idle"));
		table_cell(t, "%s", member_count(buf, row, "waiting"));
		table_cell(t, "%s", member_count(buf, row, "requests"));
		table_cell(t, "%s", requests > 0 ? unit_percent(buf, reused / requests) : "-");
		for (uint32_t m = 0; m < ARRAY_LEN(after); m++)
			table_cell(t, "%s", member_count(buf, row, after[m]));
		table_cell(t, "%s", member_bytes(buf, row, "bytes_in"));
		table_cell(t, "%s", member_bytes(buf, row, "bytes_out"));
	}
	table_print(t, out);
}
