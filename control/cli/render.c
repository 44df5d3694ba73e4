/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/cli/render.h"

#include "control/cli/table.h"

#include <ctype.h>
#include <strings.h>

const char *member_text(json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "-";
}

static bool member_uint(json_t *object, const char *name, uint64_t *out)
{
	json_t *value = json_object_get(object, name);

	if (!json_is_number(value) || json_number_value(value) < 0)
		return false;
	*out = json_is_integer(value) ? (uint64_t)json_integer_value(value)
	                              : (uint64_t)(json_real_value(value) + 0.5);
	return true;
}

const char *member_count(char *buf, json_t *object, const char *name)
{
	uint64_t n;

	return member_uint(object, name, &n) ? unit_count(buf, n) : "-";
}

const char *member_bytes(char *buf, json_t *object, const char *name)
{
	uint64_t n;

	return member_uint(object, name, &n) ? unit_bytes(buf, n) : "-";
}

const char *member_ns(char *buf, json_t *object, const char *name)
{
	uint64_t n;

	return member_uint(object, name, &n) ? unit_duration_ns(buf, n) : "-";
}

const char *member_age_ms(char *buf, json_t *object, const char *name)
{
	uint64_t n;

	return member_uint(object, name, &n) ? unit_age_s(buf, n / 1000) : "-";
}

static void render_purge(json_t *result, FILE *out)
{
	char n[UNIT_TEXT];
	char cores[UNIT_TEXT];
	bool soft = json_is_true(json_object_get(result, "soft"));

	if (json_is_true(json_object_get(result, "counted")))
		fprintf(out, "Entries %s: %s\n", soft ? "made stale" : "removed",
		        member_count(n, result, "purged"));
	else
		fprintf(out, "Void from now on; entries %s as they are found\n",
		        soft ? "become stale" : "go");
	fprintf(out, "In effect on %s core%s and in the node's store (purge %lld)\n",
	        member_count(cores, result, "cores"),
	        json_integer_value(json_object_get(result, "cores")) == 1 ? "" : "s",
	        (long long)json_integer_value(json_object_get(result, "number")));
}

static void render_reload(json_t *result, FILE *out)
{
	const char *warning = json_string_value(json_object_get(result, "warning"));

	fprintf(out, "%s applied (snapshot %s)\n", member_text(result, "config"),
	        member_text(result, "snapshot"));
	if (warning)
		fprintf(out, "Warning: %s\n", warning);
}

static void render_drain(json_t *result, FILE *out)
{
	char age[UNIT_TEXT];

	if (json_is_true(json_object_get(result, "draining")))
		fprintf(out,
		        "Draining; what is left in %s is closed. Undo with `sluicectl drain "
		        "--undo`\n",
		        member_age_ms(age, result, "timeout_ms"));
	else
		fputs("Taking connections again\n", out);
}

static void render_version(json_t *result, FILE *out)
{
	json_t *control = json_object_get(result, "control");
	char n[UNIT_TEXT];

	fprintf(out, "sluicectl %s\n", member_text(result, "sluicectl"));
	if (json_is_object(control))
		fprintf(out, "sluice-control %s (channel version %s)\n",
		        member_text(control, "version"),
		        member_count(n, control, "channel_version"));
	else
		fputs("sluice-control does not answer\n", out);
}

static void render_check(json_t *result, FILE *out)
{
	static const char *const parts[][3] = {
	        {"listeners", "listener", "listeners"},
	        {"ports", "port", "ports"},
	        {"cores", "core", "cores"},
	        {"routes", "route", "routes"},
	        {"upstreams", "upstream", "upstreams"},
	};

	fprintf(out, "%s: ok (", member_text(result, "file"));
	for (uint32_t i = 0; i < ARRAY_LEN(parts); i++) {
		json_int_t n = json_integer_value(json_object_get(result, parts[i][0]));

		fprintf(out, "%s%lld %s", i ? ", " : "", (long long)n, parts[i][n == 1 ? 1 : 2]);
	}
	fputs(")\n", out);
}

void render(enum command_id cmd, json_t *result, FILE *out)
{
	static void (*const renders[CMD_COUNT])(json_t *, FILE *) = {
	        [CMD_status] = render_status,
	        [CMD_stats] = render_stats,
	        [CMD_cores] = render_cores,
	        [CMD_conns] = render_conns,
	        [CMD_drops] = render_drops,
	        [CMD_cache_get] = render_cache_get,
	        [CMD_cache_explain] = render_explain,
	        [CMD_cache_purge] = render_purge,
	        [CMD_cache_list] = render_cache_list,
	        [CMD_cache_rules] = render_rules,
	        [CMD_upstream_list] = render_upstreams,
	        [CMD_config_check] = render_check,
	        [CMD_config_reload] = render_reload,
	        [CMD_config_show] = yaml_print,
	        [CMD_drain] = render_drain,
	        [CMD_version] = render_version,
	        [CMD_cache_stats] = render_cache_stats,
	        [CMD_cache_warm] = render_warm,
	};

	if (renders[cmd])
		renders[cmd](result, out);
}

/* A plain YAML scalar only where nobody could read it as anything but this text. */
static bool plain_scalar(const char *text)
{
	static const char *const words[] = {"true", "false", "yes", "no", "on",
	                                    "off",  "null",  "y",   "n"};

	if (!isalpha((unsigned char)text[0]) && text[0] != '/')
		return false;
	for (const char *c = text; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("_-./", *c))
			return false;
	for (uint32_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcasecmp(text, words[i]) == 0)
			return false;
	return true;
}

/* JSON's quoted text is YAML's double-quoted text. */
static void scalar_print(json_t *value, FILE *out)
{
	if (json_is_string(value) && plain_scalar(json_string_value(value)))
		fputs(json_string_value(value), out);
	else
		json_dumpf(value, out, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
}

static bool is_block(json_t *value)
{
	return (json_is_object(value) && json_object_size(value) > 0) ||
	       (json_is_array(value) && json_array_size(value) > 0);
}

/* first: the line has its indent already ("- "). */
static void block_print(json_t *value, int indent, bool first, FILE *out)
{
	const char *key;
	json_t *item;
	size_t i;

	json_object_foreach(value, key, item)
	{
		fprintf(out, "%*s%s:", first ? 0 : indent, "", key);
		first = false;
		if (is_block(item)) {
			fputc('\n', out);
			block_print(item, indent + 2, false, out);
			continue;
		}
		fputc(' ', out);
		scalar_print(item, out);
		fputc('\n', out);
	}
	json_array_foreach(value, i, item)
	{
		fprintf(out, "%*s- ", first ? 0 : indent, "");
		first = false;
		if (is_block(item)) {
			block_print(item, indent + 2, true, out);
			continue;
		}
		scalar_print(item, out);
		fputc('\n', out);
	}
}

void yaml_print(json_t *value, FILE *out)
{
	if (is_block(value)) {
		block_print(value, 0, false, out);
		return;
	}
	scalar_print(value, out);
	fputc('\n', out);
}
