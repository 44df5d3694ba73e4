/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The cache key of a request. */
#include "dataplane/path.h"

#define HTTP_PORT 80u /* of the scheme: "host:80" is "host" (RFC 9110 4.2.3) */

struct span req_authority(const struct http_request *h)
{
	const char *end = h->host.ptr + h->host.len;

	if (h->host.len == 0 || h->host_port == 0)
		return h->host;
	while (*end == ':' || (*end >= '0' && *end <= '9'))
		end++;
	return span_of(h->host.ptr, end - h->host.ptr);
}

/* Security: the origin sees the port that the client named, and may put it into the links of its
 * answer. So an answer to "host:1234" is none for "host". */
bool req_key(struct core *core, struct cache_key *out)
{
	const struct http_request *h = core->http;
	struct span host = h->host_port == HTTP_PORT ? h->host : req_authority(h);

	return cache_key_default(core->turn->key_text, host, h->path, h->query, core->hash_seed,
	                         out);
}
