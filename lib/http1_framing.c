/* SPDX-License-Identifier: BSD-2-Clause
 *
 * How long a message's body is (RFC 9112 6). Two recipients that disagree here are what request
 * smuggling is made of, so whatever could be read in two ways is refused. */
#include "lib/http1.h"
#include "lib/http1_scan.h"

enum coding {
	CODING_NONE,    /* no Transfer-Encoding */
	CODING_CHUNKED, /* chunked alone */
	CODING_OTHER,   /* others, and then chunked */
	CODING_OPEN,    /* well-formed, but chunked is not last */
	CODING_BAD
};

/* token [ parameters ]; chunked itself takes none (RFC 9112 7.1). */
static enum coding coding_read(struct span element)
{
	size_t n = 0;

	while (n < element.len && http1_is_token(element.ptr[n]))
		n++;
	if (n == 0)
		return CODING_BAD;
	if (!span_eq_nocase(span_of(element.ptr, n), SPAN_LIT("chunked")))
		return CODING_OTHER;
	return n == element.len ? CODING_CHUNKED : CODING_BAD;
}

/* All Transfer-Encoding fields together make one list (RFC 9110 5.3). */
static enum coding codings_read(const struct http_fields *fs)
{
	bool chunked = false;
	bool other = false;
	uint32_t present = 0;

	for (uint32_t i = 0; i < fs->count; i++) {
		struct span list = fs->f[i].value;
		struct span element;

		if (fs->f[i].id != HDR_TRANSFER_ENCODING)
			continue;
		present++;
		/* Empty elements are refused: lenience gains nothing here. */
		if (list.len == 0 || list.ptr[list.len - 1] == ',')
			return CODING_BAD;
		while (http1_list_next(&list, &element)) {
			enum coding c = coding_read(element);

			/* Chunked twice, or something behind it: RFC 9112 6.1. */
			if (c == CODING_BAD || chunked)
				return CODING_BAD;
			chunked = c == CODING_CHUNKED;
			other = other || c == CODING_OTHER;
		}
	}
	if (present == 0)
		return CODING_NONE;
	if (!chunked)
		return CODING_OPEN;
	return other ? CODING_OTHER : CODING_CHUNKED;
}

static struct http_framing framing(enum http_framing_kind kind)
{
	return (struct http_framing){.kind = kind};
}

/* With no Transfer-Encoding: by Content-Length, or `otherwise` when there is none. */
static struct http_framing length_framing(const struct http_fields *fs,
                                          enum http_framing_kind otherwise)
{
	struct http_framing f = {.kind = HTTP_BODY_LENGTH};
	uint32_t count;
	struct span value = http_field_get(fs, HDR_CONTENT_LENGTH, &count);

	if (count == 0)
		return framing(otherwise);
	/* RFC 9110 8.6 lets a recipient refuse equal repetitions too; we do. */
	if (count > 1 || !http_parse_length(value, &f.length))
		return framing(HTTP_BODY_BAD);
	return f;
}

/* With Transfer-Encoding: what is wrong whichever side sent it. */
static bool coding_forbidden(const struct http_fields *fs, unsigned minor)
{
	uint32_t lengths;

	http_field_get(fs, HDR_CONTENT_LENGTH, &lengths);
	/* RFC 9112 6.1: HTTP/1.0 has no transfer codings; 6.3: a length beside one is an attack. */
	return minor == 0 || lengths > 0;
}

struct http_framing http1_request_framing(const struct http_fields *fs, unsigned minor)
{
	enum coding c = codings_read(fs);

	if (c == CODING_NONE)
		return length_framing(fs, HTTP_BODY_NONE);
	/* RFC 9112 6.3: a request whose last coding is not chunked MUST get a 400, known or not. */
	if (c == CODING_BAD || c == CODING_OPEN || coding_forbidden(fs, minor))
		return framing(HTTP_BODY_BAD);
	return framing(c == CODING_OTHER ? HTTP_BODY_UNKNOWN_CODING : HTTP_BODY_CHUNKED);
}

struct http_framing http1_response_framing(const struct http_fields *fs, unsigned minor,
                                           enum http_method request_method, unsigned status)
{
	enum coding c;

	/* RFC 9112 6.3, in its order. A 2xx to CONNECT would be a tunnel; it has no body either. */
	if (request_method == HTTP_HEAD || status < 200 || status == 204 || status == 304)
		return framing(HTTP_BODY_NONE);
	if (request_method == HTTP_CONNECT && status < 300)
		return framing(HTTP_BODY_NONE);
	c = codings_read(fs);
	if (c == CODING_NONE)
		return length_framing(fs, HTTP_BODY_CLOSE);
	if (c == CODING_BAD || coding_forbidden(fs, minor))
		return framing(HTTP_BODY_BAD);
	return framing(c == CODING_CHUNKED ? HTTP_BODY_CHUNKED : HTTP_BODY_UNKNOWN_CODING);
}
