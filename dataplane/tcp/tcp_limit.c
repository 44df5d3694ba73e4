/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/tcp/tcp_limit.h"

#include "lib/hash.h"

enum {
	ROWS = 3,
	ROW_SHIFT = 21,     /* of 64 bits of hash, so many choose a cell */
	RELIEF_WALK = 256,  /* connections looked at in a call */
	STALL_BYTES = 1024, /* what a probe of a closed window lets pass is no progress */
	SEND_SHORT = 4,     /* below so much of the memory for sending, slow readers go */
	SEND_OUT = 16,      /* below so much of it, nobody new comes */
};

static uint32_t row_cells(const struct tcp_config *cfg)
{
	return (uint32_t)pow2_ceil(cfg->max_conns);
}

size_t limit_cells_bytes(const struct tcp_config *cfg)
{
	return cfg->max_per_address > 0 ? (size_t)ROWS * row_cells(cfg) * sizeof(uint32_t) : 0;
}

/* The address, or its first 64 bits in IPv6: a host there has as many as it likes below. */
static uint64_t addr_hash(const struct tcp *tcp, const struct ip_addr *a)
{
	if (ip_addr_is_v4(a))
		return siphash24(a->b + 12, 4, tcp->hash_key);
	return siphash24(a->b, 8, tcp->hash_key);
}

static uint32_t *cell(const struct tcp *tcp, uint64_t hash, uint32_t row)
{
	uint32_t cells = row_cells(&tcp->cfg);

	return &tcp->addr_cells[row * cells + (hash >> (row * ROW_SHIFT) & (cells - 1))];
}

bool limit_addr_full(const struct tcp *tcp, const struct ip_addr *remote)
{
	uint32_t least = UINT32_MAX;
	uint64_t hash;

	if (tcp->cfg.max_per_address == 0)
		return false;
	hash = addr_hash(tcp, remote);
	for (uint32_t row = 0; row < ROWS; row++)
		least = min_u32(least, *cell(tcp, hash, row));
	return least >= tcp->cfg.max_per_address;
}

void limit_addr_take(struct tcp *tcp, struct conn *c)
{
	uint64_t hash;

	if (tcp->cfg.max_per_address == 0 || c->mem.counted)
		return;
	hash = addr_hash(tcp, &c->path.remote);
	for (uint32_t row = 0; row < ROWS; row++)
		(*cell(tcp, hash, row))++;
	c->mem.counted = 1;
}

void limit_addr_give(struct tcp *tcp, struct conn *c)
{
	uint64_t hash;

	if (!c->mem.counted)
		return;
	hash = addr_hash(tcp, &c->path.remote);
	for (uint32_t row = 0; row < ROWS; row++)
		(*cell(tcp, hash, row))--;
	c->mem.counted = 0;
}

bool send_below(const struct tcp *tcp, uint32_t parts)
{
	return (uint64_t)pool_available(&tcp->chunks) * parts < tcp->chunks.count ||
	       (uint64_t)pool_available(&tcp->refs) * parts < tcp->refs.count;
}

bool limit_accepts(const struct tcp *tcp)
{
	return tcp->rx_mem.level < MEM_OUT && !send_below(tcp, SEND_OUT);
}

/* Marks what the peer has, or measures from the mark before. False: no progress for stall_ms. */
static bool reads_on(const struct tcp *tcp, struct conn *c, uint32_t stall_ms)
{
	struct conn_memory *m = &c->mem;
	uint32_t now = ts_clock(tcp);

	if (m->tx_least > 0 && c->snd_una - m->tx_mark < m->tx_least)
		return now - m->tx_clock < stall_ms;
	m->tx_mark = c->snd_una;
	m->tx_clock = now;
	m->tx_least = (uint16_t)min_u32(c->tx_bytes, STALL_BYTES);
	return true;
}

/* Without it, peers that leave a hole and fall silent would keep everybody else out. */
static void ooo_shed(struct tcp *tcp, struct conn *c)
{
	if (tcp->rx_mem.level < MEM_OUT || !c->rx || c->rx->ooo_count == 0)
		return;
	counter_inc(tcp->ctr, CTR_shed_rx_ooo);
	rx_drop_ooo(tcp, c);
	rx_release_read(tcp, c);
}

void tcp_relieve(struct tcp *tcp, uint32_t stall_ms, bool owners_short, uint64_t now_ns)
{
	bool send_short = owners_short || send_below(tcp, SEND_SHORT);

	if (likely(!send_short && tcp->rx_mem.level < MEM_OUT))
		return;
	tcp->now_ns = now_ns;
	for (uint32_t i = 0; i < RELIEF_WALK; i++) {
		struct conn *c = tcp_conn_walk(tcp, &tcp->relief_cursor);

		if (!c) {
			tcp->relief_cursor = 0;
			return;
		}
		ooo_shed(tcp, c);
		if (!send_short || !conn_synchronized(c) || reads_on(tcp, c, stall_ms))
			continue;
		counter_inc(tcp->ctr, CTR_shed_slow_reader);
		conn_reset(tcp, c);
	}
}
