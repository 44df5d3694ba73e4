/* SPDX-License-Identifier: BSD-2-Clause
 *
 * How values stand in keys. The forms are injective: text in, text out, each from one alone (in the
 * form of URIs: from what RFC 3986 6.2.2 calls equivalent). */
#include "cache/key_run.h"

#define ID_TEXT "{id}"

/* RFC 3986 2.3 unreserved, and '/', which stands for itself in URIs. */
enum { PLAIN = 1, SLASH = 2 };
static const uint8_t kinds[256] = {
        ['0' ... '9'] = PLAIN, ['A' ... 'Z'] = PLAIN, ['a' ... 'z'] = PLAIN, ['-'] = PLAIN,
        ['.'] = PLAIN,         ['_'] = PLAIN,         ['~'] = PLAIN,         ['/'] = SLASH,
};

static void put_hex(char **at, char mark, unsigned char c)
{
	static const char digits[] = "0123456789ABCDEF";

	(*at)[0] = mark;
	(*at)[1] = digits[c >> 4];
	(*at)[2] = digits[c & 15];
	*at += 3;
}

/* Most values are made of such bytes alone: then they are copied. False: nothing was done. */
static bool put_plain(char **at, const char *end, struct span text, uint8_t kind)
{
	char *to = *at;
	bool all = true;

	if (text.len > (size_t)(end - to))
		return false;
	for (size_t i = 0; i < text.len; i++) {
		to[i] = text.ptr[i];
		all &= (kinds[(unsigned char)text.ptr[i]] & kind) != 0;
	}
	if (likely(all))
		*at = to + text.len;
	return all;
}

bool run_put_bytes(char **at, const char *end, struct span text)
{
	if (likely(put_plain(at, end, text, PLAIN)))
		return true;
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		if (end - *at < 4)
			return false;
		if (likely(kinds[c] & PLAIN)) {
			*(*at)++ = (char)c;
		} else if (c == (unsigned char)NORM_ID) {
			memcpy(*at, ID_TEXT, 4);
			*at += 4;
		} else {
			put_hex(at, '%', c);
		}
	}
	return true;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool run_put_uri(char **at, const char *end, struct span text)
{
	if (likely(put_plain(at, end, text, PLAIN | SLASH)))
		return true;
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		if (end - *at < 4)
			return false;
		if (likely(kinds[c])) {
			*(*at)++ = (char)c;
			continue;
		}
		int hi = c == '%' && text.len - i > 2 ? hex_value(text.ptr[i + 1]) : -1;
		int lo = hi >= 0 ? hex_value(text.ptr[i + 2]) : -1;

		if (lo < 0) {
			put_hex(at, '!', c);
			continue;
		}
		c = (unsigned char)(hi * 16 + lo);
		if (kinds[c] & PLAIN)
			*(*at)++ = (char)c;
		else
			put_hex(at, '%', c);
		i += 2;
	}
	return true;
}
