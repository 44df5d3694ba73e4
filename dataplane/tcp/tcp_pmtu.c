/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Down: at once when an ICMP error says so and no segment of the present size was acknowledged yet;
 * else when a timeout confirms it (RFC 5927 7.2); without ICMP, a step of the ladder for each
 * timeout of a full segment from the second in a row on. Up: a probe, that is one larger segment of
 * data, first of the largest size, then of the ladder's next. A connection that runs at its ceiling
 * and has seen a full segment acknowledged has busy == 0 and never comes here. */
#include "dataplane/tcp/tcp_pmtu.h"

#include "dataplane/tcp/conn.h"

enum pmtu_busy {
	PM_LEARN = 1 << 0,  /* no full segment of the present size is known to have arrived */
	PM_RAISE = 1 << 1,  /* below the ceiling */
	PM_MARKED = 1 << 2, /* mark is valid */
};

enum {
	PMTU_TRIES = 2,   /* timeouts in a row before the path is suspected */
	PMTU_AGAIN_S = 5, /* a suspicion is checked so soon: perhaps the path was only down */
	PMTU_BASE = 1280, /* where a search from below begins */
	/* Links of one path, each smaller than the one before. For each reduction all in flight is
	 * sent again, so whoever forges errors gets no more of them. */
	PMTU_ERRORS_MOST = 8,
	PMTU_V6_LEAST = 1280, /* RFC 8201 4 */
	PMTU_LEAST_MSS =
	        216, /* no link is known that carries less; only an attacker would say so */
};

/* Sizes of IP packets that paths have: tunnels, PPPoE, Ethernet, jumbo frames; descending. */
static const uint16_t ladder[] = {9000, 4352, 2002, 1492, 1400, 1280, 1064, 576, 296};
/* RFC 1191 7. */
static const uint16_t plateaus[] = {65535, 32000, 17914, 8166, 4352, 2002,
                                    1492,  1006,  508,   296,  68};

static uint32_t headers(const struct conn *c)
{
	uint32_t ip = ip_addr_is_v4(&c->path.local) ? 40 : 60;

	return ip + (c->flags & CF_TS ? TCP_TS_OPT_LEN : 0);
}

static uint32_t conn_mtu(const struct conn *c)
{
	return c->mss + headers(c);
}

/* The payload that fits, no less than the least of any path. */
static uint32_t mtu_to_mss(const struct tcp *tcp, const struct conn *c, uint32_t mtu)
{
	uint32_t ts = c->flags & CF_TS ? TCP_TS_OPT_LEN : 0;
	uint32_t mss = mtu > headers(c) ? mtu - headers(c) : 0;

	return max_u32(mss, max_u32(tcp->cfg.min_send_mss, PMTU_LEAST_MSS) - ts);
}

static uint32_t below(const uint16_t *table, uint32_t count, uint32_t mtu)
{
	for (uint32_t i = 0; i < count; i++) {
		if (table[i] < mtu)
			return table[i];
	}
	return 0;
}

static struct pmtu_entry *cache_slot(struct tcp *tcp, const struct ip_addr *remote)
{
	struct conn_key key = {.remote = *remote};

	return &tcp->pmtu_cache.entries[conn_hash(tcp, &key) % PMTU_CACHE_SIZE];
}

static void cache_put(struct tcp *tcp, const struct conn *c)
{
	struct pmtu_entry *e = cache_slot(tcp, &c->path.remote);

	tcp->pmtu_cache.used += e->mtu == 0;
	*e = (struct pmtu_entry){
	        .remote = c->path.remote,
	        .until_s = now_s(tcp) + tcp->cfg.pmtu_age_s,
	        .mtu = (uint16_t)conn_mtu(c),
	};
}

static void cache_drop(struct tcp *tcp, const struct conn *c)
{
	struct pmtu_entry *e = cache_slot(tcp, &c->path.remote);

	if (e->mtu == 0 || !ip_addr_eq(&e->remote, &c->path.remote))
		return;
	e->mtu = 0;
	tcp->pmtu_cache.used--;
}

static const struct pmtu_entry *cache_find(struct tcp *tcp, const struct conn *c)
{
	const struct pmtu_entry *e;

	if (likely(tcp->pmtu_cache.used == 0))
		return NULL;
	e = cache_slot(tcp, &c->path.remote);
	if (e->mtu == 0 || !ip_addr_eq(&e->remote, &c->path.remote))
		return NULL;
	if (seq_lt(now_s(tcp), e->until_s))
		return e;
	cache_drop(tcp, c);
	return NULL;
}

/* A new size of segments. */
static void mss_set(struct conn *c, uint32_t mss)
{
	struct conn_pmtu *p = &c->pmtu;

	c->mss = (uint16_t)mss;
	/* Windows that shrank with small segments still hold one of the new size (RFC 5681 3.1):
	 * else nothing could ever be sent again. */
	c->cwnd_bytes = max_u32(c->cwnd_bytes, mss);
	c->ssthresh_bytes = max_u32(c->ssthresh_bytes, 2 * mss);
	p->probe = 0;
	p->claim_mtu = 0;
	p->busy = PM_LEARN | (mss < p->ceil ? PM_RAISE : 0);
}

void pmtu_begin(struct tcp *tcp, struct conn *c)
{
	const struct pmtu_entry *known = cache_find(tcp, c);
	uint32_t mss = c->mss;

	c->pmtu = (struct conn_pmtu){.ceil = c->mss, .raise_s = now_s(tcp)};
	if (tcp->cfg.pmtu_probing == TCP_PMTU_ALWAYS)
		mss = min_u32(mss, mtu_to_mss(tcp, c, PMTU_BASE));
	if (unlikely(known != NULL)) {
		mss = min_u32(mss, mtu_to_mss(tcp, c, known->mtu));
		c->pmtu.raise_s = known->until_s;
	}
	mss_set(c, mss);
}

static bool shrink(const struct tcp *tcp, struct conn *c, uint32_t mtu)
{
	uint32_t mss = mtu_to_mss(tcp, c, mtu);

	if (mss >= c->mss)
		return false;
	mss_set(c, mss);
	c->pmtu.failed = 0;
	return true;
}

static void raise(struct tcp *tcp, struct conn *c, uint32_t mss)
{
	mss_set(c, mss);
	cc_mss_raised(c);
	c->pmtu.busy &= (uint8_t)~PM_LEARN;
	c->pmtu.failed = c->pmtu.failed > mss ? c->pmtu.failed : 0;
	c->pmtu.raise_s = now_s(tcp);
	c->pmtu.errors = 0;
	counter_inc(tcp->ctr, CTR_tcp_pmtu_raised);
	cache_drop(tcp, c);
}

static void marked_arrived(struct tcp *tcp, struct conn *c)
{
	struct conn_pmtu *p = &c->pmtu;

	p->busy &= (uint8_t)~PM_MARKED;
	if (p->probe > 0)
		raise(tcp, c, p->probe);
	else
		p->busy &= (uint8_t)~PM_LEARN;
}

/* The size to try next, 0: none. The largest first: mostly it was another reason, or the path is
 * as it was before. Then one step at a time. */
static uint32_t probe_size(const struct tcp *tcp, const struct conn *c)
{
	const struct conn_pmtu *p = &c->pmtu;
	uint32_t best = 0;

	if (p->failed == 0 || p->ceil < p->failed)
		return p->ceil;
	for (uint32_t i = 0; i < ARRAY_LEN(ladder); i++) {
		uint32_t mss = mtu_to_mss(tcp, c, ladder[i]);

		if (mss > c->mss && mss < p->failed)
			best = mss;
	}
	return best;
}

/* RFC 4821 7.2, 7.4: only where a loss of it will be noticed as such: nothing else is lost, and
 * enough data comes behind. */
static bool probe_fits(const struct conn *c, uint32_t size)
{
	uint32_t train = size + (TCP_DUP_THRESH + 1u) * c->mss;
	uint32_t unsent = conn_tx_end(c) - c->snd_nxt;
	int32_t room = (int32_t)(c->snd_una + c->snd_wnd - c->snd_nxt);

	return c->loss == LOSS_NONE && !c->has_runs && c->dupacks == 0 && c->tries == 0 &&
	       unsent >= train && room >= (int32_t)train && loss_pipe(c) + train <= c->cwnd_bytes;
}

static uint32_t probe_begin(struct tcp *tcp, struct conn *c, uint32_t len)
{
	struct conn_pmtu *p = &c->pmtu;
	uint32_t size = probe_size(tcp, c);

	if (tcp->cfg.pmtu_probing == TCP_PMTU_OFF) {
		raise(tcp, c, p->ceil); /* RFC 1191 6.3 */
		return len;
	}
	if (size == 0) {
		/* As large as the path takes. */
		p->raise_s = now_s(tcp) + tcp->cfg.pmtu_age_s;
		p->failed = 0;
		return len;
	}
	if (!probe_fits(c, size))
		return len;
	p->probe = (uint16_t)size;
	p->mark = c->snd_nxt + size;
	p->busy |= PM_MARKED;
	counter_inc(tcp->ctr, CTR_tcp_pmtu_probe);
	return size;
}

uint32_t pmtu_output(struct tcp *tcp, struct conn *c, uint32_t len)
{
	struct conn_pmtu *p = &c->pmtu;

	if (p->busy & PM_MARKED) {
		if (!seq_le(p->mark, c->snd_una))
			return len;
		marked_arrived(tcp, c);
	}
	if (p->busy & PM_LEARN) {
		p->mark = c->snd_nxt + len;
		p->busy |= PM_MARKED;
		return len;
	}
	if (p->busy & PM_RAISE && seq_le(p->raise_s, now_s(tcp)))
		return probe_begin(tcp, c, len);
	return len;
}

/* Tries the next smaller one at once; none is left: when the value has aged. */
static void probe_failed(struct tcp *tcp, struct conn *c)
{
	struct conn_pmtu *p = &c->pmtu;

	if (p->claim_mtu > conn_mtu(c) && p->claim_seq == p->mark - p->probe)
		p->ceil = (uint16_t)min_u32(p->ceil, mtu_to_mss(tcp, c, p->claim_mtu));
	p->failed = p->probe;
	p->probe = 0;
	p->busy &= (uint8_t)~PM_MARKED;
	cache_put(tcp, c);
}

bool pmtu_probe_lost(struct tcp *tcp, struct conn *c)
{
	struct conn_pmtu *p = &c->pmtu;
	bool missing = p->mark - p->probe == c->snd_una;
	bool alone = board_complete(c, p->mark);

	if (seq_le(p->mark, c->snd_una)) {
		marked_arrived(tcp, c);
		return false;
	}
	if (missing && alone) {
		probe_failed(tcp, c);
		return true;
	}
	/* Others were lost as well: it says nothing of the size (RFC 4821 7.6.4). */
	p->probe = 0;
	p->busy &= (uint8_t)~PM_MARKED;
	p->raise_s = now_s(tcp) + PMTU_AGAIN_S;
	return false;
}

/* What an error says waits until it is seen that the segment is lost. */
static void claim(struct conn *c, uint32_t mtu, uint32_t seq)
{
	c->pmtu.claim_mtu = (uint16_t)min_u32(mtu, UINT16_MAX);
	c->pmtu.claim_seq = seq;
}

/* An ICMP error is believed. False when segments are as small already. */
static bool error_obey(struct tcp *tcp, struct conn *c, uint32_t mtu)
{
	if (!shrink(tcp, c, mtu))
		return false;
	c->pmtu.raise_s = now_s(tcp) + tcp->cfg.pmtu_age_s;
	counter_inc(tcp->ctr, CTR_tcp_pmtu_icmp);
	cache_put(tcp, c);
	/* Data goes again only when the SYN in front of it is acknowledged. */
	if (conn_synchronized(c))
		loss_mtu_shrunk(tcp, c);
	return true;
}

/* An error said before that it is too large what still is not acknowledged. */
static bool claim_confirmed(struct tcp *tcp, struct conn *c)
{
	struct conn_pmtu *p = &c->pmtu;
	uint32_t mtu = p->claim_mtu;

	p->claim_mtu = 0;
	return mtu != 0 && !seq_lt(p->claim_seq, c->snd_una) && error_obey(tcp, c, mtu);
}

bool pmtu_timeout(struct tcp *tcp, struct conn *c)
{
	struct conn_pmtu *p = &c->pmtu;
	uint32_t mtu;

	if (p->probe > 0)
		probe_failed(tcp, c);
	/* What was marked goes out again, perhaps in other pieces. */
	p->busy &= (uint8_t)~PM_MARKED;
	if (claim_confirmed(tcp, c))
		return true;
	if (tcp->cfg.pmtu_probing == TCP_PMTU_OFF || c->tries < PMTU_TRIES ||
	    conn_flight(c) < c->mss)
		return false;
	mtu = below(ladder, ARRAY_LEN(ladder), conn_mtu(c));
	if (!ip_addr_is_v4(&c->path.local))
		mtu = max_u32(mtu, PMTU_V6_LEAST);
	if (mtu > 0 && shrink(tcp, c, mtu)) {
		p->raise_s = now_s(tcp) + PMTU_AGAIN_S;
		counter_inc(tcp->ctr, CTR_tcp_pmtu_blackhole);
	}
	return false;
}

/* The packet's size that the error claims, 0: none that can be. */
static uint32_t claimed_mtu(const struct conn *c, const struct net_error *e)
{
	uint32_t mtu = e->mtu;

	/* RFC 8201 4: a smaller one is no reason to send smaller packets. */
	if (!ip_addr_is_v4(&c->path.local))
		return mtu < PMTU_V6_LEAST ? 0 : mtu;
	/* RFC 1191 5: an old router does not say, so the next plateau below the packet. */
	if (mtu == 0)
		mtu = below(plateaus, ARRAY_LEN(plateaus), min_u32(e->quoted_len, conn_mtu(c)));
	/* RFC 5927 7.2: what was not larger than that cannot have been too large. */
	return mtu >= e->quoted_len ? 0 : mtu;
}

/* The error is believed at once, for nothing is known against it. */
static enum counter_id error_take(struct tcp *tcp, struct conn *c, uint32_t mtu)
{
	struct conn_pmtu *p = &c->pmtu;

	if (!seq_lt(now_s(tcp), p->raise_s))
		p->errors = 0; /* the last one has aged */
	if (p->errors >= PMTU_ERRORS_MOST)
		return CTR_drop_icmp;
	p->errors += error_obey(tcp, c, mtu);
	return CTR_rx_icmp;
}

enum counter_id pmtu_too_big(struct tcp *tcp, struct conn *c, const struct net_error *e)
{
	struct conn_pmtu *p = &c->pmtu;
	uint32_t mtu = claimed_mtu(c, e);

	/* A SYN is smaller than what any path carries (RFC 5927 7.2). */
	if (mtu == 0 || (!conn_synchronized(c) && e->seq == c->iss))
		return CTR_drop_icmp;
	if (p->probe > 0 && e->seq == p->mark - p->probe) {
		/* Its loss will be noticed, and then the next probe may not be larger than claimed.
		 */
		if (mtu > conn_mtu(c))
			claim(c, mtu, e->seq);
		return CTR_rx_icmp;
	}
	if (mtu >= conn_mtu(c))
		return CTR_rx_icmp; /* of a segment sent before it became smaller */
	if (p->busy & PM_MARKED && p->probe == 0 && seq_le(p->mark, c->snd_una))
		marked_arrived(tcp, c);
	/* RFC 5927 7.2: segments of this size got through, so it must be seen that they do no
	 * longer: a forged error alone does nothing. */
	if (!(p->busy & PM_LEARN)) {
		claim(c, mtu, e->seq);
		return CTR_rx_icmp;
	}
	return error_take(tcp, c, mtu);
}
