/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The values of a scenario file that have a syntax of their own. */
#include "perf/load/scenario_keys.h"
#include "perf/load/scenario_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define USERS_MAX      1000000.0
#define RATE_MAX       100000000.0
#define BODY_BYTES_MAX (16u << 20)
#define KEY_FILE_MAX   4096u

/* "10 to 50", or one value for both. */
static void range_split(struct span text, struct span out[2])
{
	const char *to = memmem(text.ptr, text.len, " to ", 4);

	out[0] = out[1] = span_trim(text);
	if (!to)
		return;
	out[0] = span_trim(span_of(text.ptr, (size_t)(to - text.ptr)));
	out[1] = span_trim(span_of(to + 4, text.len - (size_t)(to + 4 - text.ptr)));
}

/* A stage's users or its rate. */
struct level {
	enum load_mode mode;
	bool (*read)(struct span text, double *out);
	const char *takes;
	const char *needs;
};

static bool users_read(struct span text, double *out)
{
	return scenario_number(&text, out) && text.len == 0 && *out <= USERS_MAX &&
	       *out == (double)(uint32_t)*out;
}

static bool rate_read(struct span text, double *out)
{
	return scenario_rate(text, out) && *out <= RATE_MAX;
}

/* One value, or from the first to the second. */
static enum status level_read(struct scenario_reader *r, const struct level *l,
                              const struct doc_node *node, struct load_stage *stage)
{
	struct span part[2];
	double value[2];
	char path[DOC_MAX_PATH];

	if (scenario_scalar(r, node) != ST_OK)
		return ST_INVALID;
	range_split(node->text, part);
	for (int i = 0; i < 2; i++)
		if (!l->read(part[i], &value[i]))
			return doc_error(r->doc, node, r->err, "%s is '%.40s'; it takes %s",
			                 doc_path(node, path), node->text.ptr, l->takes);
	if (value[0] + value[1] <= 0)
		return doc_error(r->doc, node, r->err, "%s is 0; %s is needed",
		                 doc_path(node, path), l->needs);
	stage->mode = l->mode;
	stage->from = value[0];
	stage->to = value[1];
	return ST_OK;
}

enum status scenario_read_users(struct scenario_reader *r, const struct scenario_key *key,
                                const struct doc_node *node, void *object)
{
	static const struct level level = {
	        .mode = LOAD_CLOSED,
	        .read = users_read,
	        .takes = "a whole number up to 1000000, or two as \"10 to 50\"",
	        .needs = "at least one user",
	};

	(void)key;
	return level_read(r, &level, node, object);
}

enum status scenario_read_rate(struct scenario_reader *r, const struct scenario_key *key,
                               const struct doc_node *node, void *object)
{
	static const struct level level = {
	        .mode = LOAD_OPEN,
	        .read = rate_read,
	        .takes = "requests a second, as 1000, 5k or 90/m, or two as \"1k to 5k\"",
	        .needs = "a rate above",
	};

	(void)key;
	return level_read(r, &level, node, object);
}

enum status scenario_read_think(struct scenario_reader *r, const struct scenario_key *key,
                                const struct doc_node *node, void *object)
{
	struct scenario *s = object;
	struct span part[2];

	(void)key;
	if (scenario_scalar(r, node) != ST_OK)
		return ST_INVALID;
	range_split(node->text, part);
	if (!scenario_duration(part[0], &s->think_min_ns) ||
	    !scenario_duration(part[1], &s->think_max_ns) || s->think_min_ns > s->think_max_ns ||
	    s->think_max_ns > 3600 * NS_PER_S)
		return doc_error(r->doc, node, r->err,
		                 "think is '%.40s'; it takes a duration of at most 1h, or two as "
		                 "\"1s to 3s\", the shorter first",
		                 node->text.ptr);
	return ST_OK;
}

enum status scenario_read_request(struct scenario_reader *r, const struct scenario_key *key,
                                  const struct doc_node *node, void *object)
{
	struct load_endpoint *e = object;
	struct span method, target;
	char path[DOC_MAX_PATH];
	const char *wrong;

	(void)key;
	if (scenario_scalar(r, node) != ST_OK)
		return ST_INVALID;
	wrong = scenario_line_split(node->text, &method, &target);
	if (wrong)
		return doc_error(r->doc, node, r->err, "%s '%.60s' %s", doc_path(node, path),
		                 node->text.ptr, wrong);
	if (!scenario_endpoint_line(r->s, e, method))
		return ST_NOMEM;
	scenario_endpoint_name(e, method, target);
	e->target = scenario_template_read(r, node, target);
	return e->target ? ST_OK : ST_INVALID;
}

enum status scenario_read_body(struct scenario_reader *r, const struct scenario_key *key,
                               const struct doc_node *node, void *object)
{
	struct load_endpoint *e = object;

	(void)key;
	if (scenario_scalar(r, node) != ST_OK)
		return ST_INVALID;
	e->body = scenario_template_read(r, node, node->text);
	return e->body ? ST_OK : ST_INVALID;
}

enum status scenario_read_body_bytes(struct scenario_reader *r, const struct scenario_key *key,
                                     const struct doc_node *node, void *object)
{
	struct load_endpoint *e = object;
	struct span rest = node->text;
	char path[DOC_MAX_PATH];
	double value = 0;
	char *text;
	bool ok;

	(void)key;
	if (scenario_scalar(r, node) != ST_OK)
		return ST_INVALID;
	if (e->body)
		return doc_key_error(r->doc, node, r->err,
		                     "%s stands beside 'body'; remove one of them",
		                     doc_path(node, path));
	ok = scenario_number(&rest, &value);
	if (ok && rest.len == 1 && (rest.ptr[0] == 'k' || rest.ptr[0] == 'M')) {
		value *= rest.ptr[0] == 'k' ? 1024 : 1024 * 1024;
		rest.len = 0;
	}
	if (!ok || rest.len > 0 || value > BODY_BYTES_MAX || value != (double)(uint32_t)value)
		return doc_error(
		        r->doc, node, r->err,
		        "%s is '%.40s'; it takes bytes, as 100, 16k (of 1024) or 1M, up to "
		        "16M",
		        doc_path(node, path), node->text.ptr);
	text = malloc((size_t)value + 1);
	if (!text)
		return ST_NOMEM;
	for (size_t i = 0; i < (size_t)value; i++)
		text[i] = (char)('a' + i % 26);
	e->body = scenario_template_read(r, node, span_of(text, (size_t)value));
	free(text);
	return e->body ? ST_OK : ST_NOMEM;
}

enum status scenario_read_expect(struct scenario_reader *r, const struct scenario_key *key,
                                 const struct doc_node *node, void *object)
{
	struct load_endpoint *e = object;
	double value[2] = {0, 0};
	struct span part[2];
	char path[DOC_MAX_PATH];

	(void)key;
	if (scenario_scalar(r, node) != ST_OK)
		return ST_INVALID;
	range_split(node->text, part);
	for (int i = 0; i < 2; i++)
		if (!scenario_number(&part[i], &value[i]) || part[i].len > 0 || value[i] < 100 ||
		    value[i] > 599 || value[i] != (double)(uint32_t)value[i] || value[0] > value[i])
			return doc_error(r->doc, node, r->err,
			                 "%s is '%.40s'; it takes a status from 100 to 599, or two "
			                 "as \"200 to 404\"",
			                 doc_path(node, path), node->text.ptr);
	e->status_from = (uint16_t)value[0];
	e->status_to = (uint16_t)value[1];
	return ST_OK;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

enum status scenario_read_policy_hash(struct scenario_reader *r, const struct scenario_key *key,
                                      const struct doc_node *node, void *object)
{
	struct load_sign *sign = object;
	bool ok = scenario_scalar(r, node) == ST_OK;

	(void)key;
	if (!ok)
		return ST_INVALID;
	for (size_t i = 0; i < node->text.len; i++)
		ok = ok && hex_value(node->text.ptr[i]) >= 0 &&
		     ascii_lower(node->text.ptr[i]) == node->text.ptr[i];
	if (!ok || node->text.len != sizeof(sign->policy_hash) - 1)
		return doc_error(r->doc, node, r->err,
		                 "signing.policy_hash has %zu bytes; it takes 64 lower-case hex "
		                 "digits",
		                 node->text.len);
	memcpy(sign->policy_hash, node->text.ptr, sizeof(sign->policy_hash));
	return ST_OK;
}

/* The key is never quoted in an error. */
static enum status key_take(struct scenario_reader *r, const struct doc_node *node,
                            struct span text, struct load_sign *sign)
{
	uint32_t digits = 0;

	for (size_t i = 0; i < text.len; i++) {
		int v = hex_value(text.ptr[i]);

		if (strchr(" \t\r\n", text.ptr[i]) && text.ptr[i] != '\0')
			continue;
		if (v < 0 || digits == 2 * sizeof(sign->mac_key))
			goto bad;
		if (digits % 2 == 0)
			sign->mac_key[digits / 2] = (uint8_t)(v << 4);
		else
			sign->mac_key[digits / 2] |= (uint8_t)v;
		digits++;
	}
	if (digits > 0 && digits % 2 == 0) {
		sign->mac_key_len = digits / 2;
		return ST_OK;
	}
bad:
	return doc_error(r->doc, node, r->err,
	                 "the key of signing.%s is not 2 to 128 hex digits, two for each byte; "
	                 "\"openssl rand -hex 32\" makes one",
	                 node->key.ptr);
}

enum status scenario_read_mac_key(struct scenario_reader *r, const struct scenario_key *key,
                                  const struct doc_node *node, void *object)
{
	(void)key;
	if (scenario_scalar(r, node) != ST_OK)
		return ST_INVALID;
	return key_take(r, node, node->text, object);
}

enum status scenario_read_mac_key_env(struct scenario_reader *r, const struct scenario_key *key,
                                      const struct doc_node *node, void *object)
{
	const char *value;

	(void)key;
	if (scenario_scalar(r, node) != ST_OK)
		return ST_INVALID;
	value = getenv(node->text.ptr);
	if (!value)
		return doc_error(
		        r->doc, node, r->err,
		        "the environment has no variable '%.60s'; set it to the key in hex",
		        node->text.ptr);
	return key_take(r, node, span_cstr(value), object);
}

enum status scenario_read_mac_key_file(struct scenario_reader *r, const struct scenario_key *key,
                                       const struct doc_node *node, void *object)
{
	const char *slash = strrchr(r->doc->name, '/');
	char path[4096], text[KEY_FILE_MAX];
	enum status st;
	size_t len;
	FILE *file;

	(void)key;
	if (scenario_scalar(r, node) != ST_OK)
		return ST_INVALID;
	if (node->text.ptr[0] == '/' || !slash)
		(void)snprintf(path, sizeof(path), "%s", node->text.ptr);
	else
		(void)snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - r->doc->name),
		               r->doc->name, node->text.ptr);
	file = fopen(path, "re");
	if (!file)
		return doc_error(r->doc, node, r->err, "cannot read the key file %.120s: %s", path,
		                 strerrordesc_np(errno));
	len = fread(text, 1, sizeof(text), file);
	(void)fclose(file);
	st = key_take(r, node, span_of(text, len), object);
	explicit_bzero(text, sizeof(text));
	return st;
}
