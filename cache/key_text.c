/* SPDX-License-Identifier: BSD-2-Clause
 *
 * How values stand in keys. The forms are injective: text in, text out, each from one alone (in the
 * form of URIs: from what RFC 3986 6.2.2 calls equivalent). */
#include "cache/key_run.h"

#define ID_TEXT "{id}"

/* RFC 3986 2.3 unreserved. */
static const bool plain[256] = {
        ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['-'] = true,
        ['.'] = true,         ['_'] = true,         ['~'] = true,
};

static void put_hex(char **at, char mark, unsigned char c)
{
	static const char digits[] = "0123456789ABCDEF";

	(*at)[0] = mark;
	(*at)[1] = digits[c >> 4];
	(*at)[2] = digits[c & 15];
	*at += 3;
}

bool run_put_bytes(char **at, const char *end, struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		if (end - *at < 4)
			return false;
		if (likely(plain[c])) {
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
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		if (end - *at < 4)
			return false;
		if (likely(plain[c] || c == '/')) {
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
		if (plain[c])
			*(*at)++ = (char)c;
		else
			put_hex(at, '%', c);
		i += 2;
	}
	return true;
}
