/* SPDX-License-Identifier: BSD-2-Clause */
#include "cache/object.h"

#include "cache/key.h"

static bool place_valid(const struct object *o, uint32_t off, uint32_t len)
{
	if (o->text != NULL && len == OBJECT_IN_LINES)
		return true;
	return len == 0 || (off <= o->fields_len && len <= o->fields_len - off);
}

bool object_lengths_valid(const struct object *o)
{
	if (o->key_len > CACHE_KEY_MAX || o->tag_count > OBJECT_TAGS_MAX)
		return false;
	if (o->status < 100 || o->status > 999)
		return false;
	return place_valid(o, o->etag_off, o->etag_len) &&
	       place_valid(o, o->last_modified_off, o->last_modified_len);
}

bool object_head_valid(const void *mem, size_t len)
{
	struct object o;

	if (len < sizeof(o))
		return false;
	/* One read: the writer may be another process that changes it meanwhile. */
	memcpy(&o, mem, sizeof(o));
	return o.text == NULL && object_lengths_valid(&o) && object_head_bytes(&o) <= len;
}

static void line_place(const struct object *o, struct span value, uint32_t *off, uint16_t *len)
{
	*len = (uint16_t)min_size(value.len, OBJECT_IN_LINES - 1);
	*off = value.len > 0 ? (uint32_t)(value.ptr - object_fields(o).ptr) : 0;
}

void object_head_write(void *to, const struct object *o)
{
	struct object head = *o;

	head.text = NULL;
	line_place(o, object_etag(o), &head.etag_off, &head.etag_len);
	line_place(o, object_last_modified(o), &head.last_modified_off, &head.last_modified_len);
	memcpy(to, &head, sizeof(head));
	memcpy((char *)to + sizeof(head), object_text(o), object_text_bytes(o));
}
