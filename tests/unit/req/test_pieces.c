/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Heads that TCP has to keep: it does so in blocks, and what lies across two is joined. */
#include "tests/unit/req/fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "dataplane/tcp/conn.h"

/* A request of so many bytes; returns its end. */
static char *head_write(char *to, size_t len)
{
	static const char end[] = "\r\n\r\n";
	int n = sprintf(to, "GET /x HTTP/1.1\r\nHost: h\r\nX-0: ");
	size_t line = 0;

	for (size_t i = (size_t)n; i < len - 4; i++) {
		bool fold = ++line % 300 == 0 && i + 20 < len;

		if (!fold) {
			to[i] = (char)('a' + i % 26);
			continue;
		}
		i += (size_t)sprintf(to + i, "\r\nX-1: ") - 1;
	}
	memcpy(to + len - 4, end, 4);
	return to + len;
}

static void begin(void)
{
	up(NULL);
	assert_int_equal(rig_hot_put(&fx.rig, "h/x", "Content-Type: a/b\r\n", span_of("hello", 5)),
	                 ST_OK);
}

static void is_clean(void)
{
	struct tcp_usage use;

	tcp_usage(fx.rig.core->tcp, &use);
	assert_int_equal(use.rx_bufs, 0);
	assert_int_equal(use.rx_blocks, 0);
	assert_int_equal(fx.rig.core->reqs.in_use, 0);
}

/* One head, cut everywhere that matters. */
static void test_cut(void **state)
{
	static const size_t cuts[] = {1, 37, 700, 1000, 1448, 4095, 4096, 4097, 7990};
	static char text[8192];
	size_t len = 8000;

	(void)state;
	begin();
	head_write(text, len);
	for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
		struct web *w = open_web();

		/* One by one only around the blocks' border: it takes long. */
		size_t at = cuts[i] == 1 ? 4050 : 0;
		if (at > 0)
			say_bytes(w, text, at);
		while (at < len) {
			size_t n = min_size(cuts[i], len - at);

			if (cuts[i] == 1 && at > 4150)
				n = len - at;
			say_bytes(w, text + at, n);
			at += n;
			if (at < len)
				got_nothing(w);
		}
		run_ms(20);
		got_body(w, 200, span_of("hello", 5));
		is_clean();
	}
	down();
}

/* Twenty heads of many lengths at once. */
static void test_pipelined(void **state)
{
	static char text[1 << 17];
	char *at = text;
	uint32_t count = 20;

	(void)state;
	begin();
	for (uint32_t i = 0; i < count; i++)
		at = head_write(at, 500 + i * 347);
	struct web *w = open_web();
	size_t len = (size_t)(at - text);
	for (size_t done = 0; done < len;) {
		size_t n = min_size(9000, len - done);

		assert_true(web_send(w, text + done, n));
		run_ms(5);
		done += n;
	}
	run_ms(100);
	for (uint32_t i = 0; i < count; i++)
		got_body(w, 200, span_of("hello", 5));
	got_nothing(w);
	is_clean();
	assert_int_equal(ctr(CTR_http_requests), count);
	down();
}

/* Too long is too long, in pieces too. */
static void test_too_long(void **state)
{
	static char text[16384];

	(void)state;
	begin();
	head_write(text, 9000);
	struct web *w = open_web();
	for (size_t at = 0; at < 8200; at += 820)
		say_bytes(w, text + at, 820);
	run_ms(20);
	got_head(w, 431);
	down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_cut),
	        cmocka_unit_test(test_pipelined),
	        cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
