/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/rule_effects.h"

#include "cache/read_set.h"
#include "cache/rule.h"
#include "control/request_input.h"

#include <stdlib.h>

#define TEXT_BYTES (RULE_EFFECT_PURGES * 512u)

struct maker {
	const struct snapshot *s;
	const struct request *r;
	struct rule_effects *out;
	struct request_input made;
	struct span tenant; /* as the request says it; empty: none */
	char key[CACHE_KEY_MAX];
	char text[INVAL_TEXT_MAX];
	size_t len;
};

/* --- texts --- */

static bool text_add(struct maker *m, struct span s)
{
	if (s.len > sizeof(m->text) - m->len)
		return false;
	if (s.len > 0)
		memcpy(m->text + m->len, s.ptr, s.len);
	m->len += s.len;
	return true;
}

/* prefix, a, b, c in m->text; empty when it is too long. */
static struct span text_join(struct maker *m, const struct span parts[4])
{
	m->len = 0;
	for (uint32_t i = 0; i < 4; i++)
		if (!text_add(m, parts[i]))
			return span_of(NULL, 0);
	return span_of(m->text, m->len);
}

/* --- the request --- */

static void input_make(struct maker *m, struct span target, uint64_t seed)
{
	request_input_make(m->r, target, seed, &m->made);
	m->made.in.wild = true;
}

/* The route that a method has for the target; NULL: none, or it has no rule. */
static const struct snap_rule *route_rule(struct maker *m, enum http_method method)
{
	return request_input_route(m->s, m->r, method, &m->made);
}

static struct span field_value(const struct maker *m, const struct rule_text *name)
{
	struct span want = snapshot_text(m->s, name->off, name->len);

	for (uint32_t i = 0; i < m->made.fields.count && want.len > 0; i++)
		if (span_eq_nocase(m->made.fields.f[i].name, want))
			return m->made.fields.f[i].value;
	return span_of(NULL, 0);
}

/* --- tags --- */

static void tag_put(struct maker *m, const struct span parts[4])
{
	struct span tag = text_join(m, parts);

	if (tag.len > 0 && m->out->tag_count < RULE_EFFECT_TAGS)
		m->out->tags[m->out->tag_count++] = inval_tag_hash(tag);
}

static void tag_named(struct maker *m, struct span prefix, struct span value)
{
	if (value.len > 0)
		tag_put(m, (const struct span[4]){prefix, value});
}

/* Of all tenants, and of this one. */
static void tag_key(struct maker *m, struct span key, struct span tail)
{
	tag_put(m, (const struct span[4]){SPAN_LIT("key:"), key, tail});
	m->len = 0;
	if (text_add(m, SPAN_LIT("key:")) && text_add(m, m->tenant) && text_add(m, SPAN_LIT("|")) &&
	    text_add(m, key) && text_add(m, tail) && m->out->tag_count < RULE_EFFECT_TAGS)
		m->out->tags[m->out->tag_count++] = inval_tag_hash(span_of(m->text, m->len));
}

static void tags_of_key(struct maker *m, struct span key)
{
	uint32_t levels = 0;

	tag_key(m, key, span_of(NULL, 0));
	for (size_t i = 0; i < key.len && levels < RULE_EFFECT_LEVELS; i++) {
		if (key.ptr[i] != ':')
			continue;
		levels++;
		tag_key(m, span_of(key.ptr, i + 1), SPAN_LIT("*"));
	}
}

/* Of all that the rule shares; and of what is shared by one list of names. */
static void tags_of_pattern(struct maker *m)
{
	struct cache_key front;

	m->made.in.wild = false;
	if (read_set_front(m->s, &m->made.in, m->key, &front) == KEY_OK) {
		tags_of_key(m, key_base(front.text));
		tag_named(m, SPAN_LIT(RULE_EFFECT_FRONT), front.text);
	}
	m->made.in.wild = true;
}

static void tags_make(struct maker *m, const struct snap_rule *rule, struct span key)
{
	const struct rule_program *programs = key_programs(m->s, rule->tags_off);
	const struct snap_rules *rules = &m->s->rules;

	tag_named(m, SPAN_LIT("rule:"), snapshot_text(m->s, rule->name.off, rule->name.len));
	if ((rule->flags & RULE_PUBLIC) == 0) {
		m->tenant = field_value(m, &rules->tenant);
		tag_named(m, SPAN_LIT("tenant:"), m->tenant);
		tag_named(m, SPAN_LIT("user:"), field_value(m, &rules->user));
		tag_named(m, SPAN_LIT("policy:"), field_value(m, &rules->policy));
	}
	tags_of_key(m, key_base(key));
	if (rule->flags & RULE_PATTERN)
		tags_of_pattern(m);
	for (uint32_t i = 0; i < rule->tag_count; i++) {
		struct cache_key text;

		if (key_program_run(m->s, &programs[i], &m->made.in, m->key, &text) == KEY_OK)
			tag_named(m, SPAN_LIT("tag:"), text.text);
	}
}

/* --- purges --- */

static void purge_put(struct maker *m, enum inval_kind kind, struct span text)
{
	struct rule_effects *out = m->out;
	size_t max = kind == INVAL_PATTERN ? INVAL_PATTERN_MAX : INVAL_TEXT_MAX;

	/* Without room for all of it, everything goes: rather too much than too little. */
	if (text.len == 0 || text.len > max || text.len > TEXT_BYTES - out->text_len ||
	    out->purge_count == RULE_EFFECT_PURGES) {
		out->purges[0] = (struct rule_purge){.kind = INVAL_ALL};
		out->purge_count = max_u32(out->purge_count, 1);
		return;
	}
	memcpy(out->text + out->text_len, text.ptr, text.len);
	out->purges[out->purge_count++] =
	        (struct rule_purge){kind, span_of(out->text + out->text_len, text.len)};
	out->text_len += text.len;
}

/* Does a tag of tags_of_key stand for it? */
static bool key_has_tag(struct span key)
{
	uint32_t levels = 0;
	const char *star = memchr(key.ptr, '*', key.len);

	if (star == NULL)
		return true;
	for (size_t i = 0; i < key.len; i++)
		levels += key.ptr[i] == ':';
	return star == key.ptr + key.len - 1 && key.len > 1 && star[-1] == ':' &&
	       levels <= RULE_EFFECT_LEVELS;
}

static void purge_tenant(struct maker *m, struct span tenant, struct span key)
{
	m->len = 0;
	if (!text_add(m, SPAN_LIT("key:")) || !text_add(m, tenant) || !text_add(m, SPAN_LIT("|")) ||
	    !text_add(m, key))
		m->len = 0;
	purge_put(m, INVAL_TAG, span_of(m->text, m->len));
}

/* A key without its scope, perhaps a pattern. Patterns that no tag stands for hit every tenant. */
static void purge_key(struct maker *m, struct span key, bool all)
{
	if (!key_has_tag(key)) {
		purge_put(m, INVAL_PATTERN, key);
		if (key.ptr[key.len - 1] != '*')
			purge_put(m, INVAL_PATTERN,
			          text_join(m, (const struct span[4]){key, SPAN_LIT("|*")}));
	} else if (all || m->tenant.len == 0) {
		purge_put(m, INVAL_TAG,
		          text_join(m, (const struct span[4]){SPAN_LIT("key:"), key}));
	} else {
		purge_tenant(m, m->tenant, key);
		purge_tenant(m, span_of(NULL, 0), key);
	}
}

static void purges_make(struct maker *m, const struct snap_rule *rule)
{
	const struct rule_program *programs = key_programs(m->s, rule->purges_off);
	bool all = (rule->flags & RULE_PURGE_ALL) != 0;

	for (uint32_t i = 0; i < rule->purge_count; i++) {
		struct cache_key text;

		if (key_program_run(m->s, &programs[i], &m->made.in, m->key, &text) != KEY_OK)
			purge_put(m, INVAL_ALL, span_of(NULL, 0));
		else if (text.text.len > 4 && memcmp(text.text.ptr, "tag:", 4) == 0)
			purge_put(m, INVAL_TAG, text.text);
		else
			purge_key(m, text.text, all);
	}
}

/* In m->key: the base of all that the rule shares. */
static struct span pattern_base(struct maker *m, const struct snap_rule *rule)
{
	const struct span prefix = SPAN_LIT(RULE_PATTERN_PREFIX);

	memcpy(m->key, prefix.ptr, prefix.len);
	memcpy(m->key + prefix.len, snapshot_text(m->s, rule->name.off, rule->name.len).ptr,
	       rule->name.len);
	return span_of(m->key, prefix.len + rule->name.len);
}

/* RFC 9111 4.4: the target itself, where what GET has of it lies under a rule's key. */
static void purge_target(struct maker *m)
{
	const struct snap_rule *rule = route_rule(m, HTTP_GET);
	struct cache_key key;

	if (rule == NULL)
		return;
	m->made.in.method = HTTP_GET;
	/* Which of the shared answers is the target's is not known, where the origin says it. */
	if (rule->flags & RULE_PATTERN)
		purge_key(m, pattern_base(m, rule), (rule->flags & RULE_PURGE_ALL) != 0);
	if (key_program_run(m->s, &rule->key, &m->made.in, m->key, &key) == KEY_OK)
		purge_key(m, key_base(key.text), (rule->flags & RULE_PURGE_ALL) != 0);
	else
		purge_put(m, INVAL_ALL, span_of(NULL, 0));
}

static bool changes(const struct snap_rule *rule, const struct request *r)
{
	bool keyed = rule != NULL && (rule->flags & RULE_NEEDS_BODY) && r->method == HTTP_POST;

	return !http_method_safe(r->method) && !keyed;
}

bool rule_effects_make(const struct snapshot *s, const struct request *r, uint64_t seed,
                       struct rule_effects **out)
{
	const struct snap_rule *rule;
	struct maker *m;

	*out = NULL;
	if (s->rules.rule_count == 0)
		return true;
	m = calloc(1, sizeof(*m));
	if (m == NULL)
		return false;
	m->s = s;
	m->r = r;
	input_make(m, r->target, seed);
	rule = route_rule(m, r->method);
	m->out = calloc(1, sizeof(*m->out) + (changes(rule, r) ? TEXT_BYTES : 0));
	if (m->out == NULL) {
		free(m);
		return false;
	}
	if (changes(rule, r)) {
		m->tenant = field_value(m, &s->rules.tenant);
		if (rule != NULL)
			purges_make(m, rule);
		purge_target(m);
	} else if (rule != NULL && r->key.len > 0) {
		tags_make(m, rule, r->key);
	}
	*out = m->out;
	free(m);
	return true;
}

static struct maker *maker_new(const struct rule_target *t, size_t text_bytes)
{
	struct maker *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	m->s = t->s;
	m->r = t->r;
	input_make(m, t->target, t->seed);
	m->out = calloc(1, sizeof(*m->out) + text_bytes);
	if (m->out != NULL)
		return m;
	free(m);
	return NULL;
}

bool rule_effects_target(const struct rule_target *t, struct rule_effects **out)
{
	struct maker *m;

	*out = NULL;
	if (t->s->rules.rule_count == 0)
		return true;
	m = maker_new(t, TEXT_BYTES);
	if (m == NULL)
		return false;
	m->tenant = field_value(m, &t->s->rules.tenant);
	purge_target(m);
	*out = m->out;
	free(m);
	return true;
}

/* --- what a change writes --- */

/* The key that GET would have, as the cores make it (dataplane/req/key.c). */
static bool write_key(struct maker *m, const struct snap_rule *rule, struct rule_write *w)
{
	struct cache_key key;
	bool ok;

	m->made.in.method = HTTP_GET;
	m->made.in.wild = false;
	if (rule != NULL)
		ok = key_program_run(m->s, &rule->key, &m->made.in, w->key, &key) == KEY_OK;
	else
		ok = cache_key_default(w->key, m->made.in.host, m->made.in.path, m->made.in.query,
		                       0, &key);
	w->key_len = ok ? (uint32_t)key.text.len : 0;
	return ok;
}

bool rule_write_make(const struct rule_target *t, struct rule_write **out)
{
	struct rule_write *w = calloc(1, sizeof(*w));
	struct maker *m = maker_new(t, 0);
	const struct snap_rule *rule;
	bool ok = false;

	if (w == NULL || m == NULL)
		goto end;
	rule = route_rule(m, HTTP_GET);
	if (m->made.match.route == NULL || m->made.match.route->upstream != t->r->wire.upstream)
		goto end;
	ok = write_key(m, rule, w);
	if (!ok)
		goto end;
	cache_rule_of(m->made.match.route, &w->rule);
	w->authorized = http_fields_have(&m->made.fields, HDR_AUTHORIZATION) &&
	                (rule == NULL || (rule->flags & RULE_KEYED_AUTH) == 0);
	if (rule != NULL)
		tags_make(m, rule, span_of(w->key, w->key_len));
	w->effects = m->out;
	m->out = NULL;
end:
	if (m != NULL)
		free(m->out);
	free(m);
	*out = ok ? w : NULL;
	if (!ok)
		free(w);
	return ok;
}

void rule_write_free(struct rule_write *w)
{
	if (w == NULL)
		return;
	free(w->effects);
	free(w);
}
