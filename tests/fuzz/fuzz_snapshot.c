/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Any bytes as a snapshot: refused, or lookups stay inside. The first 16 bytes choose host and
 * path; length and id are made right, since whoever makes a block up can do that too. */
#include "lib/snapshot.h"
#include "lib/snapshot_format.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_up(const struct snapshot *s, const uint8_t *data)
{
	struct span host = span_of(data, data[0] % 8), path = span_of(data + 8, 8);
	struct route_match m;

	if (snapshot_route(s, host, path, HTTP_GET, &m) != ROUTE_FOUND)
		return;
	if (m.index >= s->route_count || m.route->upstream >= s->upstream_count)
		abort();
	for (uint32_t i = 0; i < m.param_count; i++)
		if (m.params[i].ptr < path.ptr ||
		    m.params[i].ptr + m.params[i].len > path.ptr + path.len)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct snapshot *s;

	if (size < 16 || size - 16 > SNAPSHOT_MAX_BYTES)
		return 0;
	/* At the end of its own allocation, so that a read behind it is seen. */
	s = malloc(size > 16 ? size - 16 : 1);
	if (!s)
		return 0;
	memcpy(s, data + 16, size - 16);
	if (size - 16 >= sizeof(*s)) {
		s->total_bytes = (uint32_t)(size - 16);
		s->id = snapshot_content_id(s);
	}
	if (snapshot_check(s, size - 16) == ST_OK)
		look_up(s, data);
	free(s);
	return 0;
}
