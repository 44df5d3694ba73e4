/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/http/http_emit.h"

const char http_digit_pairs[200] = "00010203040506070809101112131415161718192021222324"
                                   "25262728293031323334353637383940414243444546474849"
                                   "50515253545556575859606162636465666768697071727374"
                                   "75767778798081828384858687888990919293949596979899";

size_t http_u64_write(char *dst, uint64_t n)
{
	char tmp[HTTP_U64_DIGITS_MAX];
	size_t at = sizeof(tmp);

	while (n >= 100) {
		at -= 2;
		memcpy(tmp + at, http_digit_pairs + 2 * (n % 100), 2);
		n /= 100;
	}
	if (n >= 10) {
		at -= 2;
		memcpy(tmp + at, http_digit_pairs + 2 * n, 2);
	} else {
		tmp[--at] = (char)('0' + n);
	}
	memcpy(dst, tmp + at, sizeof(tmp) - at);
	return sizeof(tmp) - at;
}

/* Room for n more bytes, or NULL; once something did not fit nothing more is written, so that no
 * head with a hole in it can look complete. */
static char *out_room(struct http_out *o, size_t n)
{
	char *at;

	if (unlikely(o->full || n > o->cap - o->len)) {
		o->full = true;
		return NULL;
	}
	at = o->buf + o->len;
	o->len += n;
	return at;
}

void http_out_status(struct http_out *o, unsigned status)
{
	const struct span ok = SPAN_LIT("HTTP/1.1 200 OK\r\n");
	struct span reason;
	char *at;

	if (likely(status == 200)) {
		http_out_lines(o, ok);
		return;
	}
	assert(status >= 100 && status <= 999);
	reason = span_cstr(http_reason(status));
	at = out_room(o, sizeof("HTTP/1.1 200 \r\n") - 1 + reason.len);
	if (at == NULL)
		return;
	at = http_put(at, SPAN_LIT("HTTP/1.1 "));
	at += http_u64_write(at, status);
	*at++ = ' ';
	at = http_put(at, reason);
	http_put(at, SPAN_LIT("\r\n"));
}

void http_out_field(struct http_out *o, struct span name, struct span value)
{
	char *at = out_room(o, name.len + value.len + 4);

	if (at == NULL)
		return;
	at = http_put(at, name);
	at = http_put(at, SPAN_LIT(": "));
	at = http_put(at, value);
	http_put(at, SPAN_LIT("\r\n"));
}

void http_out_u64_field(struct http_out *o, struct span name, uint64_t n)
{
	char digits[HTTP_U64_DIGITS_MAX];
	size_t len = http_u64_write(digits, n);

	http_out_field(o, name, span_of(digits, len));
}

void http_out_lines(struct http_out *o, struct span raw)
{
	char *at = out_room(o, raw.len);

	if (at != NULL)
		http_put(at, raw);
}

size_t http_out_end(struct http_out *o)
{
	http_out_lines(o, SPAN_LIT("\r\n"));
	return o->full ? 0 : o->len;
}

/* "GET, HEAD": RFC 9110 10.2.1 wants Allow in every 405. */
static void out_allow(struct http_out *o, uint32_t allow)
{
	bool first = true;

	http_out_lines(o, SPAN_LIT("Allow: "));
	for (unsigned m = HTTP_GET; m < HTTP_METHOD_COUNT; m++) {
		if ((allow & HTTP_METHOD_BIT(m)) == 0)
			continue;
		if (!first)
			http_out_lines(o, SPAN_LIT(", "));
		http_out_lines(o, span_cstr(http_method_name((enum http_method)m)));
		first = false;
	}
	http_out_lines(o, SPAN_LIT("\r\n"));
}

static void out_error_fields(struct http_out *o, const struct http_error *e, size_t body_len)
{
	http_out_status(o, e->status);
	if (e->date != NULL)
		http_out_field(o, SPAN_LIT("Date"), span_of(e->date, HTTP_DATE_BYTES));
	http_out_lines(o, SPAN_LIT("Content-Type: application/problem+json\r\n"));
	http_out_u64_field(o, SPAN_LIT("Content-Length"), body_len);
	if (e->status == 405)
		out_allow(o, e->allow);
	if (e->retry_after_s > 0)
		http_out_u64_field(o, SPAN_LIT("Retry-After"), e->retry_after_s);
	if (!e->keep_alive)
		http_out_lines(o, SPAN_LIT("Connection: close\r\n"));
	else if (e->http10)
		http_out_lines(o, SPAN_LIT("Connection: keep-alive\r\n"));
	http_out_lines(o, e->lines);
	http_out_end(o);
}

size_t http_emit_error(char *buf, size_t cap, const struct http_error *e)
{
	const struct span before = SPAN_LIT("{\"type\":\"about:blank\",\"title\":\"");
	const struct span between = SPAN_LIT("\",\"status\":");
	const struct span after = SPAN_LIT("}\n");
	struct span title = span_cstr(http_reason(e->status));
	char digits[HTTP_U64_DIGITS_MAX];
	struct span status = span_of(digits, http_u64_write(digits, e->status));
	struct http_out o;

	assert(e->status >= 400 && e->status <= 599);
	http_out_init(&o, buf, cap);
	out_error_fields(&o, e, before.len + title.len + between.len + status.len + after.len);
	if (!e->head_only) {
		http_out_lines(&o, before);
		http_out_lines(&o, title);
		http_out_lines(&o, between);
		http_out_lines(&o, status);
		http_out_lines(&o, after);
	}
	return o.full ? 0 : o.len;
}
