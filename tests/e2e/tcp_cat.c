/* SPDX-License-Identifier: BSD-2-Clause
 *
 * netcat on Sluice's TCP: connects from a front door's port, sends its standard input and a FIN,
 * and writes what it receives to its standard output. Tests use it to meet Linux as a server.
 *
 *   tcp_cat CONFIG REMOTE PORT MAC
 *
 * The first listener of CONFIG is the local end, since its address and port are what the XDP
 * program brings here, over the first port; MAC is the next hop's. Exits with 0 after an orderly
 * end of both directions, 2 when the connection was reset or timed out, 1 otherwise. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "dataplane/dpdk/eal_dpdk.h"
#include "dataplane/tcp/tcp.h"
#include "lib/clock.h"

enum { READ_BYTES = 16384, QUEUE_BYTES = 262144, DEADLINE_S = 120 };

struct cat {
	struct nic *nic;
	struct net *net;
	struct tcp *tcp;
	struct conn *conn;
	struct counters ctr;
	uint64_t now_ns;
	bool open;
	bool input_ended;
	bool eof;
	bool closed;
	bool failed;
};

static void release(void *arg, uint64_t cookie)
{
	(void)arg;
	(void)cookie;
}

static bool out_write(const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(1, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

static void input_pump(struct cat *c)
{
	static char buf[READ_BYTES];
	struct pollfd p = {.fd = 0, .events = POLLIN};
	ssize_t n;

	if (!c->open || c->input_ended || c->closed || tcp_tx_queued(c->conn) > QUEUE_BYTES ||
	    poll(&p, 1, 0) <= 0)
		return;
	n = read(0, buf, sizeof(buf));
	if (n <= 0) {
		c->input_ended = true;
		tcp_shutdown(c->tcp, c->conn);
	} else if (tcp_tx_copy(c->tcp, c->conn, buf, (size_t)n) != ST_OK) {
		c->failed = true;
	}
	tcp_wake(c->tcp, c->conn, 0);
}

static void events_run(struct cat *c)
{
	struct conn *conn;
	uint32_t events;

	while ((conn = tcp_ready(c->tcp, &events)) != NULL) {
		struct span rx;

		c->eof |= (events & TCP_EV_EOF) != 0;
		if (events & TCP_EV_CLOSED) {
			c->closed = true;
			tcp_ready_done(c->tcp, conn, c->now_ns);
			continue;
		}
		c->open |= (events & TCP_EV_OPEN) != 0;
		while ((rx = tcp_rx(conn)).len > 0) {
			c->failed |= !out_write(rx.ptr, rx.len);
			tcp_rx_consume(c->tcp, conn, rx.len);
		}
		tcp_ready_done(c->tcp, conn, c->now_ns);
	}
}

static void round_run(struct cat *c)
{
	struct pkt pkts[NIC_BURST];
	unsigned n = nic_rx_burst(c->nic, pkts, NIC_BURST);

	c->now_ns = clock_mono_ns();
	if (n > 0)
		n = net_input(c->net, pkts, n, c->now_ns);
	if (n > 0)
		tcp_input_burst(c->tcp, pkts, n, c->now_ns);
	events_run(c);
	if (n > 0)
		nic_pkt_free(c->nic, pkts, n);
	tcp_timers(c->tcp, c->now_ns);
	events_run(c);
	if (!c->closed)
		input_pump(c);
	events_run(c);
	net_flush(c->net);
}

static enum status stack_make(struct cat *c, const struct ip_addr *local)
{
	struct tcp_config cfg;
	struct tcp_env env = {.ctr = &c->ctr, .release = release};
	enum status st = net_create(&c->net, c->nic, &c->ctr, local, 1);

	if (st != ST_OK)
		return st;
	tcp_config_default(&cfg);
	cfg.max_conns = 16;
	cfg.max_syn_backlog = 16;
	env.net = c->net;
	return tcp_create(&c->tcp, &cfg, &env, clock_mono_ns());
}

static bool mac_parse(const char *text, uint8_t mac[6])
{
	return sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2], &mac[3],
	              &mac[4], &mac[5]) == 6;
}

struct ports {
	uint16_t local;
	uint16_t remote;
};

static int cat_run(struct cat *c, const struct net_path *path, struct ports ports)
{
	uint64_t deadline = clock_mono_ns() + DEADLINE_S * NS_PER_S;

	c->now_ns = clock_mono_ns();
	net_announce(c->net);
	c->conn = tcp_connect(c->tcp, path, ports.local, ports.remote, c->now_ns);
	if (!c->conn) {
		fprintf(stderr, "tcp_cat: no connection can be made\n");
		return 1;
	}
	tcp_set_owner(c->conn, c); /* so that its end is told */
	/* In TIME-WAIT all is said and done; nobody here waits for it to pass. */
	while (!c->closed && !c->failed && c->now_ns < deadline) {
		struct tcp_info info;

		round_run(c);
		if (c->closed)
			break;
		tcp_conn_info(c->conn, &info);
		if (info.state == TCP_TIME_WAIT && c->eof) {
			for (uint64_t end = c->now_ns + 300 * NS_PER_MS; c->now_ns < end;)
				round_run(c);
			return 0;
		}
	}
	if (c->failed || !c->closed)
		return 1;
	return c->eof && c->input_ended ? 0 : 2;
}

int main(int argc, char **argv)
{
	static struct cat c;
	struct net_path path = {0};
	struct config_error error;
	struct config *cfg;
	struct dpdk *dpdk;
	struct ports ports;
	char err[512];
	int rc = 1;

	if (argc != 5 || !ip_addr_parse(argv[2], &path.remote) ||
	    !mac_parse(argv[4], path.remote_mac)) {
		fprintf(stderr, "usage: tcp_cat CONFIG REMOTE PORT MAC\n");
		return 1;
	}
	if (config_load(argv[1], &cfg, &error) != ST_OK) {
		fprintf(stderr, "tcp_cat: %s\n", error.text);
		return 1;
	}
	if (dpdk_start(cfg, &dpdk, err, sizeof(err)) != ST_OK) {
		fprintf(stderr, "tcp_cat: %s\n", err);
		return 1;
	}
	c.nic = dpdk_nic(dpdk, 0);
	ports = (struct ports){cfg->listeners[0].port, (uint16_t)atoi(argv[3])};
	if (ip_addr_parse(cfg->listeners[0].address, &path.local) &&
	    dpdk_thread_start(dpdk, 0) == ST_OK && stack_make(&c, &path.local) == ST_OK)
		rc = cat_run(&c, &path, ports);
	else
		fprintf(stderr, "tcp_cat: the stack cannot be made\n");
	dpdk_thread_end(dpdk);
	dpdk_stop(dpdk);
	config_free(cfg);
	return rc;
}
