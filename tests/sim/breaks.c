/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Bugs to order: each shows that a check is able to fail. They act at the border between product
 * and tests, or on the product's state. */
#include <stdlib.h>
#include <time.h>

#include "dataplane/net/csum.h"
#include "tests/sim/world.h"
#include "tests/sim/bytes.h"

#define BREAK_AFTER 40u /* times that the place is passed by, so that connections are under way */

static void csum_renew(struct view *v)
{
	uint32_t tcp_len = 20u + v->opts_len + v->data_len;
	uint8_t tail[8] = {0, 0, 0, 6, 0, 0, (uint8_t)(tcp_len >> 8), (uint8_t)tcp_len};
	uint32_t sum = csum_add(csum_add(0, tail, 8), v->src, v->v6 ? 32 : 8);
	uint16_t csum;

	memset(v->tcp + 16, 0, 2);
	csum = csum_fold(csum_add(sum, v->tcp, tcp_len));
	memcpy(v->tcp + 16, &csum, 2);
}

/* The segment becomes larger than it may be. */
static void grow(struct view *v, uint8_t *frame, uint32_t *len)
{
	uint32_t more = 1500 + 14 - *len;
	uint32_t ip_len;

	memcpy((uint8_t *)(uintptr_t)v->data + v->data_len, v->data,
	       more < v->data_len ? more : v->data_len);
	v->data_len += more;
	*len += more;
	if (v->v6) {
		ip_len = *len - 54;
		frame[18] = (uint8_t)(ip_len >> 8);
		frame[19] = (uint8_t)ip_len;
		return;
	}
	ip_len = *len - 14;
	frame[16] = (uint8_t)(ip_len >> 8);
	frame[17] = (uint8_t)ip_len;
	memset(frame + 24, 0, 2);
	uint16_t csum = csum_fold(csum_add(0, frame + 14, 20));
	memcpy(frame + 24, &csum, 2);
}

/* The first block, when there is one. */
static bool sack_move(struct view *v)
{
	if (v->sack_count == 0)
		return false;
	put32((uint8_t *)(uintptr_t)v->sack + 4, v->ack + 300000);
	return true;
}

/* True when it was planted. */
static bool segment_break(struct world *w, struct view *v, uint8_t *frame, uint32_t *len)
{
	uint8_t *data = (uint8_t *)(uintptr_t)v->data;
	const struct slot *s;

	switch (w->run->broken) {
	case BREAK_byte:
		if (v->data_len == 0)
			return false;
		data[v->data_len / 2] ^= 0x10;
		return true;
	case BREAK_window:
		if (v->data_len == 0)
			return false;
		put32(v->tcp + 4, v->seq + (1u << 24));
		return true;
	case BREAK_mss:
		s = slot_find(w, v->dst[v->v6 ? 15 : 3] == 3, v->dport);
		if (v->data_len < 60 || s == NULL || s->watch.client_mss > 1300)
			return false;
		grow(v, frame, len);
		return true;
	case BREAK_ack_back:
		put32(v->tcp + 8, v->ack - 100000);
		return true;
	case BREAK_ack_ahead:
		put32(v->tcp + 8, v->ack + 100000);
		return true;
	case BREAK_offer_back:
		if (v->tcp[14] == 0)
			return false;
		v->tcp[14] = 0;
		return true;
	case BREAK_sack:
		return sack_move(v);
	case BREAK_stamp:
		if (!v->has_ts || v->opts_len != 12)
			return false;
		put32(v->tcp + 24, v->tsval - 1000);
		return true;
	case BREAK_csum:
		v->tcp[16] ^= 1;
		return true;
	default:
		return false;
	}
}

void break_arrival(struct world *w, const struct view *v)
{
	uint8_t *data = (uint8_t *)(uintptr_t)v->data;
	struct view copy = *v;

	if (w->run->broken != BREAK_arrived || v->data_len == 0 || v->dport % 5 != 3)
		return;
	data[0] ^= 1;
	csum_renew(&copy);
}

bool break_frame(struct world *w, uint8_t *frame, uint32_t *len)
{
	enum sim_break how = w->run->broken;
	struct view v;

	if (!view_parse(&v, frame, *len))
		return true;
	if (how == BREAK_stuck || how == BREAK_stall)
		return !(v.dport % 7 == 3 && v.dport < 2000 &&
		         (how == BREAK_stuck || w->faults.mended_ns != 0));
	if (v.flags & (PF_SYN | PF_RST))
		return true;
	if (w->break_count < BREAK_AFTER) {
		w->break_count++;
		return true;
	}
	if (segment_break(w, &v, frame, len) && how != BREAK_csum)
		csum_renew(&v);
	return true;
}

/* A connection with data in flight, NULL: none. */
static struct conn *busy_conn(struct world *w)
{
	uint32_t cursor = 0;
	struct conn *c;

	while ((c = tcp_conn_walk(w->server.tcp, &cursor)) != NULL)
		if (c->state == TCP_ESTABLISHED && conn_flight(c) > 0)
			return c;
	return NULL;
}

/* True when it was planted. */
static bool conn_break(struct world *w)
{
	struct conn *c = busy_conn(w);

	if (c == NULL)
		return false;
	switch (w->run->broken) {
	case BREAK_una:
		c->snd_una = c->snd_nxt + 1;
		return true;
	case BREAK_flight:
		c->snd_nxt += 1u << 20;
		return true;
	case BREAK_scoreboard:
		c->sacked_bytes++;
		return true;
	case BREAK_no_timer:
		c->rtx_ns = 0;
		c->ack_ns = 0;
		timer_cancel(&w->server.tcp->wheel, &c->timer);
		return true;
	case BREAK_leak_timer:
		c->timer = (struct timer){0};
		return true;
	default:
		return false;
	}
}

static bool pool_break(struct world *w)
{
	struct tcp *tcp = w->server.tcp;
	struct pkt pkt;

	switch (w->run->broken) {
	case BREAK_leak_packet:
		return nic_pkt_alloc(w->server.nic, &pkt);
	case BREAK_leak_conn:
		return pool_get(&tcp->conns) != NULL;
	case BREAK_leak_rx:
		return rx_buf_get(&tcp->rx_mem) != NULL;
	case BREAK_leak_chunk:
		return pool_get(&tcp->chunks) != NULL;
	case BREAK_leak_ref:
		return pool_get(&tcp->refs) != NULL;
	case BREAK_leak_lent:
		w->server.returned--;
		return true;
	case BREAK_counter:
		counter_inc(&w->server.ctr, CTR_rx_packets);
		return true;
	default:
		return false;
	}
}

void break_step(struct world *w)
{
	struct timespec ts;

	if (w->run->broken == BREAK_chance) {
		clock_gettime(CLOCK_MONOTONIC, &ts);
		w->rng.s += (uint64_t)ts.tv_nsec;
		return;
	}
	if (w->break_count == UINT64_MAX || w->live < 8)
		return;
	if (conn_break(w) || pool_break(w))
		w->break_count = UINT64_MAX;
}
