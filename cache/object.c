/* SPDX-License-Identifier: BSD-2-Clause */
#include "cache/object.h"

#include "cache/key.h"

static bool within(uint32_t off, uint32_t len, uint32_t total)
{
	return len == 0 || (off <= total && len <= total - off);
}

bool object_head_valid(const void *mem, size_t len)
{
	struct object o;

	if (len < sizeof(o))
		return false;
	/* One read: the writer may be another process that changes it meanwhile. */
	memcpy(&o, mem, sizeof(o));
	if (o.key_len > CACHE_KEY_MAX)
		return false;
	if (o.key_len > len - sizeof(o) || o.fields_len > len - sizeof(o) - o.key_len)
		return false;
	if (o.tag_count > OBJECT_TAGS_MAX || object_head_bytes(&o) > len)
		return false;
	if (o.status < 100 || o.status > 999)
		return false;
	return within(o.etag_off, o.etag_len, o.fields_len) &&
	       within(o.last_modified_off, o.last_modified_len, o.fields_len);
}
