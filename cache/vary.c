/* SPDX-License-Identifier: BSD-2-Clause */
#include "cache/vary.h"

#define NAMES_COUNT_MAX 32u
#define ID_DIGITS       16u

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

struct names {
	uint32_t count;
	struct span name[NAMES_COUNT_MAX];
	char *buf;
	uint32_t used;
};

/* Lower case, in its place in the order; once. False: no name, or no room. */
static bool names_add(struct names *n, struct span s)
{
	char *at = n->buf + n->used;
	uint32_t i = 0;

	/* A ',' behind each but the last. */
	if (n->count == NAMES_COUNT_MAX || s.len + n->count > VARY_NAMES_MAX - n->used)
		return false;
	for (size_t k = 0; k < s.len; k++) {
		at[k] = ascii_lower(s.ptr[k]);
		if (!is_name_char(at[k]))
			return false;
	}
	s.ptr = at;
	for (; i < n->count; i++) {
		int order = memcmp(n->name[i].ptr, s.ptr, min_size(n->name[i].len, s.len));

		if (order == 0 && n->name[i].len == s.len)
			return true;
		if (order > 0 || (order == 0 && n->name[i].len > s.len))
			break;
	}
	memmove(&n->name[i + 1], &n->name[i], (n->count - i) * sizeof(n->name[0]));
	n->name[i] = s;
	n->count++;
	n->used += (uint32_t)s.len;
	return true;
}

static enum vary_kind line_add(struct names *n, struct span line)
{
	for (size_t i = 0; i < line.len;) {
		const char *comma = memchr(line.ptr + i, ',', line.len - i);
		size_t end = comma != NULL ? (size_t)(comma - line.ptr) : line.len;
		struct span name = span_trim(span_of(line.ptr + i, end - i));

		if (name.len > 0 && (span_eq(name, SPAN_LIT("*")) || !names_add(n, name)))
			return VARY_ANY;
		i = end + 1;
	}
	return VARY_LIST;
}

static size_t names_put(const struct names *n, char buf[VARY_NAMES_MAX])
{
	size_t len = 0;

	for (uint32_t i = 0; i < n->count; i++) {
		if (i > 0)
			buf[len++] = ',';
		memcpy(buf + len, n->name[i].ptr, n->name[i].len);
		len += n->name[i].len;
	}
	return len;
}

enum vary_kind vary_of(const struct http_fields *response, char buf[VARY_NAMES_MAX],
                       struct span *names)
{
	char text[VARY_NAMES_MAX];
	struct names n = {.buf = text};

	*names = span_of(buf, 0);
	if (!http_fields_have(response, HDR_VARY))
		return VARY_NONE;
	for (uint32_t i = 0; i < response->count; i++)
		if (response->f[i].id == HDR_VARY && line_add(&n, response->f[i].value) == VARY_ANY)
			return VARY_ANY;
	names->len = names_put(&n, buf);
	return n.count > 0 ? VARY_LIST : VARY_NONE;
}

/* "names=offers" */
static struct span names_only(struct span names)
{
	const char *offers = names.len > 0 ? memchr(names.ptr, '=', names.len) : NULL;

	return offers != NULL ? span_of(names.ptr, (size_t)(offers - names.ptr)) : names;
}

bool vary_offer(struct span names, const struct codings *offers, char buf[VARY_NAMES_MAX],
                struct span *out)
{
	char text[VARY_NAMES_MAX];
	char codings_text[CODINGS_TEXT_MAX];
	struct names n = {.buf = text};
	struct span codings = codings_write(offers, codings_text);
	size_t len;

	if (codings.len == 0 || !names_add(&n, SPAN_LIT("accept-encoding")) ||
	    line_add(&n, names) == VARY_ANY)
		return false;
	len = names_put(&n, buf);
	if (len + 1 + codings.len > VARY_NAMES_MAX)
		return false;
	buf[len++] = '=';
	memcpy(buf + len, codings.ptr, codings.len);
	*out = span_of(buf, len + codings.len);
	return true;
}

void vary_offers(struct span names, struct codings *out)
{
	size_t len = names_only(names).len;

	*out = (struct codings){0};
	if (len < names.len &&
	    !codings_read(span_of(names.ptr + len + 1, names.len - len - 1), out))
		out->count = 0;
}

size_t vary_list_write(void *mem, size_t cap, const struct cache_key *key, uint64_t id,
                       struct span names)
{
	struct object o = {
	        .hash = key->hash,
	        .expires_ms = UINT64_MAX,
	        .key_len = (uint32_t)key->text.len,
	        .fields_len = (uint32_t)(sizeof(id) + names.len),
	        .status = 200,
	        .flags = OBJECT_VARY | OBJECT_NO_BODY,
	};
	char *at = mem;

	if (sizeof(o) + o.key_len + o.fields_len > cap)
		return 0;
	memcpy(at, &o, sizeof(o));
	at += sizeof(o);
	memcpy(at, key->text.ptr, key->text.len);
	at += key->text.len;
	memcpy(at, &id, sizeof(id));
	memcpy(at + sizeof(id), names.ptr, names.len);
	return object_head_bytes(&o);
}

bool vary_list_read(const struct object *o, uint64_t *id, struct span *names)
{
	struct span fields = object_fields(o);
	struct codings offers;
	struct span only;

	if ((o->flags & (OBJECT_VARY | OBJECT_READS)) != OBJECT_VARY || fields.len <= sizeof(*id) ||
	    fields.len > sizeof(*id) + VARY_NAMES_MAX)
		return false;
	memcpy(id, fields.ptr, sizeof(*id));
	*names = span_of(fields.ptr + sizeof(*id), fields.len - sizeof(*id));
	if (*id == 0)
		return false;
	only = names_only(*names);
	vary_offers(*names, &offers);
	if (only.len == 0 || (only.len < names->len && offers.count == 0))
		return false;
	for (size_t i = 0; i < only.len; i++) {
		char c = only.ptr[i];

		if (c == ',' ? i == 0 || i + 1 == only.len || only.ptr[i - 1] == ','
		             : !is_name_char(c))
			return false;
	}
	return true;
}

/* --- the key of a variant --- */

struct text {
	char *at;
	char *end;
	bool full;
};

static void put(struct text *t, struct span s)
{
	if (s.len > (size_t)(t->end - t->at)) {
		t->full = true;
		return;
	}
	if (s.len > 0)
		memcpy(t->at, s.ptr, s.len);
	t->at += s.len;
}

static bool is_ows(char c)
{
	return c == ' ' || c == '\t';
}

/* The index behind the closing quote of the string that begins at i, or the end. */
static size_t quoted_end(struct span s, size_t i)
{
	for (i++; i < s.len; i++) {
		if (s.ptr[i] == '"')
			return i + 1;
		if (s.ptr[i] == '\\')
			i++;
	}
	return s.len;
}

/* Blanks around commas do not count, but within a quoted string all does. */
static void put_list(struct text *t, struct span v)
{
	size_t i = 0;

	while (i < v.len) {
		size_t begin = i;
		bool quoted = v.ptr[i] == '"';

		if (quoted)
			i = quoted_end(v, i);
		while (!quoted && i < v.len && v.ptr[i] != ',' && v.ptr[i] != '"')
			i++;
		struct span part = span_of(v.ptr + begin, i - begin);
		while (!quoted && i < v.len && v.ptr[i] == ',' && part.len > 0 &&
		       is_ows(part.ptr[part.len - 1]))
			part.len--;
		put(t, part);
		if (i >= v.len || v.ptr[i] != ',')
			continue;
		put(t, SPAN_LIT(","));
		i++;
		while (i < v.len && is_ows(v.ptr[i]))
			i++;
	}
}

/* --- Accept-Encoding of answers that their origin codes (RFC 9110 12.5.3) --- */

static const char *const known_codings[] = {"br", "deflate", "gzip", "zstd"};

struct coding_set {
	uint32_t known; /* bit of each that is accepted */
	bool other;     /* something else is said: the text decides */
};

static bool weight_is_zero(struct span params)
{
	struct span q = span_trim(params);
	size_t i = 2;

	if (q.len < 3 || ascii_lower(q.ptr[0]) != 'q' || q.ptr[1] != '=' || q.ptr[2] != '0')
		return false;
	while (++i < q.len)
		if (q.ptr[i] != '.' && q.ptr[i] != '0')
			return false;
	return true;
}

static void set_member(struct coding_set *c, struct span member)
{
	const char *semi = member.len > 0 ? memchr(member.ptr, ';', member.len) : NULL;
	size_t len = semi != NULL ? (size_t)(semi - member.ptr) : member.len;
	struct span name = span_trim(span_of(member.ptr, len));
	bool refused = semi != NULL && weight_is_zero(span_of(semi + 1, member.len - len - 1));

	if (name.len == 0)
		return;
	if (span_eq_nocase(name, SPAN_LIT("x-gzip"))) /* the same (8.4.1.3) */
		name = SPAN_LIT("gzip");
	for (uint32_t i = 0; i < ARRAY_LEN(known_codings); i++) {
		if (!span_eq_nocase(name, span_cstr(known_codings[i])))
			continue;
		if (!refused)
			c->known |= 1u << i;
		return;
	}
	/* What is accepted without a word. */
	if (span_eq_nocase(name, SPAN_LIT("identity")) && !refused)
		return;
	c->other = true;
}

static void set_read(struct coding_set *c, struct span line)
{
	for (size_t i = 0; i < line.len;) {
		const char *comma = memchr(line.ptr + i, ',', line.len - i);
		size_t end = comma != NULL ? (size_t)(comma - line.ptr) : line.len;

		set_member(c, span_of(line.ptr + i, end - i));
		i = end + 1;
	}
}

static bool is_field(const struct http_field *f, enum http_hdr id, struct span name)
{
	return id != HDR_OTHER ? f->id == id : f->id == HDR_OTHER && span_eq_nocase(f->name, name);
}

/* All lines say codings that are known: their set, in fixed order. */
static bool put_codings(struct text *t, const struct http_fields *fs)
{
	struct coding_set c = {0};

	for (uint32_t i = 0; i < fs->count; i++)
		if (fs->f[i].id == HDR_ACCEPT_ENCODING)
			set_read(&c, fs->f[i].value);
	if (c.other)
		return false;
	put(t, SPAN_LIT("="));
	for (uint32_t i = 0; i < ARRAY_LEN(known_codings); i++) {
		if (!(c.known & 1u << i))
			continue;
		put(t, span_cstr(known_codings[i]));
		put(t, SPAN_LIT(","));
	}
	return true;
}

/* Language tags have no case (RFC 9110 8.5.1). */
static void text_lower(char *at, const char *end)
{
	for (; at < end; at++)
		*at = ascii_lower(*at);
}

/* No such field is another thing than an empty one. */
static void put_field(struct text *t, struct span name, const struct http_fields *fs)
{
	enum http_hdr id = http_hdr_lookup(name);
	char *begin = t->at;
	bool found = false;

	if (id == HDR_ACCEPT_ENCODING && http_fields_have(fs, id) && put_codings(t, fs))
		return;
	for (uint32_t i = 0; i < fs->count; i++) {
		if (!is_field(&fs->f[i], id, name))
			continue;
		put(t, found ? SPAN_LIT(",") : SPAN_LIT("+"));
		put_list(t, fs->f[i].value);
		found = true;
	}
	if (!found)
		put(t, SPAN_LIT("-"));
	if (span_eq(name, SPAN_LIT("accept-language")))
		text_lower(begin, t->at);
}

static void put_id(struct text *t, uint64_t id)
{
	char hex[ID_DIGITS];

	for (uint32_t i = 0; i < ID_DIGITS; i++)
		hex[i] = "0123456789abcdef"[id >> (60 - 4 * i) & 15];
	put(t, span_of(hex, sizeof(hex)));
}

static bool text_key(const struct text *t, const char *buf, uint64_t seed, struct cache_key *out)
{
	if (t->full)
		return false;
	out->text = span_of(buf, (size_t)(t->at - buf));
	out->hash = hash128(out->text.ptr, out->text.len, seed);
	return true;
}

static void put_names(struct text *t, struct span names, bool offers,
                      const struct http_fields *request)
{
	static const char sep = VARY_SEP;

	for (size_t i = 0; i < names.len;) {
		const char *comma = memchr(names.ptr + i, ',', names.len - i);
		size_t end = comma != NULL ? (size_t)(comma - names.ptr) : names.len;
		struct span name = span_of(names.ptr + i, end - i);

		i = end + 1;
		if (offers && span_eq(name, SPAN_LIT("accept-encoding")))
			continue;
		put(t, span_of(&sep, 1));
		put_field(t, name, request);
	}
}

bool vary_key(char buf[CACHE_KEY_MAX], const struct cache_key *primary, const struct object *list,
              const struct http_fields *request, uint64_t seed, struct cache_key *out)
{
	struct text t = {.at = buf, .end = buf + CACHE_KEY_MAX};
	static const char sep = VARY_SEP;
	struct codings offers;
	struct span names;
	uint64_t id;

	if (!vary_list_read(list, &id, &names))
		return false;
	vary_offers(names, &offers);
	put(&t, primary->text);
	put(&t, span_of(&sep, 1));
	put_id(&t, id);
	if (offers.count > 0) {
		put(&t, SPAN_LIT("="));
		put(&t, coding_name(coding_choose(&offers, request)));
	}
	put_names(&t, names_only(names), offers.count > 0, request);
	return text_key(&t, buf, seed, out);
}

bool vary_key_coded(struct span text, enum coding c, uint64_t seed, char buf[CACHE_KEY_MAX],
                    struct cache_key *out)
{
	struct text t = {.at = buf, .end = buf + CACHE_KEY_MAX};
	size_t begin = vary_primary(text).len + 1 + ID_DIGITS;
	const char *rest;

	if (text.len <= begin || text.ptr[begin] != '=')
		return false;
	rest = memchr(text.ptr + begin, VARY_SEP, text.len - begin);
	put(&t, span_of(text.ptr, begin + 1));
	put(&t, coding_name(c));
	if (rest != NULL)
		put(&t, span_of(rest, (size_t)(text.ptr + text.len - rest)));
	return text_key(&t, buf, seed, out);
}

struct span vary_primary(struct span key_text)
{
	const char *sep = key_text.len > 0 ? memchr(key_text.ptr, VARY_SEP, key_text.len) : NULL;

	return sep != NULL ? span_of(key_text.ptr, (size_t)(sep - key_text.ptr)) : key_text;
}
