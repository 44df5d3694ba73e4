/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Makes a scenario and a run of what the options said. */
#include "perf/load/args_private.h"

#include "perf/load/url.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define BODY_MAX     (64u << 20)
#define FD_RESERVE   128u /* descriptors for other things than connections */
#define HEX_PER_KEY  2u
#define KEY_VARIABLE "SLUICE_MAC_KEY"

static bool failed(const struct config_error *err)
{
	return args_complain("%s", err->text);
}

/* One stage instead of the scenario's, where the options describe it. */
static void stage_set(struct scenario *s, const struct wishes *w)
{
	struct load_stage *stage = &s->stages[0];
	uint64_t total_ns = 0;

	if (w->connections <= 0 && w->rate <= 0 && w->duration_ns <= 0)
		return;
	for (uint32_t i = 0; i < s->stage_count; i++)
		total_ns += s->stages[i].duration_ns;
	stage->duration_ns = w->duration_ns > 0 ? (uint64_t)w->duration_ns : total_ns;
	s->stage_count = 1;
	stage->to = stage->from = fmax(stage->from, stage->to);
	if (w->rate > 0) {
		stage->mode = LOAD_OPEN;
		stage->from = stage->to = w->rate;
	} else if (w->connections > 0) {
		stage->mode = LOAD_CLOSED;
		stage->from = stage->to = w->connections;
	}
	if (stage->mode == LOAD_OPEN && w->connections > 0)
		s->connections = (uint32_t)w->connections;
}

/* What a run without a scenario is called in reports. */
static void about_set(struct scenario *s, const struct wishes *w)
{
	const struct load_stage *stage = &s->stages[0];

	if (w->scenario != NULL)
		return;
	snprintf(s->name, sizeof(s->name), "command line");
	if (stage->mode == LOAD_OPEN)
		snprintf(s->about, sizeof(s->about), "%s, %.10g requests a second",
		         s->endpoints[0].name, stage->from);
	else
		snprintf(s->about, sizeof(s->about), "%s, %.0f user%s", s->endpoints[0].name,
		         stage->from, stage->from > 1 ? "s" : "");
}

/* A pool that grows on need stays within what the process may open, unless its size was asked for.
 */
static uint32_t pool_limit(uint32_t most)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_max <= FD_RESERVE)
		return most;
	return (uint32_t)min_u64(most, files.rlim_max - FD_RESERVE);
}

static void load_set(struct scenario *s, const struct wishes *w)
{
	if (w->scale > 0)
		scenario_scale(s, w->scale);
	stage_set(s, w);
	if (w->pipeline > 0)
		s->pipeline = (uint32_t)w->pipeline;
	if (w->per_connection >= 0)
		s->requests_per_connection = (uint64_t)w->per_connection;
	if (w->max_connections > 0)
		s->max_connections = (uint32_t)w->max_connections;
	else
		s->max_connections = pool_limit(s->max_connections);
	if (w->arrival >= 0)
		s->arrival = (enum load_arrival)w->arrival;
	if (w->think_ns >= 0)
		s->think_min_ns = s->think_max_ns = (uint64_t)w->think_ns;
	if (w->timeout_ns > 0)
		s->timeout_ns = (uint64_t)w->timeout_ns;
	if (w->warmup_ns >= 0)
		s->warmup_ns = (uint64_t)w->warmup_ns;
	if (w->seed >= 0)
		s->seed = (uint64_t)w->seed;
	if (w->keys > 0)
		s->keys.count = (uint64_t)w->keys;
	if (w->zipf >= 0)
		s->keys.zipf = w->zipf;
}

/* A scenario asks for its own targets; else the URL's path is what is asked for. */
static bool target_set(struct scenario *s, const struct wishes *w, const struct url *u)
{
	struct config_error err;
	char line[4096];

	if (w->scenario != NULL) {
		if (w->method != NULL)
			return args_complain("-X: the scenario's requests have their methods");
		return u->target.len <= 1 ||
		       args_complain("%s: the scenario asks for its own paths; "
		                     "give the server only",
		                     w->url);
	}
	int n = snprintf(line, sizeof(line), "%s %.*s", w->method != NULL ? w->method : "GET",
	                 (int)u->target.len, u->target.ptr);
	if (n < 0 || (size_t)n >= sizeof(line))
		return args_complain("the URL is longer than %zu bytes", sizeof(line));
	return scenario_request_set(s, line, &err) || failed(&err);
}

static bool body_file_set(struct scenario *s, const char *name)
{
	FILE *f = strcmp(name, "-") == 0 ? stdin : fopen(name, "rb");
	struct config_error err;
	char *bytes = malloc(BODY_MAX + 1);
	bool ok = false;
	size_t len;

	if (f == NULL || bytes == NULL) {
		args_complain("--body-file %s: %s", name, strerror(errno));
		goto out;
	}
	len = fread(bytes, 1, BODY_MAX + 1, f);
	if (ferror(f))
		args_complain("--body-file %s: %s", name, strerror(errno));
	else if (len > BODY_MAX)
		args_complain("--body-file %s: larger than %u MiB", name, BODY_MAX >> 20);
	else
		ok = scenario_body_set(s, span_of(bytes, len), &err) || failed(&err);
out:
	if (f != NULL && f != stdin)
		fclose(f);
	free(bytes);
	return ok;
}

static bool key_read(struct load_sign *sign, const char *hex)
{
	size_t len = strlen(hex);

	if (len == 0 || len % HEX_PER_KEY != 0 || len / HEX_PER_KEY > sizeof(sign->mac_key))
		return false;
	for (size_t i = 0; i < len; i += HEX_PER_KEY) {
		char digits[HEX_PER_KEY + 1] = {hex[i], hex[i + 1], '\0'};
		char *end;

		sign->mac_key[i / HEX_PER_KEY] = (uint8_t)strtoul(digits, &end, 16);
		if (*end != '\0' || !isxdigit((unsigned char)digits[0]))
			return false;
	}
	sign->mac_key_len = (uint32_t)(len / HEX_PER_KEY);
	return true;
}

/* "HASH:KEY", both in hexadecimal; "HASH" alone: the key is in the environment, where other users
 * of the machine do not see it. */
static bool sign_set(struct scenario *s, const char *text)
{
	static const char hex[] = "0123456789abcdef";
	const size_t hash_len = sizeof(s->signing.policy_hash) - 1;

	const char *key = text + min_size(strlen(text), hash_len);

	key = *key == ':' ? key + 1 : getenv(KEY_VARIABLE);
	if (strspn(text, hex) != hash_len || (text[hash_len] != ':' && text[hash_len] != '\0') ||
	    key == NULL || !key_read(&s->signing, key))
		return args_complain(
		        "--sign: HASH:KEY is needed: the policy's hash of 64 lower-case "
		        "hex digits, and the key in hex, at most %zu bytes",
		        sizeof(s->signing.mac_key));
	memcpy(s->signing.policy_hash, text, hash_len);
	s->signing.policy_hash[hash_len] = '\0';
	s->can_sign = true;
	for (uint32_t i = 0; i < s->endpoint_count; i++)
		s->endpoints[i].sign = true;
	return true;
}

static bool requests_set(struct scenario *s, const struct wishes *w)
{
	struct config_error err;

	if (w->body != NULL && w->body_file != NULL)
		return args_complain("--body and --body-file exclude each other");
	if (w->body != NULL && !scenario_body_set(s, span_cstr(w->body), &err))
		return failed(&err);
	if (w->body_file != NULL && !body_file_set(s, w->body_file))
		return false;
	for (uint32_t i = 0; i < w->header_count; i++)
		if (!scenario_header_add(s, w->headers[i], &err))
			return failed(&err);
	for (uint32_t i = 0; i < w->threshold_count; i++)
		if (!scenario_threshold_add(s, w->thresholds[i], &err))
			return failed(&err);
	return w->sign == NULL || sign_set(s, w->sign);
}

static bool server_set(struct args *a, const struct url *u)
{
	if (u->host.len >= sizeof(a->host))
		return args_complain("the host's name is longer than %zu bytes",
		                     sizeof(a->host) - 1);
	memcpy(a->host, u->host.ptr, u->host.len);
	a->host[u->host.len] = '\0';
	a->engine.transport.host = a->host;
	a->engine.transport.port = u->port;
	snprintf(a->target, sizeof(a->target), "http://%.*s", (int)u->authority.len,
	         u->authority.ptr);
	if (a->scenario.host.len == 0 && !scenario_host_set(&a->scenario, u->authority))
		return args_complain("no memory");
	return true;
}

static bool threads_set(struct args *a, const struct wishes *w)
{
	const struct scenario *s = &a->scenario;

	/* So many CPUs, so many workers, unless -t says otherwise. */
	a->engine.workers = w->threads > 0            ? (uint32_t)w->threads
	                    : a->engine.cpu_count > 0 ? a->engine.cpu_count
	                                              : 1;
	if (w->connections > 0 && w->connections < a->engine.workers)
		return args_complain("-c %.0f: fewer connections than threads (%u)", w->connections,
		                     a->engine.workers);
	a->engine.transport.timeout_ms =
	        (uint32_t)min_u64(max_u64(s->timeout_ns / NS_PER_MS, 1), UINT32_MAX);
	return true;
}

bool args_build(struct args *a, const struct wishes *w)
{
	struct config_error err;
	struct url u;

	if (w->url == NULL)
		return args_complain("which server? Give its URL, for example "
		                     "http://127.0.0.1:8080/ (see --help)");
	const char *wrong = url_parse(w->url, &u);
	if (wrong != NULL)
		return args_complain("%s: %s", w->url, wrong);
	if (w->scenario == NULL)
		scenario_default(&a->scenario);
	else if (scenario_read(&a->scenario, w->scenario, &err) != ST_OK)
		return failed(&err);
	load_set(&a->scenario, w);
	if (!target_set(&a->scenario, w, &u) || !requests_set(&a->scenario, w))
		return false;
	about_set(&a->scenario, w);
	return server_set(a, &u) && threads_set(a, w);
}
