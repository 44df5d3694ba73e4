/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The load tool's own TCP against a server of the same TCP, over two ports in memory that hand
 * their frames to each other as they are sent. The server does what the first byte of a request
 * says: 'a' answers, 'f' answers and closes, 'r' resets, 's' says nothing. Its end of load_port
 * stands in for DPDK. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "dataplane/tcp/tcp.h"
#include "lib/clock.h"
#include "lib/config.h"
#include "perf/load/dpdk_port.h"
#include "tests/sim/nic_sim.h"

enum { LINKS = 300, TIMEOUT_MS = 60, ANSWER = 3000, WAIT_MS = 5000 };

struct user {
	struct link *link;
	uint32_t connected;
	uint32_t ended;
	uint32_t rooms;
	enum link_end why;
	size_t bytes;
	/* What to do in these functions */
	const char *send_at_open; /* NULL: nothing */
	bool shut_at_data;
	uint32_t again; /* so many requests follow, each at the end of an answer */
	bool abort_at_open;
};

static struct {
	struct nic *client_nic;
	struct nic *server_nic;
	struct net *net;
	struct tcp *tcp;
	struct counters ctr;
	bool paused;            /* the server reads nothing */
	uint32_t client_frames; /* sent */
	uint32_t server_opened;
	uint32_t server_eof;
	uint32_t server_closed;
	struct transport *t;
	struct user users[LINKS];
} w;

static void release(void *arg, uint64_t cookie)
{
	(void)arg;
	(void)cookie;
}

/* --- The server ---------------------------------------------------------------------------- */

static void server_answer(struct conn *c, char what)
{
	static char answer[ANSWER];

	if (what == 'r')
		tcp_abort(w.tcp, c);
	if (what == 'a' || what == 'f')
		assert_int_equal(tcp_tx_copy(w.tcp, c, answer, sizeof(answer)), ST_OK);
	if (what == 'f')
		tcp_close(w.tcp, c, clock_mono_ns());
}

static void server_news(struct conn *c, uint32_t events)
{
	struct span rx = tcp_rx(c);
	char what = rx.len > 0 ? rx.ptr[0] : '\0';

	w.server_opened += (events & TCP_EV_OPEN) != 0;
	w.server_eof += (events & TCP_EV_EOF) != 0;
	w.server_closed += (events & TCP_EV_CLOSED) != 0;
	if (w.paused || events & TCP_EV_CLOSED)
		return;
	for (; rx.len > 0; rx = tcp_rx(c))
		tcp_rx_consume(w.tcp, c, rx.len);
	server_answer(c, what);
	if (events & TCP_EV_EOF)
		tcp_close(w.tcp, c, clock_mono_ns());
}

static void server_ready(uint64_t now_ns)
{
	struct conn *c;
	uint32_t events;

	while ((c = tcp_ready(w.tcp, &events)) != NULL) {
		server_news(c, events);
		tcp_ready_done(w.tcp, c, now_ns);
	}
}

static void server_run(void)
{
	uint64_t now_ns = clock_mono_ns();
	struct pkt pkts[NIC_BURST];
	unsigned n = nic_rx_burst(w.server_nic, pkts, NIC_BURST);

	n = net_input(w.net, pkts, n, now_ns);
	tcp_input_burst(w.tcp, pkts, n, now_ns);
	server_ready(now_ns);
	nic_pkt_free(w.server_nic, pkts, n);
	tcp_timers(w.tcp, now_ns);
	server_ready(now_ns);
	net_flush(w.net);
}

static void to_server(void *arg, const void *frame, uint32_t len)
{
	(void)arg;
	w.client_frames++;
	nic_sim_inject(w.server_nic, frame, len);
	/* transport_open waits for an answer. */
	if (w.t == NULL)
		server_run();
}

static void to_client(void *arg, const void *frame, uint32_t len)
{
	(void)arg;
	nic_sim_inject(w.client_nic, frame, len);
}

static void server_make(void)
{
	struct nic_sim_config nc = {.mac = {2, 0, 0, 0, 0, 2}, .on_tx = to_client};
	struct tcp_config tc;
	struct tcp_env env = {.ctr = &w.ctr, .release = release};
	struct ip_addr addr;

	assert_true(ip_addr_parse("10.1.0.1", &addr));
	w.server_nic = nic_sim_create(&nc);
	assert_non_null(w.server_nic);
	assert_int_equal(net_create(&w.net, w.server_nic, &w.ctr, &addr, 1), ST_OK);
	env.net = w.net;
	tcp_config_default(&tc);
	tc.max_conns = 1024;
	tc.max_syn_backlog = 1024;
	assert_int_equal(tcp_create(&w.tcp, &tc, &env, clock_mono_ns()), ST_OK);
	assert_int_equal(tcp_listen(w.tcp, &addr, 80), ST_OK);
}

/* --- In the place of DPDK ------------------------------------------------------------------ */

enum status load_port_open(struct load_port *out, const struct transport_config *cfg,
                           char err[TRANSPORT_ERR])
{
	enum status st = load_port_plan_make(&out->plan, cfg, err);

	out->nic = w.client_nic;
	return st;
}

void load_port_close(struct load_port *port)
{
	(void)port;
}

/* --- The engine's part --------------------------------------------------------------------- */

static void send_text(struct user *u, const char *text)
{
	assert_true(w.t->ops->send(w.t, u->link, text, strlen(text)));
}

static void on_connected(void *owner, uint64_t now_ns)
{
	struct user *u = owner;

	(void)now_ns;
	u->connected++;
	if (u->abort_at_open)
		w.t->ops->abort(w.t, u->link);
	else if (u->send_at_open)
		send_text(u, u->send_at_open);
}

static void on_data(void *owner, const char *bytes, size_t len, uint64_t now_ns)
{
	struct user *u = owner;

	(void)bytes;
	(void)now_ns;
	assert_int_equal(u->ended, 0);
	u->bytes += len;
	if (u->shut_at_data)
		w.t->ops->shut(w.t, u->link);
	if (u->bytes % ANSWER == 0 && u->again > 0) {
		u->again--;
		send_text(u, "a");
	}
}

static void on_room(void *owner, uint64_t now_ns)
{
	struct user *u = owner;

	(void)now_ns;
	u->rooms++;
}

static void on_ended(void *owner, enum link_end why, uint64_t now_ns)
{
	struct user *u = owner;

	(void)now_ns;
	u->ended++;
	u->why = why;
}

static int setup(void **state)
{
	struct nic_sim_config nc = {.on_tx = to_server};
	struct transport_config cfg = {
	        .host = "10.1.0.1",
	        .port = 80,
	        .links = LINKS,
	        .timeout_ms = TIMEOUT_MS,
	        .device = "memif:/none",
	        .local = "10.1.0.2-10.1.0.3",
	        .sink = {on_connected, on_data, on_room, on_ended},
	};
	char err[TRANSPORT_ERR];

	(void)state;
	memset(&w, 0, sizeof(w));
	w.client_nic = nic_sim_create(&nc);
	assert_non_null(w.client_nic);
	server_make();
	assert_int_equal(transport_dpdk.open(&w.t, &cfg, err), ST_OK);
	w.client_frames = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (w.t != NULL)
		w.t->ops->close(w.t);
	tcp_destroy(w.tcp);
	net_destroy(w.net);
	nic_sim_destroy(w.server_nic);
	nic_sim_destroy(w.client_nic);
	return 0;
}

static void step(void)
{
	w.t->ops->poll(w.t, 0);
	server_run();
}

/* Steps until *value is want. */
static void step_until(const uint32_t *value, uint32_t want)
{
	uint64_t deadline_ns = clock_mono_ns() + WAIT_MS * NS_PER_MS;

	while (*value != want && clock_mono_ns() < deadline_ns)
		step();
	assert_int_equal(*value, want);
}

static void steps_for(uint32_t ms)
{
	uint64_t deadline_ns = clock_mono_ns() + ms * NS_PER_MS;

	while (clock_mono_ns() < deadline_ns)
		step();
}

static void user_connect(struct user *u)
{
	u->link = w.t->ops->connect(w.t, u);
	assert_non_null(u->link);
}

static struct transport_stats stats(void)
{
	struct transport_stats s;

	w.t->ops->stats(w.t, &s);
	return s;
}

/* --- Tests --------------------------------------------------------------------------------- */

static void test_exchange(void **state)
{
	struct user *u = &w.users[0];
	struct transport_stats s;

	(void)state;
	u->send_at_open = "a";
	user_connect(u);
	while (u->bytes < ANSWER)
		step();
	assert_int_equal(u->connected, 1);
	assert_int_equal(u->bytes, ANSWER);
	assert_int_equal(u->ended, 0);
	s = stats();
	assert_int_equal(s.bytes_out, 1);
	assert_int_equal(s.bytes_in, ANSWER);
	assert_int_equal(s.retransmits + s.drops, 0);
	assert_true(s.busy_ns > 0);
}

/* How a link ends, and what the engine is told. */
static void test_ends(void **state)
{
	static const struct {
		const char *send;
		enum link_end why;
		size_t bytes;
	} cases[] = {
	        {"f", LINK_FINISHED, ANSWER},
	        {"r", LINK_RESET, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct user *u = &w.users[i];

		u->send_at_open = cases[i].send;
		user_connect(u);
		step_until(&u->ended, 1);
		assert_int_equal(u->why, cases[i].why);
		assert_int_equal(u->bytes, cases[i].bytes);
		assert_int_equal(u->connected, 1);
	}
	/* The server was the first to close, and is told of the end of the other side. */
	steps_for(5);
	assert_int_equal(tcp_conn_count(w.tcp), 1); /* its TIME-WAIT */
}

static void test_refused(void **state)
{
	struct user *u = &w.users[0];

	(void)state;
	tcp_stop_listening(w.tcp);
	user_connect(u);
	step_until(&u->ended, 1);
	assert_int_equal(u->why, LINK_REFUSED);
	assert_int_equal(u->connected, 0);
}

static void test_handshake_timeout(void **state)
{
	struct user *u = &w.users[0];
	uint64_t began_ns = clock_mono_ns();

	(void)state;
	nic_sim_set_faults(w.server_nic, NIC_SIM_DEAF);
	user_connect(u);
	step_until(&u->ended, 1);
	assert_int_equal(u->why, LINK_TIMED_OUT);
	assert_int_equal(u->connected, 0);
	assert_true(clock_mono_ns() - began_ns >= TIMEOUT_MS * NS_PER_MS);
}

/* Once the handshake is over its time limit is, too. */
static void test_silence_is_no_end(void **state)
{
	struct user *u = &w.users[0];

	(void)state;
	u->send_at_open = "s";
	user_connect(u);
	steps_for(3 * TIMEOUT_MS);
	assert_int_equal(u->connected, 1);
	assert_int_equal(u->ended, 0);
}

/* The link is gone with the call; both ends forget it. */
static void test_shut_and_abort(void **state)
{
	(void)state;
	w.users[0].send_at_open = "a";
	w.users[0].shut_at_data = true;
	w.users[1].abort_at_open = true;
	user_connect(&w.users[0]);
	user_connect(&w.users[1]);
	step_until(&w.server_eof, 1); /* of the one; the reset of the other came before its ACK */
	steps_for(5);
	assert_true(w.users[0].bytes > 0 && w.users[0].bytes <= ANSWER);
	assert_int_equal(w.users[1].connected, 1);
	assert_int_equal(w.users[0].ended + w.users[1].ended, 0);
	assert_int_equal(tcp_conn_count(w.tcp), 0);
}

static void test_link_limit(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < LINKS; i++) {
		user_connect(&w.users[i]);
		step();
	}
	assert_null(w.t->ops->connect(w.t, &w.users[0]));
	step_until(&w.server_opened, LINKS);
	w.t->ops->abort(w.t, w.users[0].link);
	user_connect(&w.users[0]);
}

/* A port that is full makes everybody wait, and nothing is lost. */
static void test_port_full(void **state)
{
	uint32_t made = 0;

	(void)state;
	nic_sim_set_faults(w.client_nic, NIC_SIM_REFUSES);
	for (uint32_t i = 0; i < LINKS; i++) {
		w.users[i].send_at_open = "a";
		w.users[i].link = w.t->ops->connect(w.t, &w.users[i]);
		if (w.users[i].link == NULL)
			break;
		made++;
		step();
	}
	assert_in_range(made, 16, NET_TX_QUEUE);
	nic_sim_set_faults(w.client_nic, 0);
	step_until(&w.server_opened, made);
	for (uint32_t i = 0; i < made; i++)
		while (w.users[i].bytes < ANSWER)
			step();
	assert_int_equal(stats().drops + stats().retransmits, 0);
}

/* While what an open loop begins waits for the port, answers still come in. */
static void test_full_port_receives(void **state)
{
	struct user *u = &w.users[0];
	uint32_t begun = 1;

	(void)state;
	for (uint32_t i = 0; i < 100; i++) {
		user_connect(&w.users[i]);
		step();
	}
	step_until(&w.server_opened, 100);
	send_text(u, "a");
	w.t->ops->poll(w.t, 0);
	nic_sim_set_faults(w.client_nic, NIC_SIM_REFUSES);
	for (; begun < 100 && w.t->ops->takes(w.t); begun++)
		send_text(&w.users[begun], "a");
	assert_in_range(begun, 16, NET_TX_QUEUE);
	assert_false(w.t->ops->send(w.t, w.users[99].link, "a", 1));
	step();
	step();
	assert_int_equal(u->bytes, ANSWER);
	nic_sim_set_faults(w.client_nic, 0);
	for (uint32_t i = 1; i < begun; i++)
		while (w.users[i].bytes < ANSWER)
			step();
	assert_int_equal(stats().drops + stats().retransmits, 0);
}

/* One that takes nothing for long is dead: time goes on for those who wait. */
static void test_port_dead(void **state)
{
	struct user *u = &w.users[0];

	(void)state;
	nic_sim_set_faults(w.client_nic, NIC_SIM_REFUSES);
	for (uint32_t i = 0; i < 10; i++)
		user_connect(&w.users[i]);
	step_until(&u->ended, 1);
	assert_int_equal(u->why, LINK_TIMED_OUT);
	steps_for(200);
	assert_true(stats().drops > 0);
	for (uint32_t i = 0; i < 10; i++)
		assert_int_equal(w.users[i].ended, 1);
	/* It lives again. */
	nic_sim_set_faults(w.client_nic, 0);
	w.users[10].send_at_open = "a";
	user_connect(&w.users[10]);
	step_until(&w.users[10].connected, 1);
}

/* More than a link's queue holds is refused, and room is told of. */
static void test_send_refused(void **state)
{
	static char much[100 * 1024];
	struct user *u = &w.users[0];
	uint32_t sent = 0;

	(void)state;
	memset(much, 's', sizeof(much));
	user_connect(u);
	step_until(&u->connected, 1);
	w.paused = true;
	while (sent < 100 && w.t->ops->send(w.t, u->link, much, sizeof(much))) {
		sent++;
		step();
	}
	assert_in_range(sent, 2, 99);
	assert_int_equal(u->rooms, 0);
	w.paused = false;
	for (uint32_t cursor = 0;;) {
		struct conn *c = tcp_conn_walk(w.tcp, &cursor);

		if (c == NULL)
			break;
		tcp_wake(w.tcp, c, TCP_EV_DATA);
	}
	step_until(&u->rooms, 1);
	assert_true(w.t->ops->send(w.t, u->link, much, sizeof(much)));
}

/* ACKs of answers ride on the next requests: a frame a request, and no more. */
static void test_no_bare_acks(void **state)
{
	enum { REQUESTS = 100 };
	struct user *u = &w.users[0];
	uint32_t before;

	(void)state;
	u->send_at_open = "a";
	user_connect(u);
	while (u->bytes < ANSWER)
		step();
	before = w.client_frames;
	u->again = REQUESTS - 1;
	send_text(u, "a");
	while (u->bytes < (1 + REQUESTS) * ANSWER)
		step();
	/* The first answers are acknowledged at once, for the server's window shall grow. */
	assert_in_range(w.client_frames - before, REQUESTS, REQUESTS + 8);
}

/* Every port of the addresses is used more than once within a moment. */
static void test_ports_come_back(void **state)
{
	enum { ROUNDS = 1400, EACH = 100 }; /* 140,000 of 129,024 4-tuples */

	(void)state;
	for (uint32_t round = 0; round < ROUNDS; round++) {
		uint32_t want = w.server_opened + EACH;

		for (uint32_t i = 0; i < EACH; i++) {
			user_connect(&w.users[i]);
			if (i % 16 == 15)
				step();
		}
		step_until(&w.server_opened, want);
		for (uint32_t i = 0; i < EACH; i++)
			w.t->ops->shut(w.t, w.users[i].link);
	}
	assert_int_equal(stats().retransmits, 0);
}

/* The server hears of the end, and of that of handshakes under way. */
static void test_close(void **state)
{
	uint32_t closed;

	(void)state;
	for (uint32_t i = 0; i < 20; i++)
		user_connect(&w.users[i]);
	step_until(&w.server_opened, 20);
	closed = w.server_closed;
	w.t->ops->close(w.t);
	w.t = NULL;
	server_run();
	assert_int_equal(w.server_closed - closed, 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_exchange, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_ends, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_handshake_timeout, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_silence_is_no_end, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_shut_and_abort, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_link_limit, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_port_full, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_full_port_receives, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_port_dead, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_send_refused, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_no_bare_acks, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_ports_come_back, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_close, setup, teardown),
	};

	return cmocka_run_group_tests_name("load-dpdk", tests, NULL, NULL);
}
