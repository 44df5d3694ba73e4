/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/cli/render.h"

#include "control/cli/table.h"

#define LIST_TEXT 256u

/* The texts of a list with blanks between, cut with "..." where they do not fit. */
static const char *list_text(char buf[LIST_TEXT], json_t *list)
{
	size_t len = 0, i;
	json_t *item;

	buf[0] = '\0';
	json_array_foreach(list, i, item)
	{
		const char *text = json_string_value(item);
		size_t n = text != NULL ? strlen(text) : 0;

		if (n + 5 > LIST_TEXT - len) {
			strcpy(buf + len, " ...");
			break;
		}
		if (len > 0)
			buf[len++] = ' ';
		memcpy(buf + len, text, n + 1);
		len += n;
	}
	return len > 0 ? buf : "-";
}

static const char *ratio_text(char *buf, json_t *requests, const char *name)
{
	json_t *ratio = json_object_get(requests, name);

	return json_is_number(ratio) ? unit_percent(buf, json_number_value(ratio)) : "-";
}

static void lifetime_cell(struct table *t, json_t *row)
{
	uint64_t ttl_s = (uint64_t)json_integer_value(json_object_get(row, "ttl_s"));
	uint64_t least_s = (uint64_t)json_integer_value(json_object_get(row, "ttl_min_s"));
	uint64_t most_s = (uint64_t)json_integer_value(json_object_get(row, "ttl_max_s"));
	char ttl[UNIT_TEXT], least[UNIT_TEXT], most[UNIT_TEXT];

	if (ttl_s == 0)
		table_cell(t, "route's");
	else if (most_s == 0)
		table_cell(t, "%s", unit_age_s(ttl, ttl_s));
	else
		table_cell(t, "%s (%s to %s)", unit_age_s(ttl, ttl_s), unit_age_s(least, least_s),
		           unit_age_s(most, most_s));
}

static void alarms_print(json_t *rules, FILE *out)
{
	json_t *row;
	size_t i;

	json_array_foreach(rules, i, row)
	{
		if (!json_is_true(json_object_get(row, "off")))
			continue;
		fprintf(out,
		        "\n%s is off: %s. Nothing is shared by it until `sluicectl cache rules "
		        "enable %s` or a reload\n",
		        member_text(row, "name"), member_text(row, "why"),
		        member_text(row, "name"));
	}
}

void render_rules(json_t *result, FILE *out)
{
	static const struct table_column columns[] = {
	        {"RULE", false}, {"STATE", false}, {"MATCH", false},  {"LIFETIME", true},
	        {"HITS", true},  {"BY KEY", true}, {"SHARED", true},  {"MISSES", true},
	        {"PAST", true},  {"KEY", false},   {"ROUTES", false}, {"TAGS", false},
	};
	json_t *rules = json_object_get(result, "rules");
	char buf[UNIT_TEXT], text[LIST_TEXT];
	struct table *t;
	json_t *row;
	size_t i;

	if (rules == NULL) { /* one was switched */
		fprintf(out, "%s is %s\n", member_text(result, "rule"),
		        json_is_true(json_object_get(result, "off")) ? "off" : "on");
		return;
	}
	t = table_create(columns, ARRAY_LEN(columns));
	json_array_foreach(rules, i, row)
	{
		json_t *n = json_object_get(row, "requests");
		const char *key = json_string_value(json_object_get(row, "key"));

		table_cell(t, "%s", member_text(row, "name"));
		table_cell(t, "%s", json_is_true(json_object_get(row, "off")) ? "OFF" : "on");
		table_cell(t, "%s", member_text(row, "match"));
		lifetime_cell(t, row);
		table_cell(t, "%s", ratio_text(buf, n, "hit_ratio"));
		table_cell(t, "%s", ratio_text(buf, n, "own_ratio"));
		table_cell(t, "%s", ratio_text(buf, n, "pattern_ratio"));
		table_cell(t, "%s", member_count(buf, n, "misses"));
		table_cell(t, "%s", member_count(buf, n, "bypasses"));
		table_cell(t, "%s", key != NULL ? key : "host, path and query");
		table_cell(t, "%s", list_text(text, json_object_get(row, "routes")));
		table_cell(t, "%s", list_text(text, json_object_get(row, "tags")));
	}
	table_print(t, out);
	alarms_print(rules, out);
}
