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

static void out_u64(struct http_out *out, uint64_t n)
{
	char digits[HTTP_U64_DIGITS_MAX];

	http_out_lines(out, span_of(digits, http_u64_write(digits, n)));
}

static void out_ttl(const struct core *core, struct http_out *out, const struct object *o)
{
	bool fresh = object_is_fresh(o, core->wall_ms);

	http_out_lines(out, fresh ? SPAN_LIT("; ttl=") : SPAN_LIT("; ttl=-"));
	out_u64(out, (fresh ? o->expires_ms - core->wall_ms : core->wall_ms - o->expires_ms) / 1000);
}

/* An answer of the lower tiers is one of this cache. */
static void out_lower_hit(const struct core *core, struct http_out *out, const struct object *o,
                          const struct chan_msg *head)
{
	http_out_lines(out, SPAN_LIT("; hit"));
	out_ttl(core, out, o);
	http_out_lines(out, head->flags & CHAN_F_L3 ? SPAN_LIT("; detail=L3")
	                                            : SPAN_LIT("; detail=L2"));
}

static void out_forwarded(const struct core *core, const struct req *req, struct http_out *out,
                          const struct object *o, const struct chan_msg *head)
{
	bool stored = req->cache.store && (o->flags & OBJECT_STORABLE);

	http_out_lines(out, SPAN_LIT("; fwd="));
	/* What this core did not have, control had: stale, so it asked. */
	http_out_lines(out, unlikely(head->code != 0) ? SPAN_LIT("stale") : req->fwd);
	if (unlikely(head->code != 0)) {
		http_out_lines(out, SPAN_LIT("; fwd-status="));
		out_u64(out, head->code);
	}
	if (stored)
		http_out_lines(out, SPAN_LIT("; stored"));
	if (head->flags & CHAN_F_SHARED)
		http_out_lines(out, SPAN_LIT("; collapsed"));
	if (stored)
		out_ttl(core, out, o);
	if (unlikely(head->code >= 400))
		http_out_lines(out, SPAN_LIT("; detail=stale-if-error"));
	else if (unlikely(req->pass))
		http_out_lines(out, SPAN_LIT("; detail=pass"));
}

/* From one of control's stores as it was, without a word of the origin. */
static bool from_store(const struct chan_msg *head)
{
	return (head->flags & (CHAN_F_STORE | CHAN_F_L3)) != 0 && head->code == 0;
}

static void out_head_status(const struct core *core, const struct req *req, struct http_out *out,
                            const struct object *o, const struct chan_msg *head)
{
	uint64_t age_s = object_age_s(o, core->wall_ms);

	if (age_s > 0 || from_store(head))
		http_out_u64_field(out, SPAN_LIT("Age"), age_s);
	http_out_lines(out, span_of(core->cache_name, core->cache_name_len));
	if (from_store(head))
		out_lower_hit(core, out, o, head);
	else
		out_forwarded(core, req, out, o, head);
	http_out_lines(out, SPAN_LIT("\r\n"));
}

void reply_out_status(struct core *core, struct req *req, struct http_out *out,
                      const struct object *o, const struct chan_msg *head)
{
	char lines[HIT_OWN_BYTES];

	if (head != NULL) {
		out_head_status(core, req, out, o, head);
		return;
	}
	http_out_lines(out,
	               span_of(lines, (size_t)(reply_put_hit(core, req, lines, o) - lines)));
}
