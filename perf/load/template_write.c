/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Writing of compiled templates: once for each request, so without a library's formatting. */
#include "perf/load/template.h"

#include <time.h>

static const char digit_pairs[] = "00010203040506070809"
                                  "10111213141516171819"
                                  "20212223242526272829"
                                  "30313233343536373839"
                                  "40414243444546474849"
                                  "50515253545556575859"
                                  "60616263646566676869"
                                  "70717273747576777879"
                                  "80818283848586878889"
                                  "90919293949596979899";
static const char hex_digits[] = "0123456789abcdef";

static char *put_number(char *to, uint64_t n)
{
	char buf[20];
	char *at = buf + sizeof(buf);

	for (; n >= 100; n /= 100)
		memcpy(at -= 2, &digit_pairs[2 * (n % 100)], 2);
	if (n >= 10)
		memcpy(at -= 2, &digit_pairs[2 * n], 2);
	else
		*--at = (char)('0' + n);
	size_t len = (size_t)(buf + sizeof(buf) - at);
	memcpy(to, at, len);
	return to + len;
}

static char *put_padded(char *to, uint64_t n, uint32_t width)
{
	char buf[20];
	size_t len = (size_t)(put_number(buf, n) - buf);

	for (; width > len; width--)
		*to++ = '0';
	memcpy(to, buf, len);
	return to + len;
}

static char *put_hex(char *to, uint64_t n, uint32_t digits)
{
	for (uint32_t i = digits; i-- > 0;)
		*to++ = hex_digits[(n >> (4 * i)) & 15];
	return to;
}

static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

/* RFC 9562 5.4: version 4, variant 10. */
static char *put_uuid(char *to, uint64_t hi, uint64_t lo)
{
	hi = (hi & ~0xf000ull) | 0x4000;
	lo = (lo & ~(3ull << 62)) | 1ull << 63;
	to = put_hex(to, hi >> 32, 8);
	*to++ = '-';
	to = put_hex(to, hi >> 16, 4);
	*to++ = '-';
	to = put_hex(to, hi, 4);
	*to++ = '-';
	to = put_hex(to, lo >> 48, 4);
	*to++ = '-';
	return put_hex(to, lo, 12);
}

static char *put_time(char *to, const struct piece *p)
{
	struct timespec now;
	struct tm tm;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	uint64_t ms = (uint64_t)now.tv_nsec / NS_PER_MS;
	if (p->format == FORMAT_MS)
		return put_number(to, (uint64_t)now.tv_sec * 1000 + ms);
	(void)gmtime_r(&now.tv_sec, &tm);
	to = put_padded(to, (uint64_t)tm.tm_year + 1900, 4);
	*to++ = '-';
	to = put_padded(to, (uint64_t)tm.tm_mon + 1, 2);
	*to++ = '-';
	to = put_padded(to, (uint64_t)tm.tm_mday, 2);
	*to++ = 'T';
	to = put_padded(to, (uint64_t)tm.tm_hour, 2);
	*to++ = ':';
	to = put_padded(to, (uint64_t)tm.tm_min, 2);
	*to++ = ':';
	to = put_padded(to, (uint64_t)tm.tm_sec, 2);
	*to++ = '.';
	to = put_padded(to, ms, 3);
	*to++ = 'Z';
	return to;
}

static char *put_formatted(char *to, const struct piece *p, uint64_t n)
{
	uint64_t h = mix(n + 0x9e3779b97f4a7c15ull);

	switch (p->format) {
	case FORMAT_HASH:
		return put_hex(to, h, 16);
	case FORMAT_UUID:
		return put_uuid(to, h, mix(h + n));
	case FORMAT_PAD:
		return put_padded(to, n, p->width);
	default:
		return put_number(to, n);
	}
}

static char *put_span(char *to, struct span s)
{
	memcpy(to, s.ptr, s.len);
	return to + s.len;
}

static char *put_piece(char *to, const struct piece *p, const struct template_values *v)
{
	switch (p->source) {
	case PIECE_TEXT:
		return put_span(to, p->text);
	case PIECE_KEY:
		return put_formatted(to, p, v->key);
	case PIECE_SEQ:
		return put_formatted(to, p, v->seq);
	case PIECE_USER:
		return put_formatted(to, p, v->user);
	case PIECE_WORKER:
		return put_formatted(to, p, v->worker);
	case PIECE_RANDOM:
		return put_formatted(to, p, p->from + load_rng_below(v->rng, p->to - p->from + 1));
	case PIECE_TIME:
		if (p->format == FORMAT_MS || p->format == FORMAT_ISO)
			return put_time(to, p);
		return put_formatted(to, p, (uint64_t)time(NULL));
	case PIECE_UUID: {
		uint64_t hi = load_rng_next(v->rng);

		return put_uuid(to, hi, load_rng_next(v->rng));
	}
	case PIECE_CHOICE:
		return put_span(to, p->choices[load_rng_below(v->rng, p->choice_count)]);
	case PIECE_TARGET:
		return put_span(to, v->target);
	case PIECE_SIGNATURE:
		return put_span(to, v->signature);
	case PIECE_BODY_LENGTH:
		return put_number(to, v->body_length);
	}
	return to;
}

char *template_write(const struct template *t, const struct template_values *v, char *to)
{
	for (uint32_t i = 0; i < t->count; i++)
		to = put_piece(to, &t->pieces[i], v);
	return to;
}
