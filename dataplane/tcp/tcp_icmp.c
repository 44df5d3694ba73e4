/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ICMP errors about our segments, as net_input read them. An error counts only when it quotes a
 * segment that is in flight (RFC 5927 4.1), and none ends a connection that is open: whoever can
 * forge one could else reset it (RFC 5461 4.1, RFC 5927 5.2). */
#include "dataplane/tcp/conn.h"

/* False when the error is about no segment in flight. */
static struct conn *quoted_conn(const struct tcp *tcp, const struct net_error *e)
{
	struct conn_key key = {e->local, e->remote, e->local_port, e->remote_port};
	struct conn *c = conn_lookup(tcp, &key, conn_hash(tcp, &key));

	if (!c || c->state == TCP_CLOSED || c->state == TCP_TIME_WAIT)
		return NULL;
	return e->seq - c->snd_una < conn_flight(c) ? c : NULL;
}

static enum counter_id error_input(struct tcp *tcp, const struct net_error *e)
{
	struct conn *c = quoted_conn(tcp, e);
	enum counter_id verdict;

	if (!c)
		return CTR_drop_icmp_quote;
	if (e->kind == NET_ERROR_TOO_BIG) {
		verdict = pmtu_too_big(tcp, c, e);
		if (!(c->flags & (CF_READY | CF_IN_HAND)))
			conn_output(tcp, c);
		return verdict;
	}
	/* RFC 1122 4.2.3.9, RFC 5461 4.1: only before anything was agreed does a hard error end the
	 * attempt. The timeout decides for all else. */
	if (e->kind == NET_ERROR_HARD && c->state == TCP_SYN_SENT) {
		counter_inc(tcp->ctr, CTR_tcp_icmp_abort);
		c->end = TCP_END_UNREACHABLE;
		conn_die(tcp, c);
		return CTR_rx_icmp;
	}
	counter_inc(tcp->ctr, CTR_tcp_icmp_soft);
	return CTR_rx_icmp;
}

void tcp_input_errors(struct tcp *tcp, uint64_t now_ns)
{
	struct net_error e;

	tcp->now_ns = now_ns;
	while (unlikely(net_error_take(tcp->net, &e))) {
		enum counter_id verdict = error_input(tcp, &e);

		/* It may be about a connection of another core, which the port cannot know. */
		if (verdict == CTR_drop_icmp_quote && net_error_pass(tcp->net, &e))
			verdict = CTR_rx_icmp;
		if (!e.passed)
			counter_inc(tcp->ctr, verdict);
	}
}
