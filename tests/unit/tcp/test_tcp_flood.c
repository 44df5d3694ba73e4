/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A million forged SYNs, and as many forged ACKs: established connections go on at their rate, new
 * ones get in, and nothing grows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/tcp/tcp_rig.h"

enum {
	FORGED = 1000000,
	A_MS = 500, /* forged segments a simulated millisecond */
	OLD_CONNS = 4,
	NEW_CONNS = 20,
	HDR_OFF = 34,
	BACKLOG = 8,
};

struct flood {
	struct rig rig;
	uint8_t flags; /* of the forged segments */
	uint32_t forged;
	uint64_t old_done; /* bytes that old connections had before */
};

static struct flood flood;

/* Answers to forged addresses never arrive anywhere. */
static bool to_client(struct rig *rig, uint32_t from, const uint8_t *data, uint32_t len)
{
	const uint8_t *to = data + 30;

	(void)len;
	return from != 0 || memcmp(to, rig->host[1].addr.b + 12, 4) == 0;
}

static void forge(struct flood *f)
{
	uint8_t frame[128] = {0};
	uint8_t *h = frame + HDR_OFF;
	struct host *host = &f->rig.host[0];
	struct pkt pkt = {.data = frame,
	                  .l3_off = 14,
	                  .l4_off = HDR_OFF,
	                  .payload_off = HDR_OFF + 40,
	                  .ip_version = 4};

	put_u32(frame + 26, 0x0b000000 + rig_random(&f->rig, 1 << 24));
	memcpy(frame + 30, host->addr.b + 12, 4);
	put_u16(h, (uint16_t)(1 + rig_random(&f->rig, 65535)));
	put_u16(h + 2, RIG_PORT);
	put_u32(h + 4, rig_random(&f->rig, UINT32_MAX));
	put_u32(h + 8, rig_random(&f->rig, UINT32_MAX));
	h[12] = 15 << 4;
	h[13] = f->flags;
	put_u16(h + 14, 65535);
	memcpy(h + 20,
	       (const uint8_t[]){2, 4, 5, 180, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7},
	       20);
	tcp_input(host->tcp, &pkt, f->rig.now_ns);
	f->forged++;
}

static void forge_for(struct flood *f, uint32_t ms)
{
	for (uint32_t i = 0; i < ms; i++) {
		for (uint32_t n = 0; n < A_MS; n++) {
			forge(f);
			if (n % 32 == 0)
				net_flush(f->rig.host[0].net);
		}
		net_flush(f->rig.host[0].net);
		rig_run_for(&f->rig, 1);
	}
}

static uint64_t old_bytes(const struct flood *f)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < RIG_APPS; i++)
		if (f->rig.apps[i].used && f->rig.apps[i].host == 0)
			sum += f->rig.apps[i].rx_done;
	return sum;
}

static void open_flood(struct flood *f, uint8_t flags, enum tcp_cookies cookies)
{
	struct rig_config cfg = {.seed = 3};
	struct app old = {.tx_total = 1ull << 40, .tx_seed = 1, .rx_seed = 0, .keep_open = true};
	struct tcp_config *tcp = &cfg.tcp[0];

	tcp_config_small(tcp);
	tcp->max_syn_backlog = BACKLOG;
	tcp->syn_cookies = cookies;
	rig_open(&f->rig, &cfg);
	f->flags = flags;
	f->forged = 0;
	f->rig.filter = to_client;
	f->rig.host[0].model = (struct app){.rx_seed = 1, .keep_open = true};
	for (uint32_t i = 0; i < OLD_CONNS; i++)
		rig_connect(&f->rig, 1, (uint16_t)(2000 + i), &old);
	rig_run_for(&f->rig, 200);
}

static void nothing_grew(struct flood *f)
{
	struct tcp *tcp = f->rig.host[0].tcp;
	struct tcp_usage use;

	tcp_usage(tcp, &use);
	assert_in_range(tcp->half_open, 0, BACKLOG);
	assert_in_range(use.conns, OLD_CONNS, OLD_CONNS + NEW_CONNS + BACKLOG);
	assert_in_range(tcp->conns.fresh, OLD_CONNS, OLD_CONNS + NEW_CONNS + BACKLOG);
	assert_in_range(use.timers, 0, OLD_CONNS + NEW_CONNS + BACKLOG);
}

/* Bytes that the old connections moved in ms, with or without forged segments in between. */
static uint64_t rate(struct flood *f, uint32_t ms, bool forged)
{
	uint64_t before = old_bytes(f);

	for (uint32_t i = 0; i < ms; i++) {
		if (forged)
			forge_for(f, 1);
		else
			rig_run_for(&f->rig, 1);
	}
	return old_bytes(f) - before;
}

static void run(uint8_t flags)
{
	struct flood *f = &flood;
	struct app fresh = {.tx_total = 1000, .tx_seed = 1, .rx_seed = 0, .keep_open = true};
	uint32_t each = FORGED / A_MS / (NEW_CONNS + 2);
	uint64_t quiet;
	uint64_t flooded;

	open_flood(f, flags, TCP_COOKIES_ON_PRESSURE);
	quiet = rate(f, each, false);
	assert_true(quiet > 1000000);
	flooded = rate(f, each, true);
	assert_true(flooded >= quiet / 10 * 9);
	for (uint32_t i = 0; i < NEW_CONNS; i++) {
		struct app *app = rig_connect(&f->rig, 1, (uint16_t)(3000 + i), &fresh);

		forge_for(f, each);
		assert_true(app->opened);
		assert_non_null(rig_peer(&f->rig, app));
		assert_int_equal(rig_peer(&f->rig, app)->rx_done, 1000);
		nothing_grew(f);
	}
	forge_for(f, (FORGED - f->forged + A_MS - 1) / A_MS);
	assert_true(f->forged >= FORGED);
	assert_int_equal(f->rig.mismatches, 0);
	nothing_grew(f);
	rig_free(&f->rig);
}

static void test_syn_flood(void **state)
{
	const struct counters *ctr = &flood.rig.host[0].ctr;

	(void)state;
	run(TH_SYN);
	assert_int_equal(counter_read(ctr, CTR_drop_tcp_syn_full), 0);
	/* Those that fit the backlog, now and then, aside. */
	assert_in_range(counter_read(ctr, CTR_tcp_cookie_sent), FORGED - 1000, FORGED + 1000);
	assert_in_range(counter_read(ctr, CTR_tcp_cookie_accepted), NEW_CONNS - 2, NEW_CONNS);
	assert_int_equal(counter_read(ctr, CTR_tcp_cookie_failed), 0);
}

/* Once a cookie was sent, guesses are checked; none of a million hits. */
static void test_ack_flood(void **state)
{
	const struct counters *ctr = &flood.rig.host[0].ctr;

	(void)state;
	run(TH_ACK);
	assert_int_equal(counter_read(ctr, CTR_tcp_cookie_failed), 0);
	open_flood(&flood, TH_ACK, TCP_COOKIES_ALWAYS);
	forge_for(&flood, FORGED / A_MS);
	assert_int_equal(counter_read(ctr, CTR_tcp_cookie_accepted), OLD_CONNS);
	assert_int_equal(counter_read(ctr, CTR_tcp_cookie_failed), FORGED);
	assert_in_range(counter_read(ctr, CTR_tcp_rst_out), 1000, 40000);
	nothing_grew(&flood);
	rig_free(&flood.rig);
}

/* Without cookies the newest handshakes are kept, and honest ones are quick. */
static void test_no_cookies(void **state)
{
	struct flood *f = &flood;
	uint64_t quiet;

	(void)state;
	open_flood(f, TH_SYN, TCP_COOKIES_OFF);
	quiet = rate(f, 50, false);
	assert_true(rate(f, 50, true) >= quiet / 10 * 9);
	assert_int_equal(counter_read(&f->rig.host[0].ctr, CTR_tcp_cookie_sent), 0);
	assert_in_range(counter_read(&f->rig.host[0].ctr, CTR_shed_syn), 50 * A_MS - BACKLOG,
	                50 * A_MS);
	nothing_grew(f);
	rig_free(&f->rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_syn_flood),
	        cmocka_unit_test(test_ack_flood),
	        cmocka_unit_test(test_no_cookies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
