/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Cache-Status (RFC 9211): what the cache did for this answer. One that the origin sent stands
 * before ours. */
#include "dataplane/req/reply_private.h"

static bool is_sf_token(struct span s)
{
	if (s.len == 0 || ((s.ptr[0] | 0x20) < 'a' || (s.ptr[0] | 0x20) > 'z'))
		return false;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];
		char l = ascii_lower(c);

		if (!((l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
		      c == '_'))
			return false;
	}
	return true;
}

/* The cache's name as a structured field item; parameters follow. A name that leaves no room for
 * the rest of a head is cut. */
void reply_prepare(struct core *core)
{
	struct span node = snapshot_text(core->snap, core->snap->node_off, core->snap->node_len);
	struct http_out out;

	http_out_init(&out, core->cache_name, sizeof(core->cache_name));
	node.len = min_size(node.len, sizeof(core->cache_name) - sizeof("Cache-Status: \"\""));
	http_out_lines(&out, SPAN_LIT("Cache-Status: "));
	if (is_sf_token(node)) {
		http_out_lines(&out, node);
	} else {
		http_out_lines(&out, SPAN_LIT("\""));
		http_out_lines(&out, node);
		http_out_lines(&out, SPAN_LIT("\""));
	}
	core->cache_name_len = (uint32_t)out.len;
}

/* Room for what follows the name; each parameter that can occur, once. */
#define STATUS_BYTES                                                               \
	(CORE_NAME_BYTES + 3 * HTTP_U64_DIGITS_MAX +                               \
	 sizeof("Age: \r\n; fwd=uri-miss; fwd-status=; stored; collapsed; ttl=-; " \
	        "detail=stale-if-error"                                            \
	        "\r\n"))

static char *put_ttl(const struct core *core, char *at, const struct object *o)
{
	bool fresh = object_is_fresh(o, core->wall_ms);

	at = http_put(at, SPAN_LIT("; ttl="));
	if (unlikely(!fresh))
		*at++ = '-';
	return http_put_u64(
	        at, (fresh ? o->expires_ms - core->wall_ms : core->wall_ms - o->expires_ms) / 1000);
}

/* An answer of the lower tiers is one of this cache. */
static char *put_lower_hit(const struct core *core, char *at, const struct object *o,
                           const struct chan_msg *head)
{
	at = http_put(at, SPAN_LIT("; hit"));
	at = put_ttl(core, at, o);
	return http_put(at, head->flags & CHAN_F_L3 ? SPAN_LIT("; detail=L3")
	                                            : SPAN_LIT("; detail=L2"));
}

/* What this core did not have, control had: stale, so it asked. */
static NOINLINE char *put_validated(char *at, const struct chan_msg *head)
{
	at = http_put(at, SPAN_LIT("stale; fwd-status="));
	return http_put_u64(at, head->code);
}

static char *put_forwarded(const struct core *core, const struct req *req, char *at,
                           const struct object *o, const struct chan_msg *head)
{
	bool stored = req->cache.store && (o->flags & OBJECT_STORABLE);

	at = http_put(at, SPAN_LIT("; fwd="));
	at = unlikely(head->code != 0) ? put_validated(at, head) : http_put(at, req->fwd);
	if (stored)
		at = http_put(at, SPAN_LIT("; stored"));
	if (head->flags & CHAN_F_SHARED)
		at = http_put(at, SPAN_LIT("; collapsed"));
	if (stored)
		at = put_ttl(core, at, o);
	if (unlikely(head->code >= 400))
		at = http_put(at, SPAN_LIT("; detail=stale-if-error"));
	else if (unlikely(req->pass))
		at = http_put(at, SPAN_LIT("; detail=pass"));
	return at;
}

/* From one of control's stores as it was, without a word of the origin. */
static bool from_store(const struct chan_msg *head)
{
	return (head->flags & (CHAN_F_STORE | CHAN_F_L3)) != 0 && head->code == 0;
}

static char *put_head(const struct core *core, const struct req *req, char *at,
                      const struct object *o, const struct chan_msg *head)
{
	uint64_t age_s = object_age_s(o, core->wall_ms);

	if (age_s > 0 || from_store(head)) {
		at = http_put(at, SPAN_LIT("Age: "));
		at = http_put_u64(at, age_s);
		at = http_put(at, SPAN_LIT("\r\n"));
	}
	at = http_put(at, span_of(core->cache_name, core->cache_name_len));
	at = from_store(head) ? put_lower_hit(core, at, o, head)
	                      : put_forwarded(core, req, at, o, head);
	return http_put(at, SPAN_LIT("\r\n"));
}

void reply_out_status(struct core *core, struct req *req, struct http_out *out,
                      const struct object *o, const struct chan_msg *head)
{
	char lines[STATUS_BYTES > HIT_OWN_BYTES ? STATUS_BYTES : HIT_OWN_BYTES];
	char *at;

	at = head == NULL ? reply_put_hit(core, req, lines, o)
	                  : put_head(core, req, lines, o, head);
	http_out_lines(out, span_of(lines, (size_t)(at - lines)));
}
