/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/matrix/setup.h"

static const uint8_t text[4096];

const char *start_name(enum start start)
{
	static const char *const names[START_COUNT] = {
	        "CLOSED",
	        "LISTEN",
	        "SYN-SENT",
	        "SYN-RECEIVED",
	        "SYN-RECEIVED (both opened)",
	        "ESTABLISHED",
	        "FIN-WAIT-1",
	        "FIN-WAIT-2",
	        "CLOSE-WAIT",
	        "CLOSING",
	        "LAST-ACK",
	        "TIME-WAIT",
	        "ESTABLISHED, window 0",
	        "FIN-WAIT-1, window 0",
	        "FIN-WAIT-2, window 0",
	};

	return names[start];
}

bool start_is_shut(enum start start)
{
	return start >= START_ESTABLISHED_SHUT;
}

void setup_send(struct setup *u, const struct o_seg *seg)
{
	struct wire_seg s = {.seq = seg->seq,
	                     .ack = seg->ack,
	                     .wnd = 65535,
	                     .dport = u->dport,
	                     .flags = seg->flags,
	                     .data = text,
	                     .len = seg->len};

	if (seg->ts) {
		put_u32(s.opts, 0x0101080a);
		put_u32(s.opts + 4, seg->tsval);
		s.opts_len = 12;
	}
	wire_send(u->wire, &s);
}

static void peer_send(struct setup *u, uint8_t flags, uint32_t len)
{
	struct o_seg s = {.flags = flags,
	                  .ts = u->ts,
	                  .seq = u->tcb.rcv_nxt,
	                  .ack = flags & O_ACK ? u->tcb.snd_nxt : 0,
	                  .len = len,
	                  .tsval = u->tcb.ts_recent};

	setup_send(u, &s);
	u->tcb.rcv_nxt += len + !!(flags & O_SYN) + !!(flags & O_FIN);
}

/* Reads what the stack sent. */
static bool peer_take(struct setup *u, uint8_t flags)
{
	struct wire_seg got;
	bool found = false;

	while (wire_take(u->wire, &got)) {
		uint32_t end = got.seq + got.len + !!(got.flags & (TH_SYN | TH_FIN));

		if (got.flags & TH_SYN) {
			u->tcb.iss = got.seq;
			u->tcb.snd_una = got.seq;
			u->tcb.snd_nxt = end;
		}
		if (seq_lt(u->tcb.snd_nxt, end))
			u->tcb.snd_nxt = end;
		if (got.flags & TH_ACK)
			u->edge = got.ack + got.wnd;
		found |= (got.flags & (TH_SYN | TH_FIN | TH_ACK)) == flags;
	}
	u->tcb.rcv_wnd = seq_lt(u->tcb.rcv_nxt, u->edge) ? u->edge - u->tcb.rcv_nxt : 0;
	return found;
}

static bool peer_syn(struct setup *u)
{
	u->tcb.irs = u->irs;
	u->tcb.rcv_nxt = u->irs;
	u->tcb.ts_recent = MATRIX_TS;
	u->tcb.max_snd_wnd = 65535;
	peer_send(u, O_SYN, 0);
	u->tcb.ts = u->ts;
	u->tcb.state = O_SYN_RECEIVED;
	return peer_take(u, TH_SYN | TH_ACK);
}

static bool open_active(struct setup *u)
{
	struct wire *w = u->wire;
	struct net_path path = {
	        .local = w->local, .remote = w->remote, .remote_mac = {2, 0, 0, 0, 0, 9}};

	w->conn = tcp_connect(w->tcp, &path, u->dport, w->port, w->now_ns);
	if (!w->conn)
		return false;
	tcp_set_owner(w->conn, w);
	wire_run(w);
	u->tcb.state = O_SYN_SENT;
	u->tcb.rcv_nxt = u->irs;
	return peer_take(u, TH_SYN);
}

static bool open_passive(struct setup *u)
{
	if (!peer_syn(u))
		return false;
	peer_send(u, O_ACK, 0);
	u->tcb.snd_una = u->tcb.snd_nxt;
	u->tcb.state = O_ESTABLISHED;
	return u->wire->conn != NULL;
}

/* Until the stack's window is zero. */
static bool window_fill(struct setup *u)
{
	u->wire->no_read = true;
	for (uint32_t i = 0; i < 64; i++) {
		uint32_t n = min_u32(u->tcb.rcv_wnd, 1000);

		if (n == 0)
			return true;
		peer_send(u, O_ACK | O_PSH, n);
		u->wire->now_ns += 500 * NS_PER_MS;
		wire_run(u->wire);
		peer_take(u, TH_ACK);
	}
	return false;
}

static bool write_text(struct setup *u)
{
	if (tcp_tx_copy(u->wire->tcp, u->wire->conn, text, MATRIX_FLIGHT) != ST_OK)
		return false;
	wire_run(u->wire);
	return peer_take(u, TH_ACK);
}

static bool shut_down(struct setup *u, enum o_state state)
{
	tcp_shutdown(u->wire->tcp, u->wire->conn);
	wire_run(u->wire);
	u->tcb.state = state;
	return peer_take(u, TH_ACK | TH_FIN);
}

static bool peer_fin(struct setup *u, enum o_state state)
{
	struct o_seg s = {.flags = O_FIN | O_ACK,
	                  .ts = u->ts,
	                  .seq = u->tcb.rcv_nxt,
	                  .ack = u->tcb.snd_una,
	                  .tsval = u->tcb.ts_recent};

	setup_send(u, &s);
	u->tcb.rcv_nxt++;
	u->tcb.state = state;
	return peer_take(u, TH_ACK);
}

static bool peer_ack_all(struct setup *u, enum o_state state)
{
	peer_send(u, O_ACK, 0);
	u->tcb.snd_una = u->tcb.snd_nxt;
	u->tcb.state = state;
	return true;
}

static bool setup_late(struct setup *u)
{
	switch (u->start) {
	case START_ESTABLISHED:
	case START_ESTABLISHED_SHUT:
		return true;
	case START_FIN_WAIT_1:
	case START_FIN_WAIT_1_SHUT:
		return shut_down(u, O_FIN_WAIT_1);
	case START_FIN_WAIT_2:
	case START_FIN_WAIT_2_SHUT:
		return shut_down(u, O_FIN_WAIT_1) && peer_ack_all(u, O_FIN_WAIT_2);
	case START_CLOSE_WAIT:
		return peer_fin(u, O_CLOSE_WAIT);
	case START_CLOSING:
		return shut_down(u, O_FIN_WAIT_1) && peer_fin(u, O_CLOSING);
	case START_LAST_ACK:
		return peer_fin(u, O_CLOSE_WAIT) && shut_down(u, O_LAST_ACK);
	default:
		return shut_down(u, O_FIN_WAIT_1) && peer_ack_all(u, O_FIN_WAIT_2) &&
		       peer_fin(u, O_TIME_WAIT);
	}
}

/* Our initial number is a function of the time (RFC 6528), so the time is chosen. */
static void choose_iss(struct setup *u)
{
	struct wire *w = u->wire;
	struct conn_key key = {w->local, w->remote, u->dport, w->port};
	uint32_t gap = u->iss - conn_isn(w->tcp, &key);

	w->now_ns += (uint64_t)gap << 12;
	w->tcp->now_ns = w->now_ns;
	wire_run(w);
}

bool setup_run(struct setup *u)
{
	struct wire *w = u->wire;

	w->conn = NULL;
	w->no_read = false;
	w->rx_len = 0;
	w->events = 0;
	w->port++;
	memset(&u->tcb, 0, sizeof(u->tcb));
	u->tcb.passive = true;
	u->tcb.rcv_nxt = u->irs;
	u->tcb.snd_una = u->iss;
	u->tcb.snd_nxt = u->iss;
	u->dport = u->start == START_CLOSED ? RIG_PORT + 1 : RIG_PORT;
	if (u->start == START_SYN_SENT || u->start == START_SYN_RECEIVED_BOTH)
		u->dport = 4000;
	choose_iss(u);
	switch (u->start) {
	case START_CLOSED:
		return true;
	case START_LISTEN:
		u->tcb.state = O_LISTEN;
		return true;
	case START_SYN_SENT:
		u->tcb.passive = false;
		return open_active(u);
	case START_SYN_RECEIVED:
		return peer_syn(u);
	case START_SYN_RECEIVED_BOTH:
		u->tcb.passive = false;
		return open_active(u) && peer_syn(u);
	default:
		return open_passive(u) && (!start_is_shut(u->start) || window_fill(u)) &&
		       write_text(u) && setup_late(u);
	}
}

enum o_state setup_state(const struct setup *u)
{
	static const enum o_state states[TCP_STATE_COUNT] = {
	        [TCP_CLOSED] = O_CLOSED,           [TCP_LISTEN] = O_LISTEN,
	        [TCP_SYN_SENT] = O_SYN_SENT,       [TCP_SYN_RECEIVED] = O_SYN_RECEIVED,
	        [TCP_ESTABLISHED] = O_ESTABLISHED, [TCP_FIN_WAIT_1] = O_FIN_WAIT_1,
	        [TCP_FIN_WAIT_2] = O_FIN_WAIT_2,   [TCP_CLOSE_WAIT] = O_CLOSE_WAIT,
	        [TCP_CLOSING] = O_CLOSING,         [TCP_LAST_ACK] = O_LAST_ACK,
	        [TCP_TIME_WAIT] = O_TIME_WAIT,
	};
	struct tcp_info info;
	uint32_t cursor = 0;

	while (tcp_conn_next(u->wire->tcp, &cursor, &info))
		if (info.remote_port == u->wire->port && info.local_port == u->dport)
			return states[info.state];
	return O_CLOSED;
}

bool setup_end(struct setup *u)
{
	struct wire *w = u->wire;
	struct tcp_usage use;
	uint32_t cursor = 0;
	struct conn *c;

	while ((c = tcp_conn_walk(w->tcp, &cursor)) != NULL) {
		tcp_set_owner(c, NULL);
		tcp_abort(w->tcp, c);
	}
	wire_run(w);
	/* One that is over and was not read to the end. */
	for (cursor = 0; cursor < w->tcp->conns.fresh; cursor++) {
		c = pool_at(&w->tcp->conns, cursor);
		if (!(c->flags & CF_LIVE))
			continue;
		tcp_set_owner(c, NULL);
		tcp_abort(w->tcp, c);
	}
	wire_run(w);
	wire_drain(w);
	tcp_usage(w->tcp, &use);
	return use.conns + use.rx_bufs + use.tx_chunks + use.tx_refs + use.timers == 0 &&
	       w->tcp->half_open == 0;
}
