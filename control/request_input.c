/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/request_input.h"

void request_input_make(const struct request *r, struct span target, uint64_t seed,
                        struct request_input *out)
{
	const char *mark = memchr(target.ptr, '?', target.len);
	size_t pos = 0;

	http1_scan_fields(r->fields.ptr, r->fields.len + 2, &pos, &out->fields);
	out->in = (struct key_input){
	        .fields = &out->fields,
	        .host = request_key_host(r->host),
	        .path = target,
	        .method = r->method,
	        .params = out->match.params,
	        .seed = seed,
	};
	if (mark != NULL) {
		out->in.path.len = (size_t)(mark - target.ptr);
		out->in.query = span_of(mark + 1, target.len - out->in.path.len - 1);
	}
}

const struct snap_rule *request_input_route(const struct snapshot *s, const struct request *r,
                                            enum http_method method, struct request_input *out)
{
	if (snapshot_route(s, request_route_host(r->host), out->in.path, method, &out->match) !=
	    ROUTE_FOUND)
		return NULL;
	out->in.route = out->match.route;
	out->in.param_count = out->match.param_count;
	return key_rule(s, out->match.route);
}
