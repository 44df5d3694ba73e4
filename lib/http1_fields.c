/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Reading what a field section holds, once http1_scan_fields has split it. */
#include "lib/http1.h"
#include "lib/http1_scan.h"

struct span http_field_get(const struct http_fields *fs, enum http_hdr id, uint32_t *count)
{
	struct span value = {0};
	uint32_t n = 0;

	if (!http_fields_have(fs, id)) {
		if (count != NULL)
			*count = 0;
		return value;
	}
	for (uint32_t i = 0; i < fs->count; i++) {
		if (fs->f[i].id != id)
			continue;
		value = fs->f[i].value;
		n++;
	}
	if (count != NULL)
		*count = n;
	return n == 1 ? value : (struct span){0};
}

bool http1_list_next(struct span *list, struct span *element)
{
	bool quoted = false;
	size_t i;

	if (list->len == 0)
		return false;
	for (i = 0; i < list->len; i++) {
		char c = list->ptr[i];

		if (quoted && c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (c == ',' && !quoted)
			break;
	}
	i = min_size(i, list->len); /* a lone backslash at the end stepped over it */
	*element = span_trim(span_of(list->ptr, i));
	i = min_size(i + 1, list->len);
	*list = span_of(list->ptr + i, list->len - i);
	return true;
}

bool http_field_has_token(const struct http_fields *fs, enum http_hdr id, struct span token)
{
	if (!http_fields_have(fs, id))
		return false;
	for (uint32_t i = 0; i < fs->count; i++) {
		struct span list = fs->f[i].value;
		struct span element;

		if (fs->f[i].id != id)
			continue;
		while (http1_list_next(&list, &element))
			if (span_eq_nocase(element, token))
				return true;
	}
	return false;
}

bool http_parse_length(struct span value, int64_t *out)
{
	uint64_t n = 0;

	if (value.len == 0)
		return false;
	for (size_t i = 0; i < value.len; i++) {
		unsigned digit = (unsigned)(unsigned char)value.ptr[i] - '0';

		if (digit > 9 || n > ((uint64_t)INT64_MAX - digit) / 10)
			return false;
		n = n * 10 + digit;
	}
	*out = (int64_t)n;
	return true;
}

bool http_hdr_is_hop(enum http_hdr id)
{
	switch (id) {
	case HDR_CONNECTION:
	case HDR_KEEP_ALIVE:
	case HDR_PROXY_CONNECTION:
	case HDR_PROXY_AUTHENTICATE:
	case HDR_PROXY_AUTHORIZATION:
	case HDR_TE:
	case HDR_TRAILER:
	case HDR_TRANSFER_ENCODING:
	case HDR_UPGRADE:
	case HDR_CONTENT_LENGTH:
		return true;
	default:
		return false;
	}
}

bool http_field_is_hop(const struct http_fields *fs, const struct http_field *f)
{
	return http_hdr_is_hop(f->id) || http_field_has_token(fs, HDR_CONNECTION, f->name);
}
