/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Any bytes as a snapshot: refused, or lookups stay inside. The first 16 bytes choose host and
 * path; length and id are made right, since whoever makes a block up can do that too. */
#include "cache/key_program.h"
#include "lib/snapshot.h"
#include "lib/snapshot_format.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever the program holds, and whatever it reads. */
static void run_rule(const struct snapshot *s, const struct route_match *m, struct span path)
{
	static const char lines[] = "X-Tenant-Id: t\r\nCookie: c=1\r\nAuthorization: a\r\n\r\n";
	const struct snap_rule *rule = key_rule(s, m->route);
	struct http_fields fields;
	struct key_input in = {
	        .route = m->route,
	        .fields = &fields,
	        .host = SPAN_LIT("Host"),
	        .path = path,
	        .query = SPAN_LIT("a=1&b=%41&c"),
	        .body = SPAN_LIT("{\"a\":{\"b\":1}}"),
	        .method = HTTP_GET,
	        .param_count = m->param_count,
	        .params = m->params,
	};
	char buf[CACHE_KEY_MAX];
	struct cache_key key;
	size_t pos = 0;

	(void)http1_scan_fields(lines, sizeof(lines) - 1, &pos, &fields);
	if (rule != NULL && key_program_run(s, &rule->key, &in, buf, &key) == KEY_OK &&
	    key.text.len > CACHE_KEY_MAX)
		abort();
}

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
	run_rule(s, &m, path);
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
