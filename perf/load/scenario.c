/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Scenarios as structures: the default one, what the command line changes, and the end of them.
 * Files are read by scenario_parse.c. */
#include "perf/load/scenario.h"

#include "perf/load/scenario_private.h"
#include "perf/load/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct scenario_bytes {
	struct scenario_bytes *next;
	char text[];
};

struct span scenario_keep(struct scenario *s, struct span text)
{
	struct scenario_bytes *b = malloc(sizeof(*b) + text.len + 1);

	if (!b)
		return span_of(NULL, 0);
	if (text.len)
		memcpy(b->text, text.ptr, text.len);
	b->text[text.len] = '\0';
	b->next = s->bytes;
	s->bytes = b;
	return span_of(b->text, text.len);
}

static void endpoint_clear(struct load_endpoint *e)
{
	template_free(e->target);
	template_free(e->body);
	for (uint32_t i = 0; i < e->header_count; i++)
		template_free(e->headers[i].value);
	*e = (struct load_endpoint){0};
}

void scenario_endpoint_init(struct load_endpoint *e)
{
	*e = (struct load_endpoint){.weight = 1, .status_from = 200, .status_to = 399};
}

void scenario_init(struct scenario *s)
{
	*s = (struct scenario){
	        .arrival = ARRIVAL_CONSTANT,
	        .max_connections = 10000,
	        .pipeline = 1,
	        .timeout_ns = 30 * NS_PER_S,
	        .seed = 1,
	        .keys = {.count = 1},
	};
}

void scenario_default(struct scenario *s)
{
	struct config_error err;

	scenario_init(s);
	(void)snprintf(s->name, sizeof(s->name), "default");
	s->stages[0] = (struct load_stage){
	        .name = "stage 1", .duration_ns = 10 * NS_PER_S, .from = 1, .to = 1};
	s->stage_count = 1;
	(void)scenario_request_set(s, "GET /", &err);
}

void scenario_free(struct scenario *s)
{
	for (uint32_t i = 0; i < s->endpoint_count; i++)
		endpoint_clear(&s->endpoints[i]);
	while (s->bytes) {
		struct scenario_bytes *b = s->bytes;

		s->bytes = b->next;
		free(b);
	}
	explicit_bzero(&s->signing, sizeof(s->signing));
	*s = (struct scenario){0};
}

void scenario_scale(struct scenario *s, double factor)
{
	if (!(factor > 0))
		return;
	s->warmup_ns = (uint64_t)((double)s->warmup_ns * factor);
	for (uint32_t i = 0; i < s->stage_count; i++) {
		struct load_stage *stage = &s->stages[i];

		stage->duration_ns =
		        max_u64((uint64_t)((double)stage->duration_ns * factor), NS_PER_S);
	}
}

bool scenario_refuse(struct config_error *err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(err->text, sizeof(err->text), fmt, args);
	va_end(args);
	return false;
}

static struct template *compile(struct span text, const char *what, struct config_error *err)
{
	struct template_error te;
	struct template *t = template_compile(text, &te);

	if (!t)
		(void)scenario_refuse(err, "%s: at byte %zu: %s", what, te.offset + 1, te.text);
	return t;
}

/* RFC 9110 5.6.2. */
bool scenario_is_token(struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) &&
		    (c == '\0' || !strchr("!#$%&'*+-.^_`|~", c)))
			return false;
	}
	return text.len > 0;
}

const char *scenario_line_split(struct span line, struct span *method, struct span *target)
{
	const char *space = memchr(line.ptr, ' ', line.len);

	*method = SPAN_LIT("GET");
	*target = span_trim(line);
	if (space && line.ptr[0] != '/') {
		*method = span_of(line.ptr, (size_t)(space - line.ptr));
		*target = span_trim(span_of(space, line.len - method->len));
	}
	if (!scenario_is_token(*method) || method->len > 32)
		return "has no method in front; write for example \"GET /path\"";
	if (target->len == 0 || (target->ptr[0] != '/' && !span_eq(*target, SPAN_LIT("*"))))
		return "has a target that does not begin with '/'; write for example "
		       "\"GET /path\", and the server on the command line";
	for (size_t i = 0; i < target->len; i++)
		if ((unsigned char)target->ptr[i] <= 0x20 || target->ptr[i] == 0x7f)
			return "has a space or control byte in its target; write %20 for a space";
	return NULL;
}

bool scenario_endpoint_line(struct scenario *s, struct load_endpoint *e, struct span method)
{
	e->method_name = scenario_keep(s, method);
	e->method = http_method_parse(method);
	return e->method_name.ptr != NULL;
}

void scenario_endpoint_name(struct load_endpoint *e, struct span method, struct span target)
{
	(void)snprintf(e->name, sizeof(e->name), "%.*s %.*s", (int)method.len, method.ptr,
	               (int)min_size(target.len, sizeof(e->name)), target.ptr);
	e->name[text_whole(e->name, strlen(e->name))] = '\0';
}

bool scenario_request_set(struct scenario *s, const char *text, struct config_error *err)
{
	struct load_endpoint e;
	struct span method, target;
	const char *wrong = scenario_line_split(span_cstr(text), &method, &target);

	if (wrong)
		return scenario_refuse(err, "request '%.60s' %s", text, wrong);
	scenario_endpoint_init(&e);
	e.target = compile(target, "request", err);
	if (!e.target)
		return false;
	if (!scenario_endpoint_line(s, &e, method)) {
		template_free(e.target);
		return scenario_refuse(err, "out of memory");
	}
	scenario_endpoint_name(&e, method, target);
	for (uint32_t i = 0; i < s->endpoint_count; i++)
		endpoint_clear(&s->endpoints[i]);
	s->endpoints[0] = e;
	s->endpoint_count = 1;
	return true;
}

const char *scenario_header_wrong(struct span name, struct span value)
{
	if (!scenario_is_token(name))
		return "is no field name; letters, digits and '-'";
	if (span_eq_nocase(name, SPAN_LIT("Content-Length")) ||
	    span_eq_nocase(name, SPAN_LIT("Transfer-Encoding")))
		return "follows from the body; remove it";
	if (span_eq_nocase(name, SPAN_LIT("Connection")))
		return "is for the connection; set requests_per_connection instead";
	for (size_t i = 0; i < value.len; i++)
		if (((unsigned char)value.ptr[i] < 0x20 && value.ptr[i] != '\t') ||
		    value.ptr[i] == 0x7f)
			return "has a control byte in its value; remove it";
	return NULL;
}

bool scenario_header_add(struct scenario *s, const char *text, struct config_error *err)
{
	const char *colon = strchr(text, ':');
	struct span name, value, kept;
	const char *wrong;

	if (!colon)
		return scenario_refuse(err, "header '%.60s' has no ':'; write \"Name: value\"",
		                       text);
	name = span_of(text, (size_t)(colon - text));
	value = span_trim(span_cstr(colon + 1));
	wrong = scenario_header_wrong(name, value);
	if (wrong)
		return scenario_refuse(err, "header '%.60s' %s", text, wrong);
	kept = scenario_keep(s, name);
	if (!kept.ptr)
		return scenario_refuse(err, "out of memory");
	for (uint32_t i = 0; i < s->endpoint_count; i++) {
		struct load_endpoint *e = &s->endpoints[i];
		struct template *t;

		if (e->header_count == SCENARIO_HEADERS)
			return scenario_refuse(err, "header '%.60s' is one too many; at most %u",
			                       text, SCENARIO_HEADERS);
		t = compile(value, "header", err);
		if (!t)
			return false;
		e->headers[e->header_count++] = (struct load_header){.name = kept, .value = t};
	}
	return true;
}

bool scenario_body_set(struct scenario *s, struct span text, struct config_error *err)
{
	for (uint32_t i = 0; i < s->endpoint_count; i++) {
		struct load_endpoint *e = &s->endpoints[i];
		struct template *t = compile(text, "body", err);

		if (!t)
			return false;
		template_free(e->body);
		e->body = t;
		if (e->method == HTTP_GET && !scenario_endpoint_line(s, e, SPAN_LIT("POST")))
			return scenario_refuse(err, "out of memory");
	}
	return true;
}

bool scenario_host_set(struct scenario *s, struct span host)
{
	struct span kept = scenario_keep(s, host);

	if (!kept.ptr)
		return false;
	s->host = kept;
	return true;
}
