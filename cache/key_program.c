/* SPDX-License-Identifier: BSD-2-Clause */
#include "cache/key_program.h"
#include "cache/json_field.h"
#include "cache/key_run.h"

const struct snap_rule *key_rule(const struct snapshot *s, const struct snap_route *route)
{
	const struct snap_rule *rules =
	        (const struct snap_rule *)(const void *)((const char *)s + s->rules.rules_off);

	return route->rule == 0 ? NULL : &rules[route->rule - 1];
}

/* --- filters --- */

/* Two keyed hashes of 64 bits under different keys: nobody without the secret can aim at another's
 * digest, nor tell what was digested. */
static void digest(const struct run *r, struct span text, char hex[KEY_DIGEST_HEX])
{
	static const char digits[] = "0123456789abcdef";
	uint64_t key[2] = {r->s->rules.secret[0], r->s->rules.secret[1]};
	uint64_t half[2];

	if ((key[0] | key[1]) == 0) {
		key[0] = r->in->seed;
		key[1] = ~r->in->seed * 0x9e3779b97f4a7c15ull;
	}
	half[0] = siphash24(text.ptr, text.len, key);
	key[1] ^= 0x6b65792d68616c66ull;
	half[1] = siphash24(text.ptr, text.len, key);
	for (uint32_t i = 0; i < KEY_DIGEST_HEX; i++)
		hex[i] = digits[half[i / 16] >> (60 - i % 16 * 4) & 15];
}

static bool hash_apply(struct run *r)
{
	char hex[KEY_DIGEST_HEX];

	if (!r->v.present)
		return true;
	digest(r, r->v.text, hex);
	memcpy(r->scratch, hex, sizeof(hex));
	r->v.text = span_of(r->scratch, sizeof(hex));
	return true;
}

static enum key_status filter(struct run *r, const struct rule_op *op)
{
	struct norm *v = &r->v;
	bool ok = true;

	switch (op->a) {
	case RULE_LOWER:
		ok = norm_lower(v);
		break;
	case RULE_UPPER:
		ok = norm_upper(v);
		break;
	case RULE_TRIM:
		norm_trim(v);
		break;
	case RULE_SQUEEZE:
		ok = norm_squeeze(v);
		break;
	case RULE_SORT:
		ok = norm_sort(v);
		break;
	case RULE_INT:
		ok = norm_int(v);
		break;
	case RULE_BUCKET:
		ok = norm_bucket(v, op->len);
		break;
	case RULE_ROUND:
		ok = norm_round(v, op->len);
		break;
	case RULE_ID:
		ok = norm_id(v);
		break;
	case RULE_HASH:
		ok = hash_apply(r);
		break;
	case RULE_DECODE_FORM:
	case RULE_DECODE_URI:
		return norm_decode(v, op->a == RULE_DECODE_FORM) ? KEY_OK : KEY_BYPASS;
	default:
		break;
	}
	return ok ? KEY_OK : KEY_TOO_LONG;
}

static const struct snap_table *table_at(const struct run *r, uint32_t n)
{
	return (const struct snap_table *)(const void *)((const char *)r->s +
	                                                 r->s->rules.tables_off) +
	       n;
}

/* What a table says for a text; ptr NULL: nothing. */
static struct span table_find(const struct run *r, uint32_t n, struct span text)
{
	const struct snap_table *t = table_at(r, n);
	const struct rule_text *pairs =
	        (const struct rule_text *)(const void *)((const char *)r->s + t->pairs_off);
	uint32_t lo = 0, hi = t->pair_count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		const struct rule_text *pair = &pairs[2 * mid];
		struct span from = run_text(r, pair->off, pair->len);
		int order = from.len == text.len  ? memcmp(text.ptr, from.ptr, from.len)
		            : text.len < from.len ? -1
		                                  : 1;

		if (order == 0)
			return run_text(r, pair[1].off, pair[1].len);
		if (order < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return span_of(NULL, 0);
}

static void alias(struct run *r, uint32_t n)
{
	struct span to = span_of(NULL, 0);

	if (r->v.text.len > 0)
		to = table_find(r, n, r->v.text);
	if (to.ptr != NULL)
		r->v.text = to;
}

static void unit(struct run *r, uint32_t n)
{
	uint64_t number, factor = 0;
	uint32_t decimals;
	struct span name, to;

	if (!norm_unit_split(r->v.text, &number, &decimals, &name) || name.len == 0)
		return;
	to = table_find(r, n, name);
	if (to.ptr == NULL || to.len == 0 || to.len > 18)
		return;
	for (size_t i = 0; i < to.len; i++) {
		if (to.ptr[i] < '0' || to.ptr[i] > '9')
			return;
		factor = factor * 10 + (uint64_t)(to.ptr[i] - '0');
	}
	(void)norm_unit_set(&r->v, number, decimals, factor);
}

static void default_apply(struct run *r, const struct rule_op *op)
{
	bool null = r->json == JSON_WORD && span_eq(r->v.text, SPAN_LIT("null"));

	if (r->v.present && r->v.text.len > 0 && !null)
		return;
	r->v.text = run_text(r, op->off, op->len);
	r->v.present = true;
	r->json = JSON_STRING;
}

/* --- output --- */

enum key_status run_put(struct run *r, struct span text)
{
	if (text.len > (size_t)(r->end - r->at))
		return KEY_TOO_LONG;
	run_copy(r->at, text.ptr, text.len);
	r->at += text.len;
	return KEY_OK;
}

enum key_status run_emit(struct run *r, enum rule_form form)
{
	bool ok;

	if (!r->v.present)
		return KEY_OK;
	if (form == RULE_FORM_JSON && r->json != JSON_STRING && run_put(r, SPAN_LIT("!")) != KEY_OK)
		return KEY_TOO_LONG;
	/* Present and empty is not absent. */
	if (r->v.text.len == 0)
		return run_put(r, SPAN_LIT("%"));
	if (form == RULE_FORM_PLAIN)
		return run_put(r, r->v.text);
	ok = form == RULE_FORM_URI ? run_put_uri(&r->at, r->end, r->v.text)
	                           : run_put_bytes(&r->at, r->end, r->v.text);
	return ok ? KEY_OK : KEY_TOO_LONG;
}

static char scope_name(enum rule_source source)
{
	switch (source) {
	case RULE_HOST:
		return 'h';
	case RULE_METHOD:
		return 'm';
	case RULE_TENANT:
		return 't';
	default:
		return 'p';
	}
}

/* A part of the scope. It is left out when the request has no such thing; GET and HEAD share. */
static enum key_status scope(struct run *r, const struct rule_op *op)
{
	char label[3] = {RULE_SCOPE_SEP, scope_name((enum rule_source)op->a), '='};
	enum key_status st;

	if (op->a == RULE_METHOD && (r->in->method == HTTP_GET || r->in->method == HTTP_HEAD))
		return KEY_OK;
	st = run_load(r, op);
	if (st != KEY_OK || !r->v.present)
		return st;
	st = run_put(r, span_of(label, sizeof(label)));
	return st == KEY_OK ? run_emit(r, RULE_FORM_BYTES) : st;
}

/* Is it one of the fields that show who asks? *index: which. */
static bool credential_is(const struct run *r, const struct http_field *f, uint32_t *index)
{
	const struct snap_rules *rules = &r->s->rules;
	const struct rule_text *names = run_texts(r, rules->creds_off);

	if (f->id != HDR_OTHER && !(rules->cred_seen & http_hdr_bit(f->id)))
		return false;
	for (*index = 0; *index < rules->cred_count; (*index)++) {
		const struct rule_text *t = &names[*index];

		if (span_eq_nocase(f->name, run_text(r, t->off, t->len)))
			return true;
	}
	return false;
}

/* Which field, and what it says: as many bytes for each, so that no two lists have one text. */
static enum key_status credential_add(struct run *r, const struct http_field *f, uint32_t index,
                                      size_t *len)
{
	if (1 + KEY_DIGEST_HEX > sizeof(r->scratch) - *len)
		return KEY_TOO_LONG;
	r->scratch[(*len)++] = (char)index;
	digest(r, f->value, r->scratch + *len);
	*len += KEY_DIGEST_HEX;
	return KEY_OK;
}

/* The fields that show who asks, in the order in which they came. */
static enum key_status credential(struct run *r, bool refuse)
{
	const struct http_fields *fs = r->in->fields;
	char hex[KEY_DIGEST_HEX];
	size_t len = 0;

	for (uint32_t i = 0; i < fs->count; i++) {
		const struct http_field *f = &fs->f[i];
		uint32_t index;

		if (!credential_is(r, f, &index))
			continue;
		if (refuse || (http_fields_have(fs, HDR_CONNECTION) && http_field_is_hop(fs, f)))
			return KEY_BYPASS;
		if (credential_add(r, f, index, &len) != KEY_OK)
			return KEY_TOO_LONG;
	}
	if (len == 0)
		return KEY_OK;
	digest(r, span_of(r->scratch, len), hex);
	if (run_put(r, SPAN_LIT("|a=")) != KEY_OK)
		return KEY_TOO_LONG;
	return run_put(r, span_of(hex, sizeof(hex)));
}

/* The key of requests without a rule. A byte that divides keys from scopes is in no sound target,
 * but servers are seen to take it. */
static enum key_status target(struct run *r)
{
	const struct key_input *in = r->in;
	struct cache_key key;
	size_t len = in->host.len + in->path.len + in->query.len + 1;

	if (len > (size_t)(r->end - r->at))
		return KEY_TOO_LONG;
	if (!cache_key_default(r->at, in->host, in->path, in->query, 0, &key))
		return KEY_TOO_LONG;
	if (memchr(key.text.ptr, RULE_SCOPE_SEP, key.text.len))
		return KEY_BYPASS;
	r->at += key.text.len;
	return KEY_OK;
}

/* For purges: what is not known stands for anything. */
static enum key_status unknown(struct run *r)
{
	r->wild = true;
	return KEY_OK;
}

static enum key_status step(struct run *r, const struct rule_op *op)
{
	switch (op->code) {
	case RULE_OP_LITERAL:
		return run_put(r, run_text(r, op->off, op->len));
	case RULE_OP_LOAD:
		r->wild = false;
		return run_load(r, op);
	case RULE_OP_DEFAULT:
		default_apply(r, op);
		return KEY_OK;
	case RULE_OP_FILTER:
		return filter(r, op);
	case RULE_OP_TABLE:
		alias(r, op->n);
		return KEY_OK;
	case RULE_OP_UNIT:
		unit(r, op->n);
		return KEY_OK;
	case RULE_OP_EMIT:
		return r->wild ? run_put(r, SPAN_LIT("*")) : run_emit(r, (enum rule_form)op->a);
	case RULE_OP_TARGET:
		return target(r);
	case RULE_OP_SCOPE:
		return scope(r, op);
	case RULE_OP_CREDENTIAL:
	case RULE_OP_NO_CREDENTIAL:
		return credential(r, op->code == RULE_OP_NO_CREDENTIAL);
	default:
		return KEY_BYPASS;
	}
}

/* What the operations read is taken apart once. */
static enum key_status prepare(struct run *r)
{
	const struct snap_rule *rule = r->rule;
	struct span paths[RULE_BODY_MAX];

	if (!run_query_read(r) && !r->in->wild)
		return KEY_BYPASS;
	if (rule->body_count == 0 || r->in->body.ptr == NULL)
		return KEY_OK;
	for (uint32_t i = 0; i < rule->body_count; i++) {
		const struct rule_text *t = run_texts(r, rule->body_off) + i;

		paths[i] = run_text(r, t->off, t->len);
	}
	return json_find(r->in->body, paths, rule->body_count, r->body) ? KEY_OK : KEY_BYPASS;
}

enum key_status key_program_run(const struct snapshot *s, const struct rule_program *program,
                                const struct key_input *in, char buf[CACHE_KEY_MAX],
                                struct cache_key *out)
{
	const struct rule_op *ops =
	        (const struct rule_op *)(const void *)((const char *)s + program->ops_off);
	struct run r;
	enum key_status st;

	run_begin(&r, s, in, buf);
	st = prepare(&r);
	for (uint32_t i = 0; i < program->op_count && st == KEY_OK; i++) {
		st = step(&r, &ops[i]);
		if (st == KEY_BYPASS && in->wild)
			st = unknown(&r);
	}
	if (st != KEY_OK)
		return st;
	out->text = span_of(buf, (size_t)(r.at - buf));
	if (out->text.len == 0)
		return KEY_BYPASS;
	out->hash = hash128(out->text.ptr, out->text.len, in->seed);
	return KEY_OK;
}

struct span key_base(struct span key_text)
{
	const char *sep =
	        key_text.len > 0 ? memchr(key_text.ptr, RULE_SCOPE_SEP, key_text.len) : NULL;

	return sep ? span_of(key_text.ptr, (size_t)(sep - key_text.ptr)) : key_text;
}

struct span key_scope(struct span key_text, char part)
{
	struct span rest = key_text;

	while (rest.len > 0) {
		size_t n = key_base(rest).len;

		if (rest.ptr != key_text.ptr && n >= 2 && rest.ptr[0] == part && rest.ptr[1] == '=')
			return span_of(rest.ptr + 2, n - 2);
		if (n == rest.len)
			break;
		rest = span_of(rest.ptr + n + 1, rest.len - n - 1);
	}
	return span_of(NULL, 0);
}
