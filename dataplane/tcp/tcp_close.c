/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The ends of a connection: FIN from either side or both at once, TIME-WAIT, resets, and what the
 * owner asks for. */
#include "dataplane/tcp/conn.h"
#include "dataplane/tcp/tcp_limit.h"

bool conn_reportable(const struct conn *c)
{
	return c->flags & CF_KNOWN && (c->owner || !(c->flags & CF_DETACHED));
}

/* Out of every list but the ready list. */
static void conn_retire(struct tcp *tcp, struct conn *c)
{
	half_open_unlink(tcp, c);
	limit_addr_give(tcp, c);
	time_wait_unlink(tcp, c);
	orphan_unlink(tcp, c);
	timer_cancel(&tcp->wheel, &c->timer);
	conn_unhash(tcp, c);
	tx_release_all(tcp, c);
	if (c->state != TCP_CLOSED)
		counter_inc(tcp->ctr, CTR_tcp_closed);
	c->state = TCP_CLOSED;
	c->rtx_ns = 0;
	c->ack_ns = 0;
	c->linger_ns = 0;
}

static void conn_settle(struct tcp *tcp, struct conn *c)
{
	if (c->flags & (CF_IN_HAND | CF_READY) && !conn_reportable(c))
		return; /* tcp_ready or tcp_ready_done frees it */
	if (!conn_reportable(c))
		conn_free(tcp, c);
	else if (!(c->flags & CF_TOLD))
		conn_post(tcp, c, TCP_EV_CLOSED);
}

void conn_die(struct tcp *tcp, struct conn *c)
{
	conn_retire(tcp, c);
	c->flags &= ~CF_FINISHED;
	conn_settle(tcp, c);
}

void conn_finish(struct tcp *tcp, struct conn *c)
{
	conn_retire(tcp, c);
	if (conn_rx_len(c) > 0 && conn_reportable(c)) {
		c->flags |= CF_FINISHED;
		if (c->user_ns)
			conn_arm(tcp, c, c->user_ns); /* the owner may pace its reads by it */
		conn_post(tcp, c, TCP_EV_EOF);
		return;
	}
	conn_settle(tcp, c);
}

void conn_reset(struct tcp *tcp, struct conn *c)
{
	/* RFC 9293 3.10.5: in SYN-SENT and TIME-WAIT nothing is sent. In CLOSING and LAST-ACK it
	 * need not be, but bytes before our FIN may be lost with us, and the peer should know. */
	if (c->state == TCP_SYN_RECEIVED || c->state == TCP_ESTABLISHED ||
	    c->state == TCP_FIN_WAIT_1 || c->state == TCP_FIN_WAIT_2 ||
	    c->state == TCP_CLOSE_WAIT || c->state == TCP_LAST_ACK || c->state == TCP_CLOSING)
		reset_send(tcp, c);
	conn_die(tcp, c);
}

void time_wait_unlink(struct tcp *tcp, struct conn *c)
{
	if (c->state != TCP_TIME_WAIT)
		return;
	age_unlink(tcp, &tcp->time_waits, c);
	tcp->time_wait_count--;
}

bool time_wait_give_up(struct tcp *tcp)
{
	if (!give_up_oldest(tcp, &tcp->time_waits))
		return false;
	counter_inc(tcp->ctr, CTR_shed_time_wait);
	return true;
}

void orphan_unlink(struct tcp *tcp, struct conn *c)
{
	if (!c->hs.orphan)
		return;
	c->hs.orphan = false;
	age_unlink(tcp, &tcp->orphans, c);
	tcp->orphan_count--;
}

bool orphan_give_up(struct tcp *tcp)
{
	if (tcp->orphans.oldest == TCP_NONE)
		return false;
	counter_inc(tcp->ctr, CTR_shed_orphan);
	conn_reset(tcp, pool_at(&tcp->conns, tcp->orphans.oldest));
	return true;
}

/* A bound on those that nobody but the stack waits for: peers that never acknowledge the end would
 * fill the table. */
void orphan_link(struct tcp *tcp, struct conn *c)
{
	if (c->hs.orphan)
		return;
	if (tcp->orphan_count >= tcp->cfg.max_orphans)
		orphan_give_up(tcp);
	c->hs.orphan = true;
	age_link(tcp, &tcp->orphans, c);
	tcp->orphan_count++;
}

static void time_wait_start(struct tcp *tcp, struct conn *c)
{
	c->rtx_ns = tcp->now_ns + tcp->cfg.time_wait_ms * NS_PER_MS;
	c->linger_ns = 0;
	conn_arm(tcp, c, c->rtx_ns);
}

/* Both FINs are acknowledged, or will be: only the 4-tuple is kept. */
void time_wait_enter(struct tcp *tcp, struct conn *c)
{
	tx_release_all(tcp, c);
	orphan_unlink(tcp, c);
	limit_addr_give(tcp, c);
	if (tcp->time_wait_count >= tcp->cfg.max_time_waits)
		time_wait_give_up(tcp);
	c->state = TCP_TIME_WAIT;
	age_link(tcp, &tcp->time_waits, c);
	tcp->time_wait_count++;
	time_wait_start(tcp, c);
	if (!conn_reportable(c)) {
		rx_release(tcp, c);
		return;
	}
	c->flags |= CF_FINISHED;
	conn_post(tcp, c, conn_rx_len(c) > 0 ? TCP_EV_EOF : TCP_EV_EOF | TCP_EV_CLOSED);
}

/* RFC 6191 2: a later timestamp shows a new connection, as does the first one on a 4-tuple that had
 * none; else its sequence number must be beyond all of the old one's, of which the last was that of
 * the FIN (RFC 9293 3.6.1, MAY-2). */
static bool syn_newer(const struct conn *c, const struct seg *s)
{
	if (s->has_ts && !(c->flags & CF_TS))
		return true;
	if (s->has_ts && s->tsval != c->ts_recent)
		return seq_lt(c->ts_recent, s->tsval);
	return seq_lt(c->rcv_nxt - 1, s->seq);
}

static enum counter_id time_wait_syn(struct tcp *tcp, struct conn *c, struct seg *s)
{
	struct conn_key key = {c->path.local, c->path.remote, c->lport, c->rport};
	uint32_t after = c->snd_nxt;
	bool newer = syn_newer(c, s);

	if (newer && listening(tcp, &key)) {
		enum counter_id verdict = listen_limits(tcp, &key);

		/* Whoever is turned away takes nothing from the old connection. */
		if (verdict != CTR_rx_tcp)
			return verdict;
		conn_finish(tcp, c); /* the owner may not have read everything yet */
		return listen_again_input(tcp, s, &key, after);
	}
	/* RFC 6191 2 drops an old timestamp silently; for the rest, RFC 9293 3.10.7.4. */
	if (newer || !s->has_ts)
		ack_challenge(tcp, c);
	return CTR_drop_tcp_window;
}

enum counter_id time_wait_input(struct tcp *tcp, struct conn *c, struct seg *s)
{
	if (s->flags & TH_RST)
		return CTR_drop_tcp_window; /* RFC 1337 3 (F1): no assassination */
	if ((s->flags & (TH_SYN | TH_ACK | TH_FIN)) == TH_SYN)
		return time_wait_syn(tcp, c, s);
	if (opt_ts_missing(tcp, c, s))
		return CTR_drop_tcp_no_ts;
	if (opt_paws_reject(tcp, c, s)) {
		ack_challenge(tcp, c);
		return CTR_drop_tcp_paws;
	}
	/* Our last ACK was lost (RFC 9293 3.10.7.4, eighth). Other FINs may be an attack that keeps
	 * the 4-tuple for ever. */
	if (s->flags & TH_FIN && s->seq + s->len + 1 == c->rcv_nxt) {
		path_follow(c, s->pkt); /* perhaps it went the wrong way */
		time_wait_start(tcp, c);
	}
	if (!seg_acceptable(c, s) || s->flags & TH_SYN)
		ack_challenge(tcp, c); /* first and fourth */
	else if (s->flags & TH_ACK && (s->flags & TH_FIN || !ack_in_range(c, s)))
		ack_challenge(tcp, c); /* fifth and eighth */
	return CTR_rx_tcp;
}

bool fin_acked(struct tcp *tcp, struct conn *c)
{
	switch (c->state) {
	case TCP_FIN_WAIT_1:
		c->state = TCP_FIN_WAIT_2;
		if (c->flags & CF_DETACHED)
			linger_start(tcp, c);
		keepalive_start(tcp, c);
		return true;
	case TCP_CLOSING:
		time_wait_enter(tcp, c);
		return true;
	case TCP_LAST_ACK:
		conn_finish(tcp, c);
		return false;
	default:
		return true;
	}
}

bool fin_input(struct tcp *tcp, struct conn *c)
{
	c->rcv_nxt++;
	c->flags |= CF_FIN_RCVD | CF_ACK_NOW;
	c->flags &= ~CF_FIN_EARLY;
	rx_drop_ooo(tcp, c); /* what a broken peer sent from behind its FIN */
	if (conn_reportable(c) || !(c->flags & CF_KNOWN))
		conn_post(tcp, c, TCP_EV_EOF);
	switch (c->state) {
	case TCP_ESTABLISHED:
		c->state = TCP_CLOSE_WAIT;
		return true;
	case TCP_FIN_WAIT_1:
		c->state = TCP_CLOSING;
		return true;
	case TCP_FIN_WAIT_2:
		ack_send(tcp, c);
		time_wait_enter(tcp, c);
		return true;
	default:
		return true;
	}
}

void tcp_shutdown(struct tcp *tcp, struct conn *c)
{
	if (c->flags & CF_FIN_QUEUED || c->state == TCP_CLOSED)
		return;
	c->flags |= CF_FIN_QUEUED;
	if (!(c->flags & CF_IN_HAND))
		conn_post(tcp, c, 0);
}

void tcp_close(struct tcp *tcp, struct conn *c, uint64_t now_ns)
{
	tcp->now_ns = now_ns;
	if (!(c->flags & CF_DETACHED))
		c->orphan_since = ts_clock(tcp);
	c->flags |= CF_DETACHED | CF_FIN_QUEUED;
	c->user_ns = 0;
	/* What was received is not wanted; the ACK that opens the window again goes out below. */
	rx_release(tcp, c);
	if (c->state == TCP_SYN_SENT) {
		conn_die(tcp, c);
		return;
	}
	if (c->state == TCP_CLOSED) {
		conn_settle(tcp, c);
		return;
	}
	if (c->state == TCP_TIME_WAIT)
		return;
	if (c->state != TCP_SYN_RECEIVED)
		orphan_link(tcp, c);
	linger_start(tcp, c);
	if (!(c->flags & CF_IN_HAND))
		conn_output(tcp, c);
}

void tcp_abort(struct tcp *tcp, struct conn *c)
{
	c->flags |= CF_DETACHED;
	rx_release(tcp, c);
	if (c->state == TCP_CLOSED)
		conn_settle(tcp, c);
	else
		conn_reset(tcp, c);
}
