/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Requests of many connections that come in one burst, of which the core parses all heads before it
 * answers the first: whatever happens to one of them, each of the others gets its own answer. */
#include "tests/unit/req/fixture.h"

#include <stdio.h>
#include <stdlib.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

enum { N = NIC_BURST };

enum kind {
	HIT,
	HIT_CLOSE,
	PIPELINE, /* three in one segment */
	HALVES,   /* a head in two segments */
	BAD,
	OPTIONS,
	NOT_MODIFIED,
	ONLY_CACHED,
	RESET,      /* goes away behind its request */
	HALF_CLOSE, /* says that this was the last one */
	MISS,
	UPLOAD,
	KINDS
};

static const char *key_of(uint32_t i)
{
	static char key[16];

	snprintf(key, sizeof(key), "h/o%u", i);
	return key;
}

static struct span body_of(uint32_t i)
{
	return pattern(i, 40 + 97 * (size_t)i);
}

static void begin(void)
{
	up(NULL);
	attach();
	for (uint32_t i = 0; i < N; i++)
		assert_int_equal(rig_hot_put(&fx.rig, key_of(i), "", body_of(i)), ST_OK);
	for (uint32_t i = 0; i < N; i++)
		open_web();
}

static void tell(struct web *w, const char *form, uint32_t i)
{
	char text[512];
	int len = snprintf(text, sizeof(text), form, i, (i + 1) % N, (i + 2) % N);

	assert_true(web_send(w, text, (size_t)len));
}

/* Connection i asks in its kind's way, and time stands still. */
static void kind_ask(enum kind kind, uint32_t i)
{
	static const char *const forms[KINDS] = {
	        [HIT] = GET("/o%u"),
	        [HIT_CLOSE] = "GET /o%u HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
	        [PIPELINE] = GET("/o%u") GET("/o%u") GET("/o%u"),
	        [HALVES] = "GET /o%u HTTP/1.1\r\nHo",
	        [BAD] = "GET /o%u HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n",
	        [OPTIONS] = "OPTIONS * HTTP/1.1\r\nHost: h\r\nX: %u\r\n\r\n",
	        [NOT_MODIFIED] = "GET /o%u HTTP/1.1\r\nHost: h\r\nIf-None-Match: *\r\n\r\n",
	        [ONLY_CACHED] = "GET /none%u HTTP/1.1\r\nHost: h\r\n"
	                        "Cache-Control: only-if-cached, no-cache\r\n\r\n",
	        [RESET] = GET("/o%u"),
	        [HALF_CLOSE] = GET("/o%u"),
	        [MISS] = GET("/m%u"),
	        [UPLOAD] = "PUT /u%u HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nok",
	};
	struct web *w = &fx.webs[i];

	tell(w, forms[kind], i);
	if (kind == HALVES)
		tell(w, "st: h\r\n\r\n", i);
	else if (kind == RESET)
		web_abort(w);
	else if (kind == HALF_CLOSE)
		web_half_close(w);
}

static void kind_check(enum kind kind, uint32_t i)
{
	struct web *w = &fx.webs[i];

	switch (kind) {
	case RESET:
		assert_true(w->gone);
		return;
	case PIPELINE:
		got_body(w, 200, body_of(i));
		got_body(w, 200, body_of((i + 1) % N));
		got_body(w, 200, body_of((i + 2) % N));
		break;
	case BAD:
		got(w, 400);
		break;
	case OPTIONS:
		got_head(w, 204);
		break;
	case NOT_MODIFIED:
		got_head(w, 304);
		break;
	case ONLY_CACHED:
		got(w, 504);
		break;
	case MISS:
	case UPLOAD:
		got_body(w, 200, SPAN_LIT("control"));
		break;
	default:
		got_body(w, 200, body_of(i));
	}
	got_nothing(w);
	assert_int_equal(w->eof, kind == HIT_CLOSE || kind == BAD || kind == HALF_CLOSE);
}

/* Control names the target that it answers, so that one answer is not another's. */
static void control_answers(uint32_t expected)
{
	static char targets[N][8];
	uint32_t n = 0;

	for (; try_request(); n++) {
		assert_true(n < N && fx.req.target.len < sizeof(targets[0]));
		memcpy(targets[n], fx.req.target.ptr, fx.req.target.len);
		targets[n][fx.req.target.len] = 0;
		for (uint32_t k = 0; k < n; k++)
			assert_string_not_equal(targets[k], targets[n]);
		reply("", SPAN_LIT("control"));
	}
	assert_int_equal(n, expected);
}

/* Each kind at each place of the burst, in front of and behind each other. */
static void test_mixed(void **state)
{
	(void)state;
	for (uint32_t step = 1; step < KINDS; step++) {
		const struct stage_stats *s;
		uint32_t asked = 0;
		uint64_t calls, items;

		begin();
		s = &fx.rig.core->stats->stages.stage[STAGE_request];
		calls = s->calls;
		items = s->items;
		for (uint32_t i = 0; i < N; i++) {
			enum kind kind = (i * step + i / KINDS) % KINDS;

			kind_ask(kind, i);
			asked += kind == MISS || kind == UPLOAD;
		}
		run_ms(2);
		/* They did come together. */
		assert_true(s->items - items >= N - 4 && s->calls - calls <= 4);
		control_answers(asked);
		run_ms(20);
		for (uint32_t i = 0; i < N; i++)
			kind_check((i * step + i / KINDS) % KINDS, i);
		down();
	}
}

/* Heads that TCP keeps in several blocks, among others: they are joined in one place. */
static void test_pieces(void **state)
{
	static char text[6000];
	size_t len;

	(void)state;
	begin();
	for (uint32_t i = 0; i < N; i += 2) {
		len = (size_t)snprintf(text, sizeof(text),
		                       "GET /o%u HTTP/1.1\r\nHost: h\r\nX: ", i);
		memset(text + len, 'x', 5000 - len);
		assert_true(web_send(&fx.webs[i], text, 5000));
	}
	run_ms(3);
	for (uint32_t i = 0; i < N; i++) {
		if (i % 2 == 0)
			assert_true(web_text(&fx.webs[i], "\r\n\r\n"));
		else
			tell(&fx.webs[i], GET("/o%u"), i);
	}
	run_ms(20);
	for (uint32_t i = 0; i < N; i++)
		got_body(&fx.webs[i], 200, body_of(i));
	down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_mixed),
	        cmocka_unit_test(test_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
