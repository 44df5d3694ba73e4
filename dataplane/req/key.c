/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The cache key of a request: host, path and query, or what the rule of its route says
 * (cache/key_program.h). A key that is made of a JSON body waits until the whole of it is here. */
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

/* Is it a request whose key is made of its body? */
static bool body_counts(const struct req *req)
{
	return unlikely(req->rule.keyed_body) && req->method == HTTP_POST;
}

/* Bytes of a body that can be part of a key; 0: none. */
static size_t body_bytes(const struct core *core, const struct req *req)
{
	const struct http_framing *f = &core->http->framing;

	if (!body_counts(req) || f->kind != HTTP_BODY_LENGTH || f->length <= 0 ||
	    f->length > core->snap->limits.key_body_bytes)
		return 0;
	return (size_t)f->length;
}

size_t req_bytes(const struct core *core, const struct req *req)
{
	return core->http->head_len + body_bytes(core, req);
}

/* RFC 9110 10.1.1: the client waits for leave to send the body. */
static void leave_give(struct core *core, struct req *req)
{
	const struct http_request *h = core->http;

	if (!h->expect_continue || h->minor != 1 || req->continued)
		return;
	if (tcp_tx_copy(core->tcp, req->conn, "HTTP/1.1 100 Continue\r\n\r\n", 25) != ST_OK)
		return;
	req->continued = true;
	counter_inc(core->ctr, CTR_http_1xx);
}

bool req_key_ready(struct core *core, struct req *req)
{
	size_t body = body_bytes(core, req);

	if (likely(body == 0) || tcp_rx_len(req->conn) >= core->http->head_len + body)
		return true;
	/* What will not come is for the upload to find out. */
	if (req->fin || tcp_rx_eof(req->conn))
		return true;
	leave_give(core, req);
	req_deadline(core, req, core->snap->timeouts.body_ms);
	return false;
}

/* The body as it lies behind the head, or nothing. */
static struct span body_of(struct core *core, const struct req *req)
{
	size_t body = body_bytes(core, req), head = core->http->head_len;
	struct span in = tcp_rx(req->conn);

	if (body == 0 || tcp_rx_len(req->conn) < head + body ||
	    !key_body_is_json(&core->http->fields))
		return span_of(NULL, 0);
	if (in.len < head + body)
		in = tcp_rx_whole(core->tcp, req->conn, head + body);
	if (in.len < head + body)
		return span_of(NULL, 0);
	return span_of(in.ptr + head, body);
}

/* Security: the origin sees the port that the client named, and may put it into the links of its
 * answer. So an answer to "host:1234" is none for "host". */
static struct span host_of(const struct http_request *h)
{
	return h->host_port == HTTP_PORT ? h->host : req_authority(h);
}

void req_key_input(const struct core *core, const struct req *req, struct key_input *in)
{
	const struct http_request *h = core->http;

	*in = (struct key_input){
	        .route = req->route,
	        .fields = &h->fields,
	        .host = host_of(h),
	        .path = h->path,
	        .query = h->query,
	        .method = h->method,
	        .params = core->turn->match.params,
	        .param_count = core->turn->match.param_count,
	        .seed = core->hash_seed,
	};
}

static NOINLINE enum key_status key_by_rule(struct core *core, const struct req *req,
                                            const struct snap_rule *rule, struct cache_key *out)
{
	struct key_input in;

	req_key_input(core, req, &in);
	if (body_counts(req)) {
		in.body = body_of(core, req);
		if (in.body.ptr == NULL)
			return KEY_BYPASS;
	}
	return key_program_run(core->snap, &rule->key, &in, core->turn->key_text, out);
}

/* The key of a method that changes things is for what control makes void of its target
 * (RFC 9111 4.4): never the rule's, which is that of another route. */
enum key_status req_key(struct core *core, const struct req *req, struct cache_key *out)
{
	const struct http_request *h = core->http;
	const struct snap_rule *rule = key_rule(core->snap, req->route);

	if (unlikely(rule != NULL) && (http_method_safe(h->method) || body_counts(req)))
		return key_by_rule(core, req, rule, out);
	return cache_key_default(core->turn->key_text, host_of(h), h->path, h->query,
	                         core->hash_seed, out)
	               ? KEY_OK
	               : KEY_TOO_LONG;
}

bool req_key_says_who(const struct core *core, const struct req *req)
{
	return (key_rule(core->snap, req->route)->flags & RULE_KEYED_AUTH) != 0;
}

void req_rules_begin(struct core *core)
{
	struct rule_stats *s = &core->stats->rules;

	for (uint32_t i = 0; i < RULE_STATS_MAX; i++)
		for (uint32_t k = 0; k < RULE_RESULTS; k++)
			__atomic_store_n(&s->v[i][k], 0, __ATOMIC_RELAXED);
	memset(core->check_in, 0, sizeof(core->check_in[0]) * RULES_MAX);
	__atomic_store_n(&s->snapshot_id, core->snap->id, __ATOMIC_RELEASE);
}
