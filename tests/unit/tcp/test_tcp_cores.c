/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Three cores of one port, to any of which the port may bring any segment: connections see all that
 * is theirs, and what is nobody's is answered once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "dataplane/net/net_shared.h"
#include "tests/unit/tcp/tcp_rig.h"

enum {
	CORES = 3,
	BUFFERS = 2048,
	QUEUE = 1024, /* segments that wait for a core */
};

static struct wire wires[CORES];
static struct net_shared shared;

static void nothing_lent(void *arg, uint64_t cookie)
{
	(void)arg;
	fail_msg("released: %llu", (unsigned long long)cookie);
}

static void core_open(uint32_t core, struct nic *nic, const struct tcp_config *cfg)
{
	struct wire *w = &wires[core];
	uint8_t seed[TCP_SEED_BYTES] = {(uint8_t)(7 + core)};
	struct tcp_env env = {.ctr = &w->ctr, .release = nothing_lent, .seed = seed};
	struct net_config net;

	memset(w, 0, sizeof(*w));
	w->now_ns = NS_PER_S;
	w->port = 33000;
	w->nic = nic;
	assert_true(ip_addr_parse("10.0.0.1", &w->local));
	assert_true(ip_addr_parse("10.0.0.2", &w->remote));
	net_config_default(&net);
	net.nic = nic;
	net.ctr = &w->ctr;
	net.addrs = &w->local;
	net.addr_count = 1;
	net.shared = &shared;
	net.core = core;
	net.cores = CORES;
	net.now_ns = w->now_ns;
	assert_int_equal(net_open(&w->net, &net), ST_OK);
	env.net = w->net;
	assert_int_equal(tcp_create(&w->tcp, cfg, &env, w->now_ns), ST_OK);
	assert_int_equal(tcp_listen(w->tcp, &w->local, RIG_PORT), ST_OK);
}

static void cores_open(enum tcp_cookies cookies)
{
	struct nic_sim_config nic = {.buffers = BUFFERS, .tx_queue = BUFFERS};
	struct nic *port = nic_sim_create(&nic);
	struct tcp_config cfg;

	assert_non_null(port);
	tcp_config_small(&cfg);
	cfg.syn_cookies = cookies;
	assert_int_equal(net_shared_open(&shared, CORES), ST_OK);
	for (uint32_t i = 0; i < CORES; i++)
		core_open(i, port, &cfg);
}

/* Until no core has anything for another. */
static void cores_run(void)
{
	for (uint32_t i = 0; i < 2 * CORES; i++)
		wire_run(&wires[i % CORES]);
}

static uint64_t count_all(enum counter_id id)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < CORES; i++)
		sum += wire_count(&wires[i], id);
	return sum;
}

/* Every segment ended in one counter on each core that had it, and no buffer is held. */
static void cores_close(void)
{
	struct nic *port = wires[0].nic;

	cores_run();
	wire_drain(&wires[0]);
	for (uint32_t i = 0; i < CORES; i++) {
		const struct counters *c = &wires[i].ctr;
		uint64_t ended = c->v[CTR_rx_tcp] + c->v[CTR_rx_passed];

#define COUNTER(id, metric, labels, help)
#define DROP(id, reason, help) ended += c->v[CTR_##id];
#define SHED(id, reason, help)
#include "lib/counters.def"
		assert_int_equal(c->v[CTR_rx_packets] + c->v[CTR_rx_from_core], ended);
		tcp_destroy(wires[i].tcp);
		net_destroy(wires[i].net);
	}
	net_shared_close(&shared);
	assert_int_equal(nic_pkts_free(port), BUFFERS);
	nic_sim_destroy(port);
}

/* A segment for w's connection that the port brings to another core. */
static void data_to(uint32_t core, const struct wire *w, const char *text)
{
	struct wire_seg s = {.seq = w->seq + w->rx_len,
	                     .ack = w->ack,
	                     .wnd = 65535,
	                     .flags = TH_ACK | TH_PSH,
	                     .data = text,
	                     .len = (uint32_t)strlen(text)};

	wire_send(&wires[core], &s);
	cores_run();
}

static void connections_are_found(void **state)
{
	(void)state;
	cores_open(TCP_COOKIES_OFF);
	for (uint32_t home = 0; home < CORES; home++) {
		struct wire *w = &wires[home];
		uint64_t passed = count_all(CTR_rx_passed);

		for (uint32_t i = 0; i < CORES; i++)
			wires[i].port = (uint16_t)(4000 + home);
		wire_handshake(w, NULL, 0, 1000);
		for (uint32_t core = 0; core < CORES; core++)
			data_to(core, w, "abc");
		assert_int_equal(w->rx_len, 3 * CORES);
		assert_memory_equal(w->rx, "abcabcabc", 9);
		/* Once from the core before, twice from the one before that. */
		assert_int_equal(count_all(CTR_rx_passed) - passed, 3);
		wire_drain(w);
	}
	assert_int_equal(count_all(CTR_tcp_rst_out), 0);
	assert_int_equal(count_all(CTR_rx_from_core), 9);
	cores_close();
}

/* Connections that are drained are no less of their core. */
static void drained_are_found(void **state)
{
	(void)state;
	cores_open(TCP_COOKIES_OFF);
	wire_handshake(&wires[2], NULL, 0, 1000);
	for (uint32_t core = 0; core < CORES; core++)
		tcp_stop_listening(wires[core].tcp);
	data_to(0, &wires[2], "abc");
	assert_int_equal(wires[2].rx_len, 3);
	assert_int_equal(count_all(CTR_tcp_rst_out), 0);
	cores_close();
}

static void resets_are_found(void **state)
{
	(void)state;
	cores_open(TCP_COOKIES_OFF);
	wire_handshake(&wires[0], NULL, 0, 1000);
	wire_flags(&wires[1], TH_RST, wires[0].seq, 0);
	cores_run();
	assert_int_equal(wires[0].closed, 1);
	assert_int_equal(wire_count(&wires[0], CTR_tcp_rst_in), 1);
	cores_close();
}

static const struct stray_case {
	const char *name;
	uint8_t flags;
	uint32_t passed; /* times */
	uint8_t answer;  /* flags, 0: none */
} stray_cases[] = {
        {"ACK", TH_ACK, CORES - 1, TH_RST},
        {"data", TH_ACK | TH_PSH, CORES - 1, TH_RST},
        {"FIN and ACK", TH_ACK | TH_FIN, CORES - 1, TH_RST},
        {"RST", TH_RST, CORES - 1, 0},
        {"SYN", TH_SYN, 0, TH_SYN | TH_ACK},
        {"SYN and ACK", TH_SYN | TH_ACK, 0, TH_RST},
        {"FIN alone", TH_FIN, 0, 0},
        {"nothing", 0, 0, 0},
};

static void strays_are_answered_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(stray_cases); i++) {
		const struct stray_case *c = &stray_cases[i];
		struct wire_seg got = {0};

		cores_open(TCP_COOKIES_OFF);
		wire_flags(&wires[1], c->flags, 5000, 7000);
		cores_run();
		if (count_all(CTR_rx_passed) != c->passed)
			fail_msg("%s was passed %llu times", c->name,
			         (unsigned long long)count_all(CTR_rx_passed));
		if (wire_take(&wires[0], &got) != (c->answer != 0) || got.flags != c->answer ||
		    wire_drain(&wires[0]) != 0)
			fail_msg("%s: other answers than one with %x", c->name, c->answer);
		cores_close();
	}
}

/* Two cores answer the same client's SYN, the first and its repetition; he takes the second. */
static void second_syn_elsewhere(void **state)
{
	struct wire_seg syn = {.seq = 1000, .wnd = 5000, .flags = TH_SYN};
	struct wire_seg got;

	(void)state;
	cores_open(TCP_COOKIES_OFF);
	for (uint32_t core = 0; core < 2; core++) {
		wire_send(&wires[core], &syn);
		assert_true(wire_take(&wires[core], &got));
	}
	wire_flags(&wires[0], TH_ACK, 1001, got.seq + 1);
	cores_run();
	assert_int_equal(wires[0].opened, 0);
	assert_int_equal(wires[1].opened, 1);
	assert_int_equal(count_all(CTR_tcp_rst_out), 0);
	/* An acknowledgment that fits neither is still refused, once. */
	wires[0].port = wires[1].port = wires[2].port = 4001;
	wire_send(&wires[0], &syn);
	assert_true(wire_take(&wires[0], &got));
	wire_flags(&wires[0], TH_ACK, 1001, got.seq + 77);
	cores_run();
	assert_int_equal(count_all(CTR_tcp_rst_out), 1);
	cores_close();
}

/* Only the core that made a cookie knows it. */
static void cookies_are_found(void **state)
{
	struct wire_seg syn = {.seq = 1000, .wnd = 5000, .flags = TH_SYN};
	struct wire_seg got;

	(void)state;
	cores_open(TCP_COOKIES_ALWAYS);
	wire_send(&wires[2], &syn);
	assert_true(wire_take(&wires[2], &got));
	wire_flags(&wires[0], TH_ACK, 1001, got.seq + 1);
	cores_run();
	assert_int_equal(wire_count(&wires[2], CTR_tcp_cookie_accepted), 1);
	assert_int_equal(wires[2].opened, 1);
	assert_int_equal(count_all(CTR_tcp_rst_out), 0);
	/* One that nobody made is a failure of the last that was asked. */
	wires[0].port = wires[1].port = wires[2].port = 4001;
	wire_flags(&wires[2], TH_ACK, 1001, got.seq + 1);
	cores_run();
	assert_int_equal(count_all(CTR_tcp_rst_out), 1);
	cores_close();
}

/* The queue holds so many; what comes then is dropped without a word. */
static void full_queue(void **state)
{
	struct wire_seg segs[NIC_BURST];

	(void)state;
	cores_open(TCP_COOKIES_OFF);
	for (uint32_t i = 0; i < NIC_BURST; i++)
		segs[i] = (struct wire_seg){.seq = 1, .ack = 1, .flags = TH_ACK};
	for (uint32_t i = 0; i < QUEUE / NIC_BURST; i++)
		wire_burst(&wires[0], segs, NIC_BURST);
	assert_int_equal(wire_count(&wires[0], CTR_rx_passed), QUEUE);
	assert_int_equal(wire_count(&wires[0], CTR_drop_tcp_passed), 0);
	wire_burst(&wires[0], segs, 5);
	assert_int_equal(wire_count(&wires[0], CTR_drop_tcp_passed), 5);
	for (uint32_t i = 0; i < QUEUE / NIC_BURST; i++)
		cores_run();
	assert_int_equal(wire_count(&wires[2], CTR_drop_tcp_closed), QUEUE);
	cores_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(connections_are_found),
	        cmocka_unit_test(resets_are_found),
	        cmocka_unit_test(strays_are_answered_once),
	        cmocka_unit_test(cookies_are_found),
	        cmocka_unit_test(second_syn_elsewhere),
	        cmocka_unit_test(drained_are_found),
	        cmocka_unit_test(full_queue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
