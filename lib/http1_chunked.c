/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The chunked coding (RFC 9112 7.1), a byte machine except for the data itself. */
#include "lib/http1.h"
#include "lib/http1_scan.h"

enum chunk_state {
	CH_SIZE,      /* hex digits; also the state of a zeroed reader */
	CH_EXT_BLANK, /* white space behind the size: only ';' may follow */
	CH_EXT_NAME,  /* behind ';': white space, then a name's first letter */
	CH_EXT,       /* the rest of the extensions */
	CH_SIZE_LF,   /* behind the CR of the size line */
	CH_DATA,      /* `left` bytes to come */
	CH_DATA_CR,   /* the CRLF behind them */
	CH_DATA_LF,
	CH_LINE, /* a trailer line begins, or the last CRLF */
	CH_TRAILER_NAME,
	CH_TRAILER_VALUE,
	CH_TRAILER_LF,
	CH_LAST_LF,
	CH_END,
	CH_BAD
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum chunk_state size_step(struct http_chunked *c, char byte)
{
	int digit = hex_digit(byte);

	if (digit >= 0) {
		/* 16 digits at most, and no size that a signed length cannot hold. */
		if (c->digits == 16 || c->left > (uint64_t)INT64_MAX >> 4)
			return CH_BAD;
		c->left = c->left << 4 | (uint64_t)digit;
		c->digits++;
		return CH_SIZE;
	}
	if (c->digits == 0)
		return CH_BAD;
	if (byte == '\r')
		return CH_SIZE_LF;
	if (byte == ';')
		return CH_EXT_NAME;
	return is_blank(byte) ? CH_EXT_BLANK : CH_BAD;
}

static enum chunk_state ext_step(enum chunk_state state, char byte)
{
	switch (state) {
	case CH_EXT_BLANK:
		if (byte == ';')
			return CH_EXT_NAME;
		return is_blank(byte) ? CH_EXT_BLANK : CH_BAD;
	case CH_EXT_NAME:
		if (is_blank(byte))
			return CH_EXT_NAME;
		return http1_is_token(byte) ? CH_EXT : CH_BAD;
	default:
		/* What an extension means is ignored, so its inner grammar is; but no control
		 * byte, LF above all, may stand where another reader could end the line. */
		if (byte == '\r')
			return CH_SIZE_LF;
		return http1_is_value(byte) ? CH_EXT : CH_BAD;
	}
}

static enum chunk_state trailer_step(enum chunk_state state, char byte)
{
	switch (state) {
	case CH_LINE:
		if (byte == '\r')
			return CH_LAST_LF;
		return http1_is_token(byte) ? CH_TRAILER_NAME : CH_BAD;
	case CH_TRAILER_NAME:
		if (byte == ':')
			return CH_TRAILER_VALUE;
		return http1_is_token(byte) ? CH_TRAILER_NAME : CH_BAD;
	case CH_TRAILER_VALUE:
		if (byte == '\r')
			return CH_TRAILER_LF;
		return http1_is_value(byte) ? CH_TRAILER_VALUE : CH_BAD;
	default:
		return byte == '\n' ? CH_LINE : CH_BAD;
	}
}

/* One byte of what is not data. */
static enum chunk_state step(struct http_chunked *c, char byte)
{
	enum chunk_state state = (enum chunk_state)c->state;

	switch (state) {
	case CH_SIZE:
		return size_step(c, byte);
	case CH_SIZE_LF:
		if (byte != '\n')
			return CH_BAD;
		return c->left > 0 ? CH_DATA : CH_LINE;
	case CH_DATA_CR:
		return byte == '\r' ? CH_DATA_LF : CH_BAD;
	case CH_DATA_LF:
		c->digits = 0;
		return byte == '\n' ? CH_SIZE : CH_BAD;
	case CH_LAST_LF:
		return byte == '\n' ? CH_END : CH_BAD;
	case CH_EXT_BLANK:
	case CH_EXT_NAME:
	case CH_EXT:
		return ++c->ext_bytes > HTTP_CHUNK_EXT_MAX ? CH_BAD : ext_step(state, byte);
	case CH_LINE:
	case CH_TRAILER_NAME:
	case CH_TRAILER_VALUE:
	case CH_TRAILER_LF:
		return ++c->ext_bytes > HTTP_CHUNK_EXT_MAX ? CH_BAD : trailer_step(state, byte);
	default:
		return CH_BAD;
	}
}

enum http_chunk http_chunked_read(struct http_chunked *c, const char *buf, size_t len, size_t *used,
                                  struct span *data)
{
	size_t at = 0;

	*data = (struct span){0};
	while (at < len && c->state != CH_DATA && c->state < CH_END)
		c->state = (uint8_t)step(c, buf[at++]);
	if (c->state == CH_DATA && at < len) {
		size_t n = (size_t)min_u64(c->left, len - at);

		*data = span_of(buf + at, n);
		c->left -= n;
		if (c->left == 0)
			c->state = CH_DATA_CR;
		*used = at + n;
		return HTTP_CHUNK_DATA;
	}
	*used = at;
	if (c->state == CH_END)
		return HTTP_CHUNK_END;
	return c->state == CH_BAD ? HTTP_CHUNK_BAD : HTTP_CHUNK_MORE;
}
