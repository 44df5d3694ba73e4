/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Requests as bytes. What stays the same is written once, at the start: an endpoint without
 * variables costs no more than choosing it. */
#include "perf/load/scenario.h"

#include "lib/pfsig.h"
#include "perf/load/template.h"
#include "perf/load/zipf.h"

#include <stdlib.h>

#define NUMBER_MAX 20u /* digits of a length */

/* Writes one endpoint's requests. */
struct plan {
	struct span fixed;             /* the whole request, when nothing in it varies */
	struct template *head;         /* with a body that never varies; else to the empty line */
	const struct template *body;   /* NULL: none, or in head */
	const struct template *target; /* signed, else NULL */
	struct span method_name;
	enum http_method method;
	bool wants_key;
	bool sign;
	char body_digest[PFSIG_HEX]; /* when body is NULL */
};

/* Where the alias method (Walker, 1977; Vose, 1991) goes from a column. */
struct alias {
	double keep; /* below it the column itself, else other */
	uint32_t other;
};

struct request_maker {
	const struct scenario *scenario;
	struct load_rng rng;
	struct zipf keys;
	struct template_values values;
	struct pfsig_key *signer;
	uint32_t plan_count;
	struct alias alias[SCENARIO_ENDPOINTS];
	struct plan plans[SCENARIO_ENDPOINTS];
	char *buf;    /* of the request */
	char *body;   /* of a body that varies */
	char *target; /* of one that is signed */
	char signature[PFSIG_VALUE];
};

static void alias_prepare(struct request_maker *m)
{
	const struct scenario *s = m->scenario;
	uint32_t small[SCENARIO_ENDPOINTS], large[SCENARIO_ENDPOINTS], smalls = 0, larges = 0;
	double share[SCENARIO_ENDPOINTS], sum = 0;

	for (uint32_t i = 0; i < m->plan_count; i++)
		sum += s->endpoints[i].weight;
	for (uint32_t i = 0; i < m->plan_count; i++) {
		share[i] = s->endpoints[i].weight / sum * m->plan_count;
		if (share[i] < 1)
			small[smalls++] = i;
		else
			large[larges++] = i;
		m->alias[i] = (struct alias){.keep = 1, .other = i};
	}
	while (smalls > 0 && larges > 0) {
		uint32_t less = small[--smalls], more = large[larges - 1];

		m->alias[less] = (struct alias){.keep = share[less], .other = more};
		share[more] -= 1 - share[less];
		if (share[more] < 1) {
			larges--;
			small[smalls++] = more;
		}
	}
}

static uint32_t choose(struct request_maker *m)
{
	if (m->plan_count == 1)
		return 0;
	double at = load_rng_unit(&m->rng) * m->plan_count;
	uint32_t i = (uint32_t)at;

	return at - i < m->alias[i].keep ? i : m->alias[i].other;
}

static bool add_cstr(struct template *t, const char *text)
{
	return template_add_text(t, span_cstr(text));
}

static bool add_headers(struct plan *p, const struct scenario *s, const struct load_endpoint *e)
{
	struct span host = s->host.len ? s->host : SPAN_LIT("localhost");
	struct template *t = p->head;
	bool ok = true;

	for (uint32_t i = 0; i < e->header_count; i++)
		if (span_eq_nocase(e->headers[i].name, SPAN_LIT("Host")))
			host.len = 0;
	if (host.len)
		ok = add_cstr(t, "Host: ") && template_add_text(t, host) && add_cstr(t, "\r\n");
	for (uint32_t i = 0; ok && i < e->header_count; i++)
		ok = template_add_text(t, e->headers[i].name) && add_cstr(t, ": ") &&
		     template_add(t, e->headers[i].value) && add_cstr(t, "\r\n");
	if (ok && p->sign)
		ok = add_cstr(t, PFSIG_NAME ": ") && template_add_piece(t, PIECE_SIGNATURE) &&
		     add_cstr(t, "\r\n");
	return ok;
}

static struct span fixed_text(const struct template *t)
{
	return t->count ? t->pieces[0].text : span_of("", 0);
}

static bool add_body(struct plan *p, const struct load_endpoint *e)
{
	struct template_values v = {.body_length = 0};
	struct template *t = p->head;
	char number[NUMBER_MAX];
	struct template *length;
	bool ok;

	if (!e->body)
		return add_cstr(t, "\r\n");
	if (!template_is_fixed(e->body)) {
		p->body = e->body;
		p->wants_key |= e->body->wants_key;
		return add_cstr(t, "Content-Length: ") &&
		       template_add_piece(t, PIECE_BODY_LENGTH) && add_cstr(t, "\r\n\r\n");
	}
	length = template_new();
	if (!length)
		return false;
	v.body_length = fixed_text(e->body).len;
	ok = template_add_piece(length, PIECE_BODY_LENGTH);
	const size_t digits = ok ? (size_t)(template_write(length, &v, number) - number) : 0;
	template_free(length);
	return ok && add_cstr(t, "Content-Length: ") &&
	       template_add_text(t, span_of(number, digits)) && add_cstr(t, "\r\n\r\n") &&
	       template_add(t, e->body);
}

static bool plan_prepare(struct request_maker *m, struct plan *p, const struct load_endpoint *e)
{
	const struct scenario *s = m->scenario;
	struct template *t = template_new();
	bool ok;

	p->head = t;
	p->method = e->method;
	p->method_name = e->method_name;
	p->sign = e->sign && m->signer;
	if (!t)
		return false;
	ok = template_add_text(t, e->method_name) && add_cstr(t, " ");
	if (ok && p->sign) {
		p->target = e->target;
		p->wants_key = e->target->wants_key;
		ok = template_add_piece(t, PIECE_TARGET);
	} else if (ok) {
		ok = template_add(t, e->target);
	}
	ok = ok && add_cstr(t, " HTTP/1.1\r\n") && add_headers(p, s, e) && add_body(p, e);
	if (ok && p->sign && !p->body)
		pfsig_digest(m->signer, e->body ? fixed_text(e->body) : span_of("", 0),
		             p->body_digest);
	p->wants_key |= t->wants_key;
	return ok;
}

static void sign(struct request_maker *m, const struct plan *p, struct span body)
{
	struct template_values *v = &m->values;
	char digest[PFSIG_HEX];
	struct pfsig_request r = {
	        .method = p->method_name,
	        .policy = m->scenario->signing.policy_hash,
	        .body = p->body_digest,
	};

	r.target =
	        span_of(m->target, (size_t)(template_write(p->target, v, m->target) - m->target));
	if (p->body) {
		pfsig_digest(m->signer, body, digest);
		r.body = digest;
	}
	pfsig_sign(m->signer, &r, m->signature);
	v->target = r.target;
	v->signature = span_of(m->signature, PFSIG_VALUE);
}

static struct span plan_write(struct request_maker *m, const struct plan *p)
{
	struct template_values *v = &m->values;
	struct span body = span_of(m->body, 0);
	char *end;

	v->seq++;
	if (p->wants_key)
		v->key = zipf_next(&m->keys, &m->rng);
	if (p->body) {
		body.len = (size_t)(template_write(p->body, v, m->body) - m->body);
		v->body_length = body.len;
	}
	if (p->sign)
		sign(m, p, body);
	end = template_write(p->head, v, m->buf);
	if (body.len) {
		memcpy(end, body.ptr, body.len);
		end += body.len;
	}
	return span_of(m->buf, (size_t)(end - m->buf));
}

static bool plan_varies(const struct plan *p)
{
	if (p->body || (p->target && !template_is_fixed(p->target)))
		return true;
	for (uint32_t i = 0; i < p->head->count; i++)
		if (p->head->pieces[i].source < PIECE_TARGET &&
		    p->head->pieces[i].source != PIECE_TEXT)
			return true;
	return false;
}

/* One room for each of the three, as large as the largest. */
static bool rooms_reserve(struct request_maker *m)
{
	size_t head = 0, body = 0, target = 0;

	for (uint32_t i = 0; i < m->plan_count; i++) {
		const struct plan *p = &m->plans[i];

		head = p->head->room > head ? p->head->room : head;
		body = p->body && p->body->room > body ? p->body->room : body;
		target = p->target && p->target->room > target ? p->target->room : target;
	}
	m->buf = malloc(head + body + target + PFSIG_VALUE + NUMBER_MAX);
	m->body = malloc(body + 1);
	m->target = malloc(target + 1);
	return m->buf && m->body && m->target;
}

static bool fixed_prepare(struct request_maker *m)
{
	for (uint32_t i = 0; i < m->plan_count; i++) {
		struct plan *p = &m->plans[i];
		struct span made;
		char *copy;

		if (plan_varies(p))
			continue;
		made = plan_write(m, p);
		copy = malloc(made.len);
		if (!copy)
			return false;
		memcpy(copy, made.ptr, made.len);
		p->fixed = span_of(copy, made.len);
	}
	m->values.seq = 0;
	return true;
}

struct request_maker *request_maker_create(const struct scenario *s, uint32_t worker)
{
	struct request_maker *m = calloc(1, sizeof(*m));
	bool ok = true;

	if (!m)
		return NULL;
	m->scenario = s;
	load_rng_seed(&m->rng, s->seed, worker);
	zipf_init(&m->keys, s->keys.count ? s->keys.count : 1, s->keys.zipf);
	m->values = (struct template_values){.worker = worker, .rng = &m->rng};
	if (s->can_sign) {
		m->signer = pfsig_key_create(s->signing.mac_key, s->signing.mac_key_len);
		ok = m->signer != NULL;
	}
	for (; ok && m->plan_count < s->endpoint_count; m->plan_count += ok)
		ok = plan_prepare(m, &m->plans[m->plan_count], &s->endpoints[m->plan_count]);
	if (!ok) {
		m->plan_count += m->plan_count < s->endpoint_count;
		request_maker_destroy(m);
		return NULL;
	}
	alias_prepare(m);
	if (!rooms_reserve(m) || !fixed_prepare(m)) {
		request_maker_destroy(m);
		return NULL;
	}
	return m;
}

void request_maker_destroy(struct request_maker *m)
{
	if (!m)
		return;
	for (uint32_t i = 0; i < m->plan_count; i++) {
		template_free(m->plans[i].head);
		free((char *)(uintptr_t)m->plans[i].fixed.ptr);
	}
	pfsig_key_destroy(m->signer);
	free(m->buf);
	free(m->body);
	free(m->target);
	free(m);
}

void request_make(struct request_maker *m, uint32_t user, struct made_request *out)
{
	uint32_t i = choose(m);
	const struct plan *p = &m->plans[i];

	out->method = p->method;
	out->endpoint = i;
	if (likely(p->fixed.ptr != NULL)) {
		out->bytes = p->fixed;
		return;
	}
	m->values.user = user;
	out->bytes = plan_write(m, p);
}

double request_random(struct request_maker *m)
{
	return load_rng_unit(&m->rng);
}
