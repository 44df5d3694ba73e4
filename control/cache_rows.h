/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The rows of an answer to CHAN_QUERY_CACHE. They come from the other process: bytes must be a
 * private copy, and are checked before they are read. */
#ifndef CONTROL_CACHE_ROWS_H
#define CONTROL_CACHE_ROWS_H

#include "cache/object.h"

/* A row has a key and no field lines, so what points into those says nothing. */
static inline bool cache_row_valid(struct span bytes)
{
	struct object *o = (void *)bytes.ptr;

	if (bytes.len < sizeof(*o))
		return false;
	o->etag_len = 0;
	o->etag_off = 0;
	o->last_modified_len = 0;
	o->last_modified_off = 0;
	return o->fields_len == 0 && object_head_valid(bytes.ptr, bytes.len);
}

/* Cuts the next row off *bytes, aligned to 8. False: there is none, or (bytes are left) it is
 * malformed. */
static inline bool cache_row_next(struct span *bytes, const struct object **out)
{
	size_t step;

	if (bytes->len == 0 || !cache_row_valid(*bytes))
		return false;
	*out = (const void *)bytes->ptr;
	step = min_size(align_up(object_head_bytes(*out), 8), bytes->len);
	*bytes = span_of(bytes->ptr + step, bytes->len - step);
	return true;
}

#endif
