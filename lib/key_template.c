/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/key_template.h"
#include "lib/http1.h"

#include <stdarg.h>
#include <stdio.h>

struct parser {
	struct span text;
	uint32_t at;
	enum template_kind kind;
	struct template_rule *rule;
	struct template *out;
	struct template_error *err;
	uint32_t value_at; /* the expression being read */
	uint32_t load;     /* its LOAD */
	enum rule_source source;
	bool filtered; /* it has a filter that reads the value as text */
	bool hashed;
};

PRINTF(3, 4)
static bool fail(struct parser *p, uint32_t at, const char *fmt, ...)
{
	va_list args;

	p->err->at = at;
	va_start(args, fmt);
	(void)vsnprintf(p->err->text, sizeof(p->err->text), fmt, args);
	va_end(args);
	return false;
}

bool template_add(struct template *t, struct template_op op)
{
	if (t->count == RULE_OPS_MAX)
		return false;
	t->ops[t->count++] = op;
	return true;
}

static bool add(struct parser *p, struct template_op op)
{
	return template_add(p->out, op) ||
	       fail(p, p->value_at, "has more than %u parts; make it shorter", RULE_OPS_MAX);
}

static char peek(const struct parser *p)
{
	return p->at < p->text.len ? p->text.ptr[p->at] : '\0';
}

static bool is_word(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       c == '_' || c == '-';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static struct span word(struct parser *p)
{
	uint32_t from = p->at;

	while (is_word(peek(p)))
		p->at++;
	return span_of(p->text.ptr + from, p->at - from);
}

/* A name as clients send it: of a query parameter, a field, a cookie. */
static struct span name(struct parser *p)
{
	uint32_t from = p->at;

	while (is_word(peek(p)) || (peek(p) != '\0' && strchr(".$[]~!#^`", peek(p))))
		p->at++;
	return span_of(p->text.ptr + from, p->at - from);
}

/* --- sources --- */

static const struct {
	const char *word;
	enum rule_source alone; /* RULE_SOURCE_COUNT: needs a name behind a dot */
	enum rule_source named; /* RULE_SOURCE_COUNT: has none */
} sources[] = {
        {"path", RULE_PATH, RULE_PATH_PARAM},       {"query", RULE_QUERY, RULE_QUERY_NAMED},
        {"header", RULE_SOURCE_COUNT, RULE_HEADER}, {"cookie", RULE_SOURCE_COUNT, RULE_COOKIE},
        {"body", RULE_BODY, RULE_BODY_FIELD},       {"host", RULE_HOST, RULE_SOURCE_COUNT},
        {"method", RULE_METHOD, RULE_SOURCE_COUNT}, {"tenant", RULE_TENANT, RULE_SOURCE_COUNT},
        {"user", RULE_USER, RULE_SOURCE_COUNT},     {"policy", RULE_POLICY, RULE_SOURCE_COUNT},
};

enum rule_source template_source(struct span word, bool named)
{
	for (size_t i = 0; i < ARRAY_LEN(sources); i++)
		if (span_eq(word, span_cstr(sources[i].word)))
			return named ? sources[i].named : sources[i].alone;
	return RULE_SOURCE_COUNT;
}

/* Index of the name in the list, which it is added to; UINT32_MAX: the list is full. */
static uint32_t name_index(struct template_names *list, struct span text, uint32_t most)
{
	for (uint32_t i = 0; i < list->count; i++)
		if (span_eq(list->names[i], text))
			return i;
	if (list->count == most)
		return UINT32_MAX;
	list->names[list->count] = text;
	return list->count++;
}

static bool name_add(struct parser *p, struct template_names *list, struct span text, uint16_t *n)
{
	uint32_t most = list == &p->rule->body ? RULE_BODY_MAX : RULE_QUERY_MAX;
	uint32_t i = name_index(list, text, most);

	if (i == UINT32_MAX)
		return fail(p, p->value_at,
		            "names more than %u of them with the rule's other "
		            "templates; a rule may not",
		            most);
	*n = (uint16_t)i;
	return true;
}

/* query(a,b,c): those, sorted. Their names are kept as one text with commas. */
static bool query_list(struct parser *p, struct template_op *op)
{
	uint32_t from = ++p->at;
	uint16_t n;

	do {
		struct span s = name(p);

		if (s.len == 0)
			return fail(p, p->at,
			            "has no name of a parameter here; write for example "
			            "{query(page,size)}");
		if (!name_add(p, &p->rule->query, s, &n))
			return false;
		op->text = span_of(p->text.ptr + from, p->at - from);
	} while (peek(p) == ',' && ++p->at);
	if (peek(p) != ')')
		return fail(p, p->at, "has a list of parameters without its ')'");
	p->at++;
	op->a = RULE_QUERY_LIST;
	p->rule->flags |= RULE_SORTS_QUERY;
	return true;
}

static bool source_named(struct parser *p, struct template_op *op)
{
	uint32_t at = ++p->at;

	op->text = op->a == RULE_PATH_PARAM ? word(p) : name(p);
	if (op->text.len == 0)
		return fail(p, at, "has no name behind the '.'; write for example {query.page}");
	switch (op->a) {
	case RULE_PATH_PARAM:
		return name_add(p, &p->rule->path, op->text, &op->n);
	case RULE_QUERY_NAMED:
		return name_add(p, &p->rule->query, op->text, &op->n);
	case RULE_BODY_FIELD:
		p->rule->flags |= RULE_NEEDS_BODY;
		return name_add(p, &p->rule->body, op->text, &op->n);
	case RULE_HEADER:
		op->n = (uint16_t)http_hdr_lookup(op->text);
		return true;
	default:
		return true;
	}
}

static bool source_unknown(struct parser *p, struct span w)
{
	return fail(p, p->value_at,
	            "has an unknown source '%.*s'; known are path, query, header, cookie, body, "
	            "host, method, tenant, user and policy",
	            (int)min_size(w.len, 32), w.ptr);
}

static bool source_whole(struct parser *p, struct template_op *op)
{
	if (op->a == RULE_QUERY) {
		if (peek(p) == '*')
			p->at++;
		p->rule->flags |= RULE_SORTS_QUERY | RULE_ALL_QUERY;
	} else if (op->a == RULE_BODY) {
		p->rule->flags |= RULE_NEEDS_BODY;
	}
	return true;
}

static bool source(struct parser *p)
{
	struct template_op op = {.code = RULE_OP_LOAD};
	struct span w = word(p);
	size_t i = 0;

	while (i < ARRAY_LEN(sources) && !span_eq(w, span_cstr(sources[i].word)))
		i++;
	if (i == ARRAY_LEN(sources))
		return source_unknown(p, w);
	op.a = (uint8_t)sources[i].alone;
	if (peek(p) == '.') {
		op.a = (uint8_t)sources[i].named;
		if (op.a == RULE_SOURCE_COUNT)
			return fail(p, p->at, "has a name behind '%s'; write {%s}", sources[i].word,
			            sources[i].word);
		if (!source_named(p, &op))
			return false;
	} else if (op.a == RULE_SOURCE_COUNT) {
		return fail(p, p->at, "has '%s' without a name; write for example {%s.X}",
		            sources[i].word, sources[i].word);
	} else if (op.a == RULE_QUERY && peek(p) == '(') {
		if (!query_list(p, &op))
			return false;
	} else if (!source_whole(p, &op)) {
		return false;
	}
	p->source = (enum rule_source)op.a;
	if (p->kind == TEMPLATE_KEY)
		p->rule->sources |= 1u << op.a;
	p->load = p->out->count;
	return add(p, op);
}

/* --- filters --- */

enum filter_arg { ARG_NONE, ARG_NUMBER, ARG_TABLE, ARG_TEXT };

static const struct {
	const char *word;
	enum filter_arg arg;
	uint8_t code; /* enum rule_op_code */
	uint8_t a;
	uint32_t most; /* of a number */
} filters[] = {
        {"lower", ARG_NONE, RULE_OP_FILTER, RULE_LOWER, 0},
        {"upper", ARG_NONE, RULE_OP_FILTER, RULE_UPPER, 0},
        {"trim", ARG_NONE, RULE_OP_FILTER, RULE_TRIM, 0},
        {"squeeze", ARG_NONE, RULE_OP_FILTER, RULE_SQUEEZE, 0},
        {"sort", ARG_NONE, RULE_OP_FILTER, RULE_SORT, 0},
        {"int", ARG_NONE, RULE_OP_FILTER, RULE_INT, 0},
        {"id", ARG_NONE, RULE_OP_FILTER, RULE_ID, 0},
        {"hash", ARG_NONE, RULE_OP_FILTER, RULE_HASH, 0},
        {"round", ARG_NUMBER, RULE_OP_FILTER, RULE_ROUND, RULE_ROUND_MAX},
        {"bucket", ARG_NUMBER, RULE_OP_FILTER, RULE_BUCKET, RULE_NUMBER_MAX},
        {"alias", ARG_TABLE, RULE_OP_TABLE, 0, 0},
        {"unit", ARG_TABLE, RULE_OP_UNIT, 0, 0},
        {"default", ARG_TEXT, RULE_OP_DEFAULT, 0, 0},
        {"semantic", ARG_NONE, RULE_OP_COUNT, 0, 0},
};

static const struct template_op semantic_ops[] = {
        {.code = RULE_OP_FILTER, .a = RULE_LOWER},
        {.code = RULE_OP_FILTER, .a = RULE_SQUEEZE},
        {.code = RULE_OP_FILTER, .a = RULE_ID},
};

/* "300", "300s", "5m", "1h": a number of seconds, or of what the value counts. */
static bool number_arg(struct parser *p, uint32_t most, struct template_op *op)
{
	uint32_t from = p->at;
	uint64_t n = 0;

	while (is_digit(peek(p)) && n <= RULE_NUMBER_MAX)
		n = n * 10 + (uint64_t)(p->text.ptr[p->at++] - '0');
	if (op->a == RULE_BUCKET && peek(p) != '\0' && strchr("smhd", peek(p))) {
		static const uint32_t seconds[] = {1, 60, 3600, 86400};

		n *= seconds[strchr("smhd", peek(p)) - "smhd"];
		p->at++;
	}
	if (p->at == from || n > most || (op->a == RULE_BUCKET && n == 0))
		return fail(p, from, "has no number from %u to %u here; write for example %s",
		            op->a == RULE_BUCKET, most,
		            op->a == RULE_BUCKET ? "bucket(300s)" : "round(2)");
	/* A number needs no text; its length carries it. */
	op->text = span_of(NULL, (size_t)n);
	return true;
}

static bool table_arg(struct parser *p, struct template_op *op)
{
	uint32_t from = p->at;
	struct span w = word(p);

	for (unsigned i = 0; i < p->rule->table_count; i++) {
		if (!span_eq(w, span_cstr(p->rule->tables[i].name)))
			continue;
		op->n = (uint16_t)i;
		return true;
	}
	return fail(p, from, "has '%.*s', which is no table; add it to tables, with that name",
	            (int)min_size(w.len, 32), w.ptr);
}

static bool text_arg(struct parser *p, struct template_op *op, char end)
{
	uint32_t from = p->at;

	while (peek(p) != '\0' && peek(p) != end && peek(p) != '}' && peek(p) != '{')
		p->at++;
	op->text = span_of(p->text.ptr + from, p->at - from);
	return op->text.len > 0 || fail(p, from, "has an empty default; leave it out");
}

static bool arg(struct parser *p, size_t i, struct template_op *op)
{
	bool ok;

	if (filters[i].arg == ARG_NONE)
		return true;
	if (peek(p) != '(')
		return fail(p, p->at, "has '%s' without its argument; write %s(...)",
		            filters[i].word, filters[i].word);
	p->at++;
	if (filters[i].arg == ARG_NUMBER)
		ok = number_arg(p, filters[i].most, op);
	else
		ok = filters[i].arg == ARG_TABLE ? table_arg(p, op) : text_arg(p, op, ')');
	if (!ok)
		return false;
	if (peek(p) != ')')
		return fail(p, p->at, "has an argument of '%s' without its ')'", filters[i].word);
	p->at++;
	return true;
}

static bool filter_semantic(struct parser *p)
{
	for (size_t i = 0; i < ARRAY_LEN(semantic_ops); i++)
		if (!add(p, semantic_ops[i]))
			return false;
	return true;
}

static size_t filter_find(struct span w)
{
	size_t i = 0;

	while (i < ARRAY_LEN(filters) && !span_eq(w, span_cstr(filters[i].word)))
		i++;
	return i;
}

static bool filter_apply(struct parser *p, size_t i)
{
	struct template_op op = {.code = filters[i].code, .a = filters[i].a};

	if (!arg(p, i, &op))
		return false;
	if (op.code != RULE_OP_DEFAULT) {
		p->filtered = true;
		p->hashed = op.code == RULE_OP_FILTER && op.a == RULE_HASH;
		p->rule->semantic |= p->kind == TEMPLATE_KEY && !p->hashed;
	}
	return op.code == RULE_OP_COUNT ? filter_semantic(p) : add(p, op);
}

/* |1, |'all': a default without the word. */
static bool filter_short(struct parser *p)
{
	struct template_op op = {.code = RULE_OP_DEFAULT};
	uint32_t from = p->at;

	if (peek(p) == '\'') {
		p->at++;
		if (!text_arg(p, &op, '\''))
			return false;
		if (peek(p) != '\'')
			return fail(p, from, "has a text without its second quote");
		p->at++;
		return add(p, op);
	}
	while (is_digit(peek(p)) || peek(p) == '.')
		p->at++;
	op.text = span_of(p->text.ptr + from, p->at - from);
	return add(p, op);
}

static bool filter(struct parser *p)
{
	uint32_t from = ++p->at;
	struct span w;
	size_t i;

	if (peek(p) == '\'' || is_digit(peek(p)))
		return filter_short(p);
	w = word(p);
	i = filter_find(w);
	if (i < ARRAY_LEN(filters))
		return filter_apply(p, i);
	return fail(p, from,
	            "has an unknown filter '%.*s'; known are lower, upper, trim, squeeze, sort, "
	            "int, id, hash, semantic, round(N), bucket(Ns), alias(TABLE), unit(TABLE); a "
	            "default is a number, or in quotes as '%.*s'",
	            (int)min_size(w.len, 32), w.ptr, (int)min_size(w.len, 16), w.ptr);
}

/* --- expressions --- */

/* A value that filters read as text is taken out of the encoding it came in first. */
static bool decode_insert(struct parser *p, enum rule_filter how)
{
	struct template_op *ops = p->out->ops;

	if (!add(p, (struct template_op){0}))
		return false;
	memmove(&ops[p->load + 2], &ops[p->load + 1], (p->out->count - p->load - 2) * sizeof(*ops));
	ops[p->load + 1] = (struct template_op){.code = RULE_OP_FILTER, .a = (uint8_t)how};
	return true;
}

static bool emit(struct parser *p)
{
	struct template_op op = {.code = RULE_OP_EMIT, .a = RULE_FORM_BYTES};

	switch (p->source) {
	case RULE_PATH:
	case RULE_PATH_PARAM:
	case RULE_QUERY_NAMED:
		if (!p->filtered)
			op.a = RULE_FORM_URI;
		else if (!decode_insert(p, p->source == RULE_QUERY_NAMED ? RULE_DECODE_FORM
		                                                         : RULE_DECODE_URI))
			return false;
		break;
	case RULE_QUERY:
	case RULE_QUERY_LIST:
		if (p->filtered && !p->hashed)
			return fail(p, p->value_at,
			            "filters the whole query; only hash can do that");
		if (!p->filtered)
			op.a = RULE_FORM_PLAIN;
		break;
	case RULE_BODY_FIELD:
		if (!p->filtered)
			op.a = RULE_FORM_JSON;
		break;
	default:
		break;
	}
	return add(p, op);
}

static bool chain(struct parser *p)
{
	while (peek(p) == '|')
		if (!filter(p))
			return false;
	return true;
}

/* f(source) is source|f. */
static bool call(struct parser *p, size_t i)
{
	p->at++;
	if (!source(p) || !chain(p))
		return false;
	if (peek(p) != ')')
		return fail(p, p->at, "has '%s(' without its ')'", filters[i].word);
	p->at++;
	return filter_apply(p, i);
}

static bool value(struct parser *p)
{
	uint32_t from = p->at + 1;
	struct span w;
	size_t i;
	bool ok;

	p->value_at = from;
	p->at = from;
	p->filtered = p->hashed = false;
	w = word(p);
	i = filter_find(w);
	if (peek(p) == '(' && i < ARRAY_LEN(filters) && filters[i].arg == ARG_NONE) {
		ok = call(p, i);
	} else {
		p->at = from;
		ok = source(p);
	}
	if (!ok || !chain(p))
		return false;
	if (peek(p) != '}')
		return fail(p, p->at, "has '{' in byte %u without its '}'", from);
	p->at++;
	return emit(p);
}

/* --- the whole --- */

/* May the byte follow the value just read? Then no value holds it. */
static bool separates(const struct parser *p, char c)
{
	if (c == '*')
		return p->kind == TEMPLATE_PURGE;
	switch (p->source) {
	case RULE_QUERY:
	case RULE_QUERY_LIST:
		return strchr(":;,@$()+'", c) != NULL;
	case RULE_PATH:
	case RULE_QUERY_NAMED:
		return strchr(":;,@$()+'=&", c) != NULL;
	default:
		return strchr(":;,@$()+'=&/", c) != NULL;
	}
}

static bool literal(struct parser *p)
{
	uint32_t from = p->at;

	for (; peek(p) != '\0' && peek(p) != '{'; p->at++) {
		char c = peek(p);

		if (c == '*' && p->kind == TEMPLATE_PURGE)
			continue;
		if (c <= ' ' || c >= 0x7f || strchr("}|%*!\"\\", c))
			return fail(p, p->at,
			            c == '*' ? "has a '*'; only purges are patterns"
			                     : "has a byte that no template has outside "
			                       "of {}: space, control byte, or one of "
			                       "}|%%!\"\\");
	}
	return add(p, (struct template_op){
	                      .code = RULE_OP_LITERAL,
	                      .text = span_of(p->text.ptr + from, p->at - from),
	              });
}

bool template_compile(struct span text, enum template_kind kind, struct template_rule *rule,
                      struct template *out, struct template_error *err)
{
	struct parser p = {.text = text, .kind = kind, .rule = rule, .out = out, .err = err};
	bool after_value = false;

	out->count = 0;
	if (text.len == 0 || text.len > RULE_TEMPLATE_MAX)
		return fail(&p, 0, "has %zu bytes; a template has from 1 to %u", text.len,
		            RULE_TEMPLATE_MAX);
	if (memchr(text.ptr, '\0', text.len))
		return fail(&p, 0, "has a NUL byte");
	while (p.at < text.len) {
		if (after_value && !separates(&p, peek(&p)))
			return fail(&p, p.at,
			            "has a value that nothing divides from what follows, so that "
			            "two requests could share a key; put ':' between them");
		after_value = peek(&p) == '{';
		if (after_value ? !value(&p) : !literal(&p))
			return false;
	}
	if (kind == TEMPLATE_KEY)
		rule->key_paths = rule->path.count;
	return true;
}
