/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/req/fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/rig_check.h"

struct fx fx;

static const char yaml_form[] = "node: rig\n"
                                "log_level: error\n"
                                "memory:\n"
                                "    huge_pages: 'off'\n"
                                "    hot_table_bytes: 4194304\n"
                                "%s"
                                "%s%s%s%s" RIG_YAML_WORLD "routes:\n"
                                "%s";

static const char *part(const char *text, const char *or_else)
{
	return text != NULL ? text : or_else;
}

void up(const struct fx_config *cfg)
{
	static const struct fx_config none;
	char yaml[4096];

	if (cfg == NULL)
		cfg = &none;
	snprintf(yaml, sizeof(yaml), yaml_form,
	         part(cfg->memory, "    up_blocks: 64\n    down_blocks: 128\n"),
	         cfg->limits != NULL ? "limits:\n" : "", part(cfg->limits, ""),
	         cfg->timeouts != NULL ? "timeouts:\n" : "", part(cfg->timeouts, ""),
	         part(cfg->routes, "    - path: /*\n      upstream: origin\n"));
	memset(&fx, 0, sizeof(fx));
	log_set_level(LOG_ERROR);
	assert_int_equal(rig_create_shared(&fx.rig, yaml, NULL, cfg->share), ST_OK);
	web_attach(&fx.rig);
}

uint64_t ctr(enum counter_id id)
{
	return counter_read(fx.rig.core->ctr, id);
}

void run_ms(uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		rig_step(&fx.rig, NS_PER_MS);
}

void run_s(uint32_t n)
{
	for (uint32_t i = 0; i < 20 * n; i++)
		rig_step(&fx.rig, 50 * NS_PER_MS);
}

struct web *open_web(void)
{
	struct web *w = &fx.webs[fx.web_count];

	assert_true(fx.web_count < FX_WEBS);
	assert_true(web_open(w, &fx.rig, (uint16_t)(20000 + fx.web_count)));
	fx.web_count++;
	run_ms(3);
	assert_true(w->open);
	return w;
}

void say_bytes(struct web *w, const void *bytes, size_t len)
{
	assert_true(web_send(w, bytes, len));
	run_ms(3);
}

void say(struct web *w, const char *text)
{
	say_bytes(w, text, strlen(text));
}

struct web *ask(const char *text)
{
	struct web *w = open_web();

	say(w, text);
	return w;
}

void got(struct web *w, unsigned status)
{
	enum web_got g = web_take(w, false, &fx.answer);

	if (g != WEB_ANSWER)
		fail_msg("%s instead of an answer %u: \"%.*s\"",
		         g == WEB_BAD ? "bad bytes" : "too little", status,
		         (int)min_size(w->rx_len, 400), w->rx == NULL ? "" : w->rx);
	if (fx.answer.status != status)
		fail_msg("status %u instead of %u: %s", fx.answer.status, status, fx.answer.head);
}

void got_head(struct web *w, unsigned status)
{
	assert_int_equal(web_take(w, true, &fx.answer), WEB_ANSWER);
	assert_int_equal(fx.answer.status, status);
}

void got_body(struct web *w, unsigned status, struct span body)
{
	got(w, status);
	assert_int_equal(fx.answer.body.len, body.len);
	assert_memory_equal(fx.answer.body.ptr, body.ptr, body.len);
}

void got_nothing(struct web *w)
{
	if (w->rx_len > 0)
		fail_msg("%zu bytes more than asked for: \"%.*s\"", w->rx_len,
		         (int)min_size(w->rx_len, 400), w->rx);
}

bool has_line(const char *line)
{
	char text[256];

	snprintf(text, sizeof(text), "\r\n%s\r\n", line);
	return strstr(fx.answer.head, text) != NULL;
}

void attach(void)
{
	assert_true(rig_attach(&fx.rig, ++fx.epoch));
}

void detach(void)
{
	rig_detach(&fx.rig);
	/* A new control finds its slab by what the core holds; none of these tests keeps any. */
	fx.held_count = 0;
}

static void keep_or_release(uint32_t block)
{
	if (block == CHAN_NO_BLOCK)
		return;
	if (!fx.hold_up) {
		rig_release_up(&fx.rig, block);
		return;
	}
	assert_true(fx.held_count < FX_HELD);
	fx.held[fx.held_count++] = block;
}

void release_held(uint32_t n)
{
	for (; n > 0 && fx.held_count > 0; n--) {
		rig_release_up(&fx.rig, fx.held[0]);
		fx.held_count--;
		memmove(fx.held, fx.held + 1, fx.held_count * sizeof(fx.held[0]));
	}
}

static struct span cut(const char **at, size_t len)
{
	struct span s = span_of(*at, len);

	*at += len;
	return s;
}

static void request_input(const struct chan_msg *m)
{
	struct fx_request *r = &fx.req;
	const void *bytes = chan_peer_bytes(&fx.rig.control, m);
	const char *at = (const char *)(&r->cr + 1);

	assert_non_null(bytes);
	assert_in_range(m->len, sizeof(r->cr), sizeof(r->bytes));
	r->msg = *m;
	r->born_seq = fx.purge_seq;
	memcpy(r->bytes, bytes, m->len);
	r->key = cut(&at, r->cr.key_len);
	r->method = cut(&at, r->cr.method_len);
	r->host = cut(&at, r->cr.host_len);
	r->target = cut(&at, r->cr.target_len);
	r->fields = cut(&at, r->cr.fields_len);
	assert_int_equal(at - r->bytes, m->len);
	fx.upload_len = 0;
	fx.upload_end = m->flags & CHAN_F_END;
	fx.upload_abort = false;
	keep_or_release(m->block);
}

static void body_input(const struct chan_msg *m)
{
	if (m->ticket.seq == fx.req.msg.ticket.seq) {
		assert_false(fx.upload_end);
		if (m->len > 0) {
			const void *bytes = chan_peer_bytes(&fx.rig.control, m);

			assert_non_null(bytes);
			assert_true(fx.upload_len + m->len <= FX_BODY_MAX);
			memcpy(fx.upload + fx.upload_len, bytes, m->len);
			fx.upload_len += m->len;
		}
		fx.upload_end = m->flags & CHAN_F_END;
		fx.upload_abort = m->flags & CHAN_F_ABORT;
	}
	keep_or_release(m->block);
}

/* True when a request came. */
static bool take(struct chan_msg *m)
{
	if (m->type == CHAN_REQUEST) {
		request_input(m);
		return true;
	}
	if (m->type == CHAN_BODY) {
		body_input(m);
	} else if (m->type == CHAN_CANCEL) {
		fx.cancels++;
		fx.cancelled = m->ticket;
	} else {
		fail_msg("message of type %u", m->type);
	}
	return false;
}

bool try_request(void)
{
	struct chan_msg m;

	while (rig_recv(&fx.rig, &m))
		if (take(&m))
			return true;
	return false;
}

void next_request(void)
{
	if (!try_request())
		fail_msg("no request came");
}

void drain_control(void)
{
	if (try_request())
		fail_msg("a request came: %.*s", (int)fx.req.target.len, fx.req.target.ptr);
	run_ms(2);
	if (try_request())
		fail_msg("a request came: %.*s", (int)fx.req.target.len, fx.req.target.ptr);
}

struct rig_answer answer_to(unsigned status, const char *fields, struct span body)
{
	return (struct rig_answer){
	        .ticket = fx.req.msg.ticket,
	        .request = &fx.req.cr,
	        .status = status,
	        .fields = fields,
	        .body = body,
	        .body_len = body.len,
	        .born_seq = fx.req.born_seq,
	};
}

void reply_with(const struct rig_answer *a)
{
	assert_true(rig_reply(&fx.rig, a));
	run_ms(3);
}

void reply(const char *fields, struct span body)
{
	struct rig_answer a = answer_to(200, fields, body);

	reply_with(&a);
}

void post(const struct chan_msg *m)
{
	struct chan_msg *slot = chan_slot(&fx.rig.control);

	assert_non_null(slot);
	*slot = *m;
	chan_push(&fx.rig.control);
	chan_flush(&fx.rig.control);
	run_ms(3);
}

uint32_t down_block(const void *bytes, size_t len)
{
	uint32_t block = chan_block_get(&fx.rig.down);

	assert_int_not_equal(block, CHAN_NO_BLOCK);
	if (len > 0)
		memcpy(chan_block_at(&fx.rig.down, block), bytes, len);
	return block;
}

struct chan_msg purge_msg(enum inval_kind kind, const char *text, uint8_t flags)
{
	struct chan_msg m = {
	        .type = CHAN_PURGE,
	        .code = (uint16_t)kind,
	        .flags = flags,
	        .ticket = {.epoch = fx.epoch},
	        .n = ++fx.purge_seq,
	        .len = (uint32_t)strlen(text),
	        .block = CHAN_NO_BLOCK,
	};

	if (kind != INVAL_ALL)
		m.block = down_block(text, strlen(text));
	return m;
}

void purge_now(enum inval_kind kind, const char *text)
{
	struct inval_purge p = {.seq = ++fx.purge_seq, .kind = kind, .text = span_cstr(text)};

	hot_purge(fx.rig.core->hot, &p, hash128(text, p.text.len, fx.rig.core->hash_seed));
}

struct chan_msg head_msg(const struct object *o, const char *key, const char *fields)
{
	char bytes[8192] ALIGNED(8);
	size_t len = sizeof(*o) + strlen(key) + strlen(fields);

	memcpy(bytes, o, sizeof(*o));
	((struct object *)(void *)bytes)->born_seq = fx.req.born_seq;
	snprintf(bytes + sizeof(*o), sizeof(bytes) - sizeof(*o), "%s%s", key, fields);
	return (struct chan_msg){
	        .type = CHAN_HEAD,
	        .ticket = fx.req.msg.ticket,
	        .len = (uint32_t)len,
	        .block = down_block(bytes, len),
	};
}

struct span pattern(uint32_t seed, size_t len)
{
	static char bytes[4][FX_BODY_MAX];
	static uint32_t turn;
	char *to = bytes[turn++ & 3];

	assert_true(len <= FX_BODY_MAX);
	for (size_t i = 0; i < len; i++) {
		seed = seed * 1664525u + 1013904223u;
		to[i] = (char)(seed >> 24);
	}
	return span_of(to, len);
}

void down(void)
{
	for (uint32_t i = 0; i < fx.web_count; i++)
		web_abort(&fx.webs[i]);
	run_ms(5);
	while (try_request())
		;
	release_held(FX_HELD);
	run_s(125); /* longer than TIME-WAIT and any retransmission */
	while (try_request())
		;
	run_ms(3);
	if (rig_leak(&fx.rig) != NULL)
		fail_msg("leaked: %s", rig_leak(&fx.rig));
	if (rig_counters_wrong(&fx.rig) != NULL)
		fail_msg("counters do not add up: %s", rig_counters_wrong(&fx.rig));
	for (uint32_t i = 0; i < fx.web_count; i++)
		web_free(&fx.webs[i]);
	rig_destroy(&fx.rig);
}
