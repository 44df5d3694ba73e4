/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Is what a client got by a pattern what the origin would have said? The very request is sent to
 * the origin behind its back. When the answer differs from the stored one, the resource may have
 * changed since, or the answer depends on more than the origin says. Which of the two it is, three
 * more requests tell:
 *
 *   asked (A) | filler (F)  filler (F)  asked (A)
 *
 * F is the request that the stored answer was made for. If it gets now what A got, the resource has
 * changed. If both of its answers are alike, and both of A's are, but not F's and A's, then at one
 * time two requests get different answers that share one: a mismatch. All else is an answer that
 * changes as one looks, or origins that do not agree: nothing can be said. A's stand outside and
 * F's inside, so that neither a change on the way nor servers that take turns look like a mismatch.
 */
#include "control/fetch_internal.h"
#include "control/pattern_internal.h"

#include "lib/log.h"

#include <stdlib.h>

enum { TURN_ASKED, TURN_FILLER, TURN_FILLER_AGAIN, TURN_ASKED_AGAIN, TURNS };

struct check {
	struct exchange x;
	struct patterns *p;
	struct check *next;
	struct check **prev_next;
	struct pattern_rule *rule;
	struct plan_choice plan;
	struct request *asked;
	struct request *filler; /* NULL: not known */
	struct store_entry *entry;
	uint32_t turn;
	struct hash128 stored;
	struct hash128 said[TURNS];
	/* The answer that comes */
	struct hash128 head;
	unsigned char *body;
	size_t body_len;
	size_t body_room;
};

/* --- what an answer comes to --- */

/* What tells a client what the body is, or whose. The rest differs from answer to answer. */
static bool field_counts(const struct http_field *f)
{
	static const struct span names[] = {
	        SPAN_LIT("Content-Type"),
	        SPAN_LIT("Content-Encoding"),
	        SPAN_LIT("Content-Language"),
	        SPAN_LIT("Content-Disposition"),
	        SPAN_LIT("Content-Location"),
	        SPAN_LIT("Location"),
	        SPAN_LIT("Access-Control-Allow-Origin"),
	        SPAN_LIT("Access-Control-Allow-Credentials"),
	        SPAN_LIT("WWW-Authenticate"),
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (span_eq_nocase(f->name, names[i]))
			return true;
	return false;
}

/* Fields in the order of the table above do not matter, those of one name do: so sums. */
static struct hash128 head_hash(unsigned status, const struct http_fields *fs, bool etag,
                                bool private)
{
	struct hash128 sum = {.lo = status, .hi = private};

	for (uint32_t i = 0; i < fs->count; i++) {
		const struct http_field *f = &fs->f[i];
		bool strong =
		        etag && f->id == HDR_ETAG && f->value.len > 0 && f->value.ptr[0] == '"';
		uint64_t seed = 0;

		if (!strong && !field_counts(f))
			continue;
		for (size_t k = 0; k < f->name.len; k++)
			seed = seed * 31 + (unsigned char)ascii_lower(f->name.ptr[k]);
		struct hash128 h = hash128(f->value.ptr, f->value.len, seed);

		sum.lo = (sum.lo ^ h.lo) * 0x9e3779b97f4a7c15ull;
		sum.hi = (sum.hi ^ h.hi) * 0x9e3779b97f4a7c15ull;
	}
	return sum;
}

static struct hash128 whole_hash(struct hash128 head, struct span body)
{
	struct hash128 h = hash128(body.ptr, body.len, head.lo);

	return (struct hash128){h.lo ^ head.hi, h.hi + head.lo};
}

static struct hash128 stored_hash(const struct store_entry *e)
{
	char text[FETCH_HEAD_MAX];
	struct http_fields fs = {.count = 0};
	struct span lines = object_fields(e->head);
	size_t pos = 0;

	if (lines.len + 2 <= sizeof(text)) {
		memcpy(text, lines.ptr, lines.len);
		memcpy(text + lines.len, "\r\n", 2);
		http1_scan_fields(text, lines.len + 2, &pos, &fs);
	}
	return whole_hash(
	        head_hash(e->head->status, &fs, !(e->head->flags & OBJECT_ETAG_MADE), false),
	        span_of(e->body, e->body_len));
}

/* --- the end --- */

static void check_free(struct check *c)
{
	*c->prev_next = c->next;
	if (c->next != NULL)
		c->next->prev_next = c->prev_next;
	c->p->check_count--;
	exchange_cancel(&c->x);
	if (c->x.request != NULL)
		request_bytes_unref(c->x.request);
	if (c->entry != NULL)
		store_drop(c->entry);
	upstream_unref(c->plan.upstream);
	free(c->body);
	free(c->filler);
	free(c->asked);
	free(c);
}

static void alarm_raise(struct check *c, enum pattern_result result)
{
	struct span key = object_key(c->entry->head);
	const char *why = result == PATTERN_MISMATCH
	                          ? "answers depend on more than is said"
	                          : "answers change each time, and cannot be checked";

	log_error("pattern",
	          "cache rule '%s' is off: %s. Key %.*s: %.*s and %.*s get different answers. "
	          "Mend the origin's Sluice-Read-Set or the rule's reads, then: sluicectl cache "
	          "rules enable %s",
	          c->rule->name, why, (int)min_size(key.len, 300), key.ptr,
	          (int)min_size(c->filler->target.len, 200), c->filler->target.ptr,
	          (int)min_size(c->asked->target.len, 200), c->asked->target.ptr, c->rule->name);
	pattern_switch(c->p->f, c->rule->name, true, why);
}

static void check_end(struct check *c, enum pattern_result result)
{
	c->rule->state.checks[result]++;
	switch (result) {
	case PATTERN_SAME:
		c->rule->unsettled = 0;
		break;
	case PATTERN_CHANGED:
		c->rule->unsettled = 0;
		fetch_purge_key(c->p->f, object_key(c->entry->head));
		break;
	case PATTERN_UNKNOWN:
		fetch_purge_key(c->p->f, object_key(c->entry->head));
		break;
	case PATTERN_UNSETTLED:
		fetch_purge_key(c->p->f, object_key(c->entry->head));
		if (++c->rule->unsettled >= PATTERN_UNSETTLED_MAX)
			alarm_raise(c, result);
		break;
	case PATTERN_MISMATCH:
		if (!c->rule->state.off)
			alarm_raise(c, result);
		break;
	default:
		break;
	}
	check_free(c);
}

/* --- asking --- */

static void turn_begin(struct check *c);

static void turn_end(struct check *c)
{
	const struct hash128 *said = c->said;

	c->said[c->turn] = whole_hash(c->head, span_of(c->body, c->body_len));
	if (c->turn == TURN_ASKED && hash128_eq(said[TURN_ASKED], c->stored))
		check_end(c, PATTERN_SAME);
	else if (c->turn == TURN_ASKED && c->filler == NULL)
		check_end(c, PATTERN_UNKNOWN);
	else if (c->turn == TURN_FILLER && hash128_eq(said[TURN_FILLER], said[TURN_ASKED]))
		check_end(c, PATTERN_CHANGED);
	else if (c->turn == TURN_FILLER_AGAIN &&
	         !hash128_eq(said[TURN_FILLER_AGAIN], said[TURN_FILLER]))
		check_end(c, PATTERN_UNSETTLED);
	else if (c->turn == TURN_ASKED_AGAIN)
		check_end(c, hash128_eq(said[TURN_ASKED_AGAIN], said[TURN_ASKED])
		                     ? PATTERN_MISMATCH
		                     : PATTERN_UNSETTLED);
	else {
		c->turn++;
		turn_begin(c);
	}
}

static struct check *check_of(struct exchange *x)
{
	return container_of(x, struct check, x);
}

static void on_head(struct exchange *x, const struct exchange_head *h)
{
	struct check *c = check_of(x);
	struct cache_control cc;

	if (cache_status_fails(h->head->status)) {
		check_end(c, PATTERN_FAILED);
		return;
	}
	(void)cache_control_response(&h->head->fields, &cc);
	c->head =
	        head_hash(h->head->status, &h->head->fields,
	                  !(c->entry->head->flags & OBJECT_ETAG_MADE), cc.no_store || cc.private_);
}

static void on_body(struct exchange *x, uint32_t block, struct span bytes)
{
	struct check *c = check_of(x);
	size_t most = c->p->f->ctl->config->limits.store_object_bytes;
	size_t room = c->body_room > 0 ? c->body_room : 4096;
	unsigned char *bigger;

	(void)block;
	if (bytes.len > most - c->body_len) {
		/* Nothing that long is stored. */
		check_end(c, PATTERN_UNKNOWN);
		return;
	}
	while (room < c->body_len + bytes.len)
		room *= 2;
	if (room > c->body_room) {
		bigger = realloc(c->body, room);
		if (bigger == NULL) {
			check_end(c, PATTERN_FAILED);
			return;
		}
		c->body = bigger;
		c->body_room = room;
	}
	memcpy(c->body + c->body_len, bytes.ptr, bytes.len);
	c->body_len += bytes.len;
}

static void on_more(struct exchange *x)
{
	(void)x;
}

static void on_end(struct exchange *x)
{
	turn_end(check_of(x));
}

static void on_fail(struct exchange *x, enum exchange_fail why)
{
	(void)why;
	check_end(check_of(x), PATTERN_FAILED);
}

static const struct exchange_ops check_ops = {
        .head = on_head,
        .body = on_body,
        .more = on_more,
        .end = on_end,
        .fail = on_fail,
};

/* The client's fields go along, so that the origin decides as it would have. */
static void turn_begin(struct check *c)
{
	bool filler = c->turn == TURN_FILLER || c->turn == TURN_FILLER_AGAIN;
	struct request_style style = fetch_style(c->p->f, c->plan.upstream);

	style.plain = c->plan.offers.count > 0;

	if (c->x.request != NULL)
		request_bytes_unref(c->x.request);
	c->body_len = 0;
	c->x = (struct exchange){.ops = &check_ops, .method = HTTP_GET, .idempotent = true};
	c->x.request = request_serialise(filler ? c->filler : c->asked, &style);
	if (c->x.request == NULL) {
		check_end(c, PATTERN_FAILED);
		return;
	}
	c->p->f->counts.origin++;
	exchange_start(&c->x, c->plan.upstream);
}

/* --- the beginning --- */

static struct check *check_new(struct patterns *p, const struct plan_choice *plan)
{
	struct check *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->p = p;
	c->plan = *plan;
	upstream_ref(plan->upstream);
	c->next = p->checks;
	c->prev_next = &p->checks;
	if (c->next != NULL)
		c->next->prev_next = &c->next;
	p->checks = c;
	p->check_count++;
	return c;
}

/* What the client got is not here any more: copies in the cores go, so that the next one will be.
 */
static void answer_lost(struct fetcher *f, struct pattern_rule *rule, struct span key)
{
	rule->state.checks[PATTERN_UNKNOWN]++;
	fetch_purge_key(f, key);
}

static void check_start(struct fetcher *f, struct request *r, const struct plan_choice *plan,
                        const struct pattern_key *k)
{
	struct patterns *p = f->patterns;
	struct pattern_rule *rule =
	        patterns_rule(p, snapshot_text(k->snap, k->rule->name.off, k->rule->name.len));
	bool soft;
	struct store_entry *e = store_peek(f->store, k->key.text, &soft);
	struct check *c = NULL;

	if (rule == NULL) {
		free(r);
	} else if (e == NULL) {
		answer_lost(f, rule, k->key.text);
		free(r);
	} else if (p->check_count == PATTERN_CHECKS_MAX || (c = check_new(p, plan)) == NULL) {
		rule->state.checks[PATTERN_BUSY]++;
		free(r);
	}
	if (c == NULL) {
		if (e != NULL)
			store_drop(e);
		return;
	}
	c->rule = rule;
	c->asked = r;
	c->entry = e;
	c->filler = patterns_filler(p, &k->key);
	c->stored = stored_hash(e);
	turn_begin(c);
}

void pattern_check(struct fetcher *f, struct request *r, const struct plan_choice *plan)
{
	struct pattern_key *k = malloc(sizeof(*k));

	if (k != NULL && pattern_find(f, r, k))
		check_start(f, r, plan, k);
	else
		free(r); /* it is off by now, or its list is gone */
	free(k);
}

void patterns_detached(struct patterns *p)
{
	while (p->checks != NULL)
		check_free(p->checks);
}
