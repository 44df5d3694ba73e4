/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The connection table: linear hashing (Litwin, 1980). The bucket array is reserved in full and
 * used from its beginning; an insert splits two buckets at most, so the table grows with the
 * connections, page by page, and never stops to be rebuilt. It does not shrink: an empty bucket
 * costs nothing but its four bytes. */
#include "dataplane/tcp/conn.h"
#include "lib/hash.h"

enum {
	GIVE_UP_LOOKS = 8, /* connections whose owners still have them are passed over */
};
#define TOUCH_AHEAD_BYTES ((size_t)16 << 20)

static uint64_t load_u64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return v;
}

static uint64_t fold_mul(uint64_t a, uint64_t b)
{
	unsigned __int128 m = (unsigned __int128)a * b;

	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

/* A keyed multiply-and-fold: the peer chooses half of the input, so the key is secret and random
 * for each stack. */
uint32_t conn_hash(const struct tcp *tcp, const struct conn_key *key)
{
	const uint64_t *k = tcp->hash_key;
	uint64_t h;

	h = fold_mul(load_u64(key->remote.b) ^ k[0], load_u64(key->remote.b + 8) ^ k[1]);
	h ^= fold_mul(load_u64(key->local.b) ^ k[2], load_u64(key->local.b + 8) ^ k[3]);
	h = fold_mul(h ^ ((uint64_t)key->rport << 16 | key->lport), k[4] | 1);
	return (uint32_t)h;
}

uint32_t conn_index(const struct tcp *tcp, const struct conn *c)
{
	return pool_index(&tcp->conns, c);
}

struct conn *conn_lookup(const struct tcp *tcp, const struct conn_key *key, uint32_t hash)
{
	uint32_t at = tcp->buckets[conn_bucket(tcp, hash)];

	while (at != 0) {
		struct conn *c = pool_at(&tcp->conns, at - 1);

		if (c->hash == hash && c->rport == key->rport && c->lport == key->lport &&
		    memcmp(&c->path, key, 32) == 0)
			return c;
		at = c->hash_next;
	}
	return NULL;
}

void age_link(struct tcp *tcp, struct conn_ages *list, struct conn *c)
{
	uint32_t self = conn_index(tcp, c);

	c->age_prev = list->newest;
	c->age_next = TCP_NONE;
	if (list->newest == TCP_NONE)
		list->oldest = self;
	else
		((struct conn *)pool_at(&tcp->conns, list->newest))->age_next = self;
	list->newest = self;
}

void age_unlink(struct tcp *tcp, struct conn_ages *list, struct conn *c)
{
	if (c->age_prev == TCP_NONE)
		list->oldest = c->age_next;
	else
		((struct conn *)pool_at(&tcp->conns, c->age_prev))->age_next = c->age_next;
	if (c->age_next == TCP_NONE)
		list->newest = c->age_prev;
	else
		((struct conn *)pool_at(&tcp->conns, c->age_next))->age_prev = c->age_prev;
}

bool give_up_oldest(struct tcp *tcp, struct conn_ages *list)
{
	for (uint32_t i = 0; i < GIVE_UP_LOOKS && list->oldest != TCP_NONE; i++) {
		struct conn *oldest = pool_at(&tcp->conns, list->oldest);

		if (!conn_reportable(oldest)) {
			conn_die(tcp, oldest);
			return true;
		}
		/* It must not hide the others. */
		age_unlink(tcp, list, oldest);
		age_link(tcp, list, oldest);
	}
	return false;
}

/* Adds a bucket; the chain that it halves is a connection or two long. */
static void bucket_split(struct tcp *tcp)
{
	uint32_t fresh = tcp->bucket_count;
	uint32_t *link;

	if (fresh > tcp->bucket_mask)
		tcp->bucket_mask = 2 * tcp->bucket_mask + 1;
	link = &tcp->buckets[fresh & (tcp->bucket_mask >> 1)];
	tcp->bucket_count++;
	while (*link != 0) {
		struct conn *c = pool_at(&tcp->conns, *link - 1);
		uint32_t at = *link;

		if ((c->hash & tcp->bucket_mask) != fresh) {
			link = &c->hash_next;
			continue;
		}
		*link = c->hash_next;
		c->hash_next = tcp->buckets[fresh];
		tcp->buckets[fresh] = at;
	}
}

/* Two buckets a connection, so that most chains are of one. */
static void table_grow(struct tcp *tcp)
{
	for (uint32_t i = 0; i < CONN_BUCKETS_EACH; i++)
		if (tcp->bucket_count < tcp->bucket_max &&
		    tcp->bucket_count < CONN_BUCKETS_EACH * tcp->conns.in_use)
			bucket_split(tcp);
}

struct conn *conn_new(struct tcp *tcp, const struct net_path *path, const struct conn_key *key)
{
	uint32_t *bucket;
	struct conn *c = pool_get(&tcp->conns);

	/* A full table gives up its oldest TIME-WAIT first, which only guards against old segments,
	 * then its oldest handshake: one that a flood began has no end to come; then the connection
	 * that has been without an owner for longest. */
	if (!c && time_wait_give_up(tcp))
		c = pool_get(&tcp->conns);
	if (!c && give_up_oldest(tcp, &tcp->half_opens)) {
		counter_inc(tcp->ctr, CTR_shed_syn);
		c = pool_get(&tcp->conns);
	}
	if (!c && orphan_give_up(tcp))
		c = pool_get(&tcp->conns);
	if (!c)
		return NULL;
	memset(c, 0, sizeof(*c));
	c->path = *path;
	c->lport = key->lport;
	c->rport = key->rport;
	c->hash = conn_hash(tcp, key);
	c->flags = CF_LIVE | CF_HASHED;
	c->tx_head = TX_REF_NONE;
	c->tx_tail = TX_REF_NONE;
	c->tx_cur = TX_REF_NONE;
	c->tx_again = TX_REF_NONE;
	c->age_prev = TCP_NONE;
	c->age_next = TCP_NONE;
	c->rx_wnd = tcp->cfg.rx_buf_bytes;
	c->opened_ns = tcp->now_ns;
	c->last_rx_ns = tcp->now_ns;
	table_grow(tcp);
	bucket = &tcp->buckets[conn_bucket(tcp, c->hash)];
	c->hash_next = *bucket;
	*bucket = conn_index(tcp, c) + 1;
	counter_set(tcp->ctr, CTR_tcp_conns, tcp->conns.in_use);
	return c;
}

void conn_unhash(struct tcp *tcp, struct conn *c)
{
	uint32_t *link = &tcp->buckets[conn_bucket(tcp, c->hash)];
	uint32_t self = conn_index(tcp, c) + 1;

	if (!(c->flags & CF_HASHED))
		return;
	while (*link != self) {
		struct conn *at = pool_at(&tcp->conns, *link - 1);

		link = &at->hash_next;
	}
	*link = c->hash_next;
	c->flags &= ~CF_HASHED;
}

void conn_free(struct tcp *tcp, struct conn *c)
{
	assert((c->flags & (CF_LIVE | CF_HASHED | CF_READY | CF_IN_HAND)) == CF_LIVE);
	timer_cancel(&tcp->wheel, &c->timer);
	rx_release(tcp, c);
	if (c->has_runs)
		board_release(tcp, c);
	if (tcp->dup_conn == c)
		tcp->dup_conn = NULL;
	c->flags = 0;
	c->state = TCP_CLOSED;
	pool_put(&tcp->conns, c);
	counter_set(tcp->ctr, CTR_tcp_conns, tcp->conns.in_use);
}

/* RFC 6528 3: ISN = M + F(4-tuple, secret), M a clock of about 4 microseconds. */
uint32_t conn_isn(const struct tcp *tcp, const struct conn_key *key)
{
	uint32_t f = (uint32_t)siphash24(key, sizeof(*key), tcp->isn_key);

	return (uint32_t)(tcp->now_ns >> 12) + f;
}

/* One offset a 4-tuple, so that timestamps stay monotonic over its connections (RFC 7323 5.4, RFC
 * 6191) and tell nothing about uptime. */
uint32_t conn_ts_offset(const struct tcp *tcp, const struct conn_key *key)
{
	return (uint32_t)(siphash24(key, sizeof(*key), tcp->isn_key) >> 32);
}

static void touch_to(void *base, size_t *done, size_t until)
{
	if (until <= *done)
		return;
	shm_touch((char *)base + *done, until - *done);
	*done = until;
}

void tcp_touch_ahead(struct tcp *tcp)
{
	size_t each = tcp->conns.size;
	size_t used = each * __atomic_load_n(&tcp->conns.fresh, __ATOMIC_RELAXED);
	size_t until = min_size(used + TOUCH_AHEAD_BYTES, each * tcp->conns.count);
	size_t buckets = (until / each + 1) * CONN_BUCKETS_EACH;

	/* Half of it at a time: a call that does nothing costs nothing. */
	if (until < each * tcp->conns.count && until - tcp->conns_touched < TOUCH_AHEAD_BYTES / 2)
		return;
	touch_to(tcp->conns.base, &tcp->conns_touched, until);
	touch_to(tcp->buckets, &tcp->buckets_touched,
	         min_size(buckets, tcp->bucket_max) * sizeof(uint32_t));
}
