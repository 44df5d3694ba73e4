/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the owner of the connections does, and those who set the limits. */
#include "tests/fuzz/tcp_target.h"

enum {
	LENT_COOKIE = 3,
	MOST_BYTES = 4096, /* that are sent or opened at once */
};

/* The owner's next octets. */
static const uint8_t *octets_to_send(const struct conn *c)
{
	return target_octets + conn_tx_end(c) % OCTETS_PERIOD;
}

static void read_bytes(struct target *t, struct conn *c, size_t n)
{
	struct shadow *s = &t->shadows[conn_index(t->tcp, c)];

	check_unread(t, c);
	tcp_rx_consume(t->tcp, c, n);
	s->unread += (uint32_t)n;
	t->tally.delivered_bytes += (uint32_t)n;
}

static void read_joined(struct target *t, struct conn *c, uint32_t most)
{
	struct span all;

	check_unread(t, c);
	all = tcp_rx_whole(t->tcp, c, most);
	must(all.len == min_size(min_size(tcp_rx_len(c), most), t->tcp->cfg.rx_buf_bytes) ||
	     all.len == tcp_rx(c).len);
	must(all.len == 0 ||
	     memcmp(all.ptr,
	            target_octets + t->shadows[conn_index(t->tcp, c)].unread % OCTETS_PERIOD,
	            min_size(all.len, OCTETS_PIECE)) == 0);
}

static void write_reserved(struct target *t, struct conn *c, uint32_t want)
{
	const uint8_t *from = octets_to_send(c);
	size_t room = 0;
	char *at = tcp_tx_reserve(t->tcp, c, min_u32(want, TCP_TX_CHUNK), &room);

	if (at == NULL)
		return;
	must(room > 0 && room <= TCP_TX_CHUNK);
	room = min_size(room, want);
	memcpy(at, from, room);
	tcp_tx_commit(t->tcp, c, room);
}

void owner_close(struct target *t, struct conn *c)
{
	tcp_set_owner(c, NULL);
	tcp_close(t->tcp, c, t->now_ns);
}

void owner_abort(struct target *t, struct conn *c)
{
	tcp_set_owner(c, NULL);
	tcp_abort(t->tcp, c);
}

void owner_act(struct target *t, struct conn *c, uint8_t what)
{
	uint32_t n = 1u << (what >> 4);

	switch (what & 15) {
	case 0:
		read_bytes(t, c, min_size(n, tcp_rx_len(c)));
		break;
	case 1:
		tcp_tx_copy(t->tcp, c, octets_to_send(c), min_u32(n, MOST_BYTES));
		break;
	case 2:
		if (tcp_tx_ref(t->tcp, c, octets_to_send(c), min_u32(n, MOST_BYTES), LENT_COOKIE) ==
		    ST_OK)
			t->lent += LENT_COOKIE;
		break;
	case 3:
		tcp_shutdown(t->tcp, c);
		break;
	case 4:
		owner_close(t, c);
		break;
	case 5:
		owner_abort(t, c);
		break;
	case 6:
		tcp_user_timer(t->tcp, c, t->now_ns + n * NS_PER_MS);
		break;
	case 7:
		tcp_tx_want_room(c, n);
		break;
	case 8:
		tcp_wake(t->tcp, c, 0);
		break;
	case 9:
		write_reserved(t, c, n);
		break;
	case 10:
		read_joined(t, c, n);
		break;
	case 11:
		read_bytes(t, c, tcp_rx(c).len);
		break;
	case 12:
		tcp_user_timer(t->tcp, c, 0);
		break;
	default:
		break;
	}
}

void owner_ready(struct target *t, struct conn *c, uint32_t events, struct input *in)
{
	check_unread(t, c);
	if (events & TCP_EV_CLOSED)
		return;
	if (events & TCP_EV_OPEN)
		tcp_set_owner(c, t);
	owner_act(t, c, input_take(in));
}

/* how: bit 0 the listener's port and not any other, bit 1 with data, bit 2 owned at once. */
void owner_open(struct target *t, const struct lane *lane, uint8_t how)
{
	struct tcp_open open = {.path = &lane->path,
	                        .local_port = how & 1 ? LOCAL_PORT : 0,
	                        .remote_port = lane->port,
	                        .data = "0123456789"};
	struct conn *c;

	if (how & 2 && t->early_count < MAX_EARLY)
		open.len = EARLY_BYTES;
	c = tcp_connect_fast(t->tcp, &open, t->now_ns);
	if (c == NULL)
		return;
	if (open.len > 0)
		t->early_iss[t->early_count++] = c->iss;
	if (how & 4)
		tcp_set_owner(c, t);
}

/* As another configuration would have it from the start. */
static void configure(struct target *t, uint32_t how)
{
	struct tcp_config *cfg = &t->tcp->cfg;

	if (tcp_conn_count(t->tcp) > 0)
		return;
	cfg->congestion = how & 1 ? TCP_CONGESTION_NEWRENO : TCP_CONGESTION_CUBIC;
	cfg->pacing = (how >> 1) % TCP_PACING_COUNT;
	cfg->ecn = (how >> 2) % TCP_ECN_COUNT;
	cfg->pmtu_probing = (how >> 3) % (TCP_PMTU_ALWAYS + 1);
	cfg->timestamps_required = how >> 4;
	cfg->user_timeout_advertise_ms = how & 1 ? 30000 : 0;
}

void target_misc(struct target *t, uint8_t what)
{
	static const struct ip_addr any;
	uint8_t seed[TCP_SEED_BYTES] = {what};
	uint32_t how = what >> 3;

	switch (what & 7) {
	case 0:
		t->tcp->cfg.syn_cookies = how % (TCP_COOKIES_ALWAYS + 1);
		break;
	case 1:
		nic_sim_set_faults(t->nic, how & (NIC_SIM_STARVED | NIC_SIM_REFUSES));
		break;
	case 2:
		tcp_relieve(t->tcp, how * 100, (how & 1) != 0, t->now_ns);
		break;
	case 3:
		tcp_reseed(t->tcp, seed);
		break;
	case 4:
		configure(t, how);
		break;
	case 5:
		t->patient = true;
		break;
	case 6:
		tcp_stop_listening(t->tcp);
		if (how & 1)
			must(tcp_listen(t->tcp, &any, LOCAL_PORT) == ST_OK);
		break;
	default:
		break;
	}
}
