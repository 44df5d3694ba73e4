/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The field-section scanner: byte classes, the scalar path, and the walk over a window's lines that
 * all paths share, so that they can differ in speed only. */
#include "lib/http1_scan.h"

#define T HTTP1_TOKEN
#define V HTTP1_VALUE
#define U HTTP1_TARGET
#define H HTTP1_HOST

const uint8_t http1_class[256] = {
        ['\t'] = V,
        [' '] = V,
        ['!'] = T | V | U | H,
        ['"'] = V | U,
        ['#'] = T | V,
        ['$'] = T | V | U | H,
        ['%'] = T | V | U,
        ['&'] = T | V | U | H,
        ['\''] = T | V | U | H,
        ['('] = V | U | H,
        [')'] = V | U | H,
        ['*'] = T | V | U | H,
        ['+'] = T | V | U | H,
        [','] = V | U | H,
        ['-'] = T | V | U | H,
        ['.'] = T | V | U | H,
        ['/'] = V | U,
        ['0' ... '9'] = T | V | U | H,
        [':'] = V | U,
        [';'] = V | U | H,
        ['<'] = V | U,
        ['='] = V | U | H,
        ['>'] = V | U,
        ['?'] = V | U,
        ['@'] = V | U,
        ['A' ... 'Z'] = T | V | U | H,
        ['['] = V | U,
        ['\\'] = V | U,
        [']'] = V | U,
        ['^'] = T | V | U,
        ['_'] = T | V | U | H,
        ['`'] = T | V | U,
        ['a' ... 'z'] = T | V | U | H,
        ['{'] = V | U,
        ['|'] = T | V | U,
        ['}'] = V | U,
        ['~'] = T | V | U | H,
        [0x80 ... 0xff] = V,
};

#undef T
#undef V
#undef U
#undef H

static void window_scalar(const char *p, size_t n, struct http1_window *w)
{
	size_t bad = n;
	uint32_t ends = 0;

	for (size_t i = 0; i < n && bad == n; i++) {
		bool after_cr = i > 0 && p[i - 1] == '\r';

		if (after_cr != (p[i] == '\n'))
			bad = i;
		else if (after_cr)
			w->ends[ends++] = (uint16_t)i;
		else if (p[i] != '\r' && !http1_is_value(p[i]))
			bad = i;
	}
	for (size_t block = 0; block * 64 < n; block++) {
		uint64_t bits = ~0ull;
		size_t count = min_size(n - block * 64, 64);

		for (size_t i = 0; i < count; i++)
			bits ^= (uint64_t)http1_is_token(p[block * 64 + i]) << i;
		w->not_token[block] = bits;
	}
	w->not_token[(n + 63) / 64] = ~0ull;
	w->end_count = ends;
	w->bad = (uint32_t)bad;
}

static void target_scalar(const char *p, size_t n, struct http1_target *t)
{
	size_t query = SIZE_MAX;
	bool closer = false;
	size_t i;

	for (i = 0; i < n && http1_is_target(p[i]); i++) {
		if (p[i] == '?' && query == SIZE_MAX)
			query = i;
		else if (p[i] == '%' || p[i] == '\\' || (p[i] == '.' && i > 0 && p[i - 1] == '/'))
			closer = true;
	}
	t->end = i;
	t->query = min_size(query, i);
	t->closer = closer;
}

const struct http1_scan_path http1_scan_scalar = {
        .name = "scalar",
        .window = window_scalar,
        .target = target_scalar,
};

/* Set by http1_init before any other thread runs, read only afterwards. */
static const struct http1_scan_path *active = &http1_scan_scalar;

const struct http1_scan_path *http1_scan_active(void)
{
	return active;
}

static bool path_runs(const struct http1_scan_path *path)
{
	bool popcnt = __builtin_cpu_supports("popcnt");

	if (path == &http1_scan_avx2)
		return popcnt && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi");
	if (path == &http1_scan_sse42)
		return popcnt && __builtin_cpu_supports("sse4.2");
	return true;
}

/* The fastest that this CPU runs, or the one asked for. */
static const struct http1_scan_path *path_choose(const char *force)
{
	const struct http1_scan_path *const paths[] = {&http1_scan_avx2, &http1_scan_sse42,
	                                               &http1_scan_scalar};

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		bool wanted = force == NULL || strcmp(force, paths[i]->name) == 0;

		if (wanted && path_runs(paths[i]))
			return paths[i];
	}
	return NULL;
}

const char *http1_init(const char *force)
{
	const struct http1_scan_path *path = path_choose(force);

	http1_names_init();
	if (path == NULL)
		return NULL;
	active = path;
	return path->name;
}

size_t http1_head_end(const char *buf, size_t len, size_t from)
{
	/* The end may have begun in the last three bytes that were looked at. */
	size_t at = from > 3 ? from - 3 : 0;

	while (at < len) {
		const char *lf = memchr(buf + at, '\n', len - at);

		if (lf == NULL)
			return 0;
		at = (size_t)(lf - buf) + 1;
		if (at >= 4 && memcmp(lf - 3, "\r\n\r", 3) == 0)
			return at;
	}
	return 0;
}

/* Position of the first bit that is set at or behind from; one is: the last word is full. */
static inline size_t next_not_token(const struct http1_window *w, size_t from)
{
	size_t word = from / 64;
	unsigned shift = from % 64;
	/* Two words as one, without a branch: most names end within 64 bytes. */
	uint64_t bits = w->not_token[word] >> shift | w->not_token[word + 1] << 1 << (63 - shift);

	if (likely(bits != 0))
		return from + (size_t)__builtin_ctzll(bits);
	while (w->not_token[++word] == 0)
		;
	return word * 64 + (size_t)__builtin_ctzll(w->not_token[word]);
}

/* The one field that every request has. */
static inline bool is_host(struct span name)
{
	const uint32_t host = 0x74736f68; /* "host" */
	uint32_t v;

	if (name.len != 4)
		return false;
	memcpy(&v, name.ptr, 4);
	return (v | 0x20202020) == host;
}

/* Stores the field whose name is line[0, name_len) and whose CR is at line[cr]. */
static inline void field_store(struct http_fields *out, const char *line, size_t name_len,
                               size_t cr)
{
	struct http_field *f = &out->f[out->count++];
	const char *value = line + name_len + 1;
	const char *end = line + cr;

	/* OWS around the value is not part of it (RFC 9112 5.1). */
	while (value < end && (*value == ' ' || *value == '\t'))
		value++;
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	f->name = span_of(line, name_len);
	f->value = span_of(value, (size_t)(end - value));
	f->id = is_host(f->name) ? HDR_HOST : http_hdr_lookup(f->name);
	out->seen |= http_hdr_bit(f->id);
}

/* The walk over one window. */
struct walk {
	const char *p; /* the window's first byte, a line's first byte too */
	size_t n;      /* its length */
	size_t line;   /* where the first line that is not walked yet begins */
};

/* Takes the complete lines. PARTIAL: the window is used up, and nothing was wrong with them. */
static enum http_scan walk_lines(struct walk *k, const struct http1_window *w,
                                 struct http_fields *out)
{
	for (uint32_t i = 0; i < w->end_count; i++) {
		const char *line = k->p + k->line;
		size_t cr = (size_t)w->ends[i] - 1 - k->line;
		size_t name_len = next_not_token(w, k->line) - k->line;

		if (cr == 0) {
			k->line += 2;
			return HTTP_SCAN_DONE;
		}
		/* An empty name, obs-fold (a blank comes first) and a blank before the colon: RFC
		 * 9112 5.1 and 5.2 ask for 400. */
		if (unlikely(name_len == 0 || line[name_len] != ':'))
			return HTTP_SCAN_BAD;
		if (unlikely(out->count == HTTP_MAX_FIELDS))
			return HTTP_SCAN_TOO_MANY;
		field_store(out, line, name_len, cr);
		k->line += cr + 2;
	}
	return w->bad < k->n ? HTTP_SCAN_BAD : HTTP_SCAN_PARTIAL;
}

/* Can the line that began and is not complete still become a field line or the empty line? Without
 * this a head that ends its lines wrongly would wait for bytes that never come. */
static enum http_scan walk_rest(const struct walk *k, const struct http1_window *w)
{
	size_t stop;

	if (k->line == k->n)
		return HTTP_SCAN_PARTIAL;
	stop = next_not_token(w, k->line);
	if (stop >= k->n)
		return HTTP_SCAN_PARTIAL;
	if (stop == k->line)
		return k->p[stop] == '\r' ? HTTP_SCAN_PARTIAL : HTTP_SCAN_BAD;
	return k->p[stop] == ':' ? HTTP_SCAN_PARTIAL : HTTP_SCAN_BAD;
}

/* Finds the CR LF that ends a field value which begins at *at; *at is then of the CR. */
static enum http_scan value_end(const char *line, size_t len, size_t *at, struct http1_window *w)
{
	while (*at < len) {
		size_t n = min_size(len - *at, HTTP1_WINDOW_BYTES);

		active->window(line + *at, n, w);
		if (w->end_count > 0) {
			*at += (size_t)w->ends[0] - 1;
			return HTTP_SCAN_DONE;
		}
		if (w->bad < n)
			return HTTP_SCAN_BAD;
		*at += n;
		/* A CR at the border belongs to the LF that may follow. */
		if (*at < len && line[*at - 1] == '\r')
			(*at)--;
	}
	return HTTP_SCAN_PARTIAL;
}

/* A line that is longer than a window. */
static NOINLINE enum http_scan long_line(struct walk *k, struct http1_window *w,
                                         struct http_fields *out)
{
	size_t name_len = 0;
	size_t cr;
	enum http_scan r;

	while (name_len < k->n && http1_is_token(k->p[name_len]))
		name_len++;
	if (name_len == k->n)
		return HTTP_SCAN_PARTIAL;
	if (name_len == 0 || k->p[name_len] != ':')
		return HTTP_SCAN_BAD;
	cr = name_len + 1;
	r = value_end(k->p, k->n, &cr, w);
	if (r != HTTP_SCAN_DONE)
		return r;
	if (out->count == HTTP_MAX_FIELDS)
		return HTTP_SCAN_TOO_MANY;
	field_store(out, k->p, name_len, cr);
	k->line = cr + 2;
	return HTTP_SCAN_DONE;
}

enum http_scan http1_scan_fields(const char *buf, size_t len, size_t *pos, struct http_fields *out)
{
	struct http1_window w;
	/* One block first: bytes behind a short head are not looked at in vain. */
	size_t window_bytes = 64;
	enum http_scan r;

	out->count = 0;
	out->seen = 0;
	while (*pos < len) {
		struct walk k = {.p = buf + *pos, .n = min_size(len - *pos, window_bytes)};
		bool last = k.n == len - *pos;

		active->window(k.p, k.n, &w);
		r = walk_lines(&k, &w, out);
		if (r == HTTP_SCAN_PARTIAL && last) {
			*pos += k.line;
			return walk_rest(&k, &w);
		}
		if (r == HTTP_SCAN_PARTIAL && k.n == HTTP1_WINDOW_BYTES && k.line == 0) {
			k.n = len - *pos;
			r = long_line(&k, &w, out);
			if (r != HTTP_SCAN_DONE)
				return r;
			r = HTTP_SCAN_PARTIAL; /* a line is done, the section is not */
		}
		*pos += k.line;
		if (r != HTTP_SCAN_PARTIAL)
			return r;
		window_bytes = HTTP1_WINDOW_BYTES;
	}
	return HTTP_SCAN_PARTIAL;
}
