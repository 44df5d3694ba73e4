/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the stack knows: connections' fields, counters and configuration, each by its name. */
#include <errno.h>
#include <string.h>

#include "dataplane/tcp/conn.h"
#include "tests/packets/stack.h"

#define FIELD(f)                                                      \
	{                                                             \
		.name = #f, .offset = offsetof(struct tcp_config, f), \
		.size = sizeof(((struct tcp_config *)0)->f)           \
	}

static const struct {
	const char *name;
	size_t offset;
	size_t size;
} config_fields[] = {
        FIELD(max_conns),
        FIELD(max_syn_backlog),
        FIELD(rx_bufs),
        FIELD(rx_buf_bytes),
        FIELD(tx_chunks),
        FIELD(tx_refs),
        FIELD(mss),
        FIELD(initial_window),
        FIELD(min_rto_ms),
        FIELD(max_rto_ms),
        FIELD(syn_retries),
        FIELD(retries),
        FIELD(delayed_ack_ms),
        FIELD(keepalive_idle_ms),
        FIELD(keepalive_interval_ms),
        FIELD(keepalive_probes),
        FIELD(time_wait_ms),
        FIELD(fin_wait_2_ms),
        FIELD(orphan_life_ms),
        FIELD(persist_max_ms),
        FIELD(persist_limit_ms),
        FIELD(user_timeout_ms),
        FIELD(user_timeout_max_ms),
        FIELD(user_timeout_advertise_ms),
        FIELD(timestamps_required),
        FIELD(rx_window_bytes),
        FIELD(max_time_waits),
        FIELD(max_orphans),
        FIELD(max_per_address),
        FIELD(max_time_waits),
        FIELD(fast_open),
        FIELD(fast_open_key_s),
        FIELD(max_fast_open),
        FIELD(syn_cookies),
        FIELD(syn_cookie_step_s),
        FIELD(fast_open),
        FIELD(fast_open_key_s),
        FIELD(max_fast_open),
        FIELD(max_resets_per_s),
        FIELD(port_lo),
        FIELD(port_hi),
        FIELD(min_send_mss),
        FIELD(pmtu_probing),
        FIELD(pmtu_age_s),
        FIELD(congestion),
        FIELD(pacing),
        FIELD(ecn),
        FIELD(loss_boards),
        FIELD(persist_limit_ms),
        FIELD(user_timeout_ms),
        FIELD(user_timeout_max_ms),
        FIELD(user_timeout_advertise_ms),
        FIELD(timestamps_required),
};

/* Index of the field; the count of them when there is none of this name. */
static size_t config_find(const char *name)
{
	size_t i = 0;

	while (i < ARRAY_LEN(config_fields) && strcmp(config_fields[i].name, name) != 0)
		i++;
	return i;
}

/* Fields are of 1, 2 or 4 bytes; those of fewer lie in the low ones (little-endian, as the stack
 * asks for). */
bool config_set(struct tcp_config *cfg, const char *name, uint32_t value)
{
	size_t i = config_find(name);

	if (i == ARRAY_LEN(config_fields) ||
	    (config_fields[i].size < 4 && value >> (8 * config_fields[i].size) != 0))
		return false;
	memcpy((char *)cfg + config_fields[i].offset, &value, config_fields[i].size);
	return true;
}

void state_config_set(struct sluice_tcp *st, const char *name, uint32_t value)
{
	config_set(&st->tcp->cfg, name, value);
	if (strncmp(name, "keepalive", 9) == 0)
		state_keepalive(st, st->keepalive);
}

uint32_t state_config_get(struct sluice_tcp *st, const char *name)
{
	size_t i = config_find(name);
	uint32_t value = 0;

	if (i < ARRAY_LEN(config_fields))
		memcpy(&value, (const char *)&st->tcp->cfg + config_fields[i].offset,
		       config_fields[i].size);
	return value;
}

void state_keepalive(struct sluice_tcp *st, bool on)
{
	uint32_t cursor = 0;
	struct conn *c;

	st->keepalive = on;
	if (on && st->tcp->cfg.keepalive_idle_ms == 0)
		st->tcp->cfg.keepalive_idle_ms = 7200 * 1000; /* RFC 9293 3.8.4 */
	if (!on)
		st->tcp->cfg.keepalive_idle_ms = 0;
	while (on && (c = tcp_conn_walk(st->tcp, &cursor)) != NULL)
		keepalive_start(st->tcp, c);
}

enum field_kind { U8, U16, U32, FLAG, RELATIVE };

#define NUMBER(type, f)                                                  \
	{                                                                \
		.name = #f, .kind = type, .at = offsetof(struct conn, f) \
	}

/* Sequence numbers are given from the initial one of their direction. */
static const struct state_field {
	const char *name;
	enum field_kind kind;
	size_t at; /* offset in struct conn, or the flag */
} state_fields[] = {
        NUMBER(U8, state),
        NUMBER(U16, mss),
        NUMBER(U8, loss),
        NUMBER(U32, cwnd_bytes),
        NUMBER(U32, ssthresh_bytes),
        NUMBER(U32, snd_wnd),
        NUMBER(U32, srtt_us),
        NUMBER(U32, rttvar_us),
        NUMBER(U32, rto_us),
        NUMBER(U32, retransmits),
        NUMBER(U32, sacked_bytes),
        NUMBER(U32, dupacks),
        NUMBER(U8, tries),
        NUMBER(U8, probes),
        NUMBER(U8, snd_wscale),
        NUMBER(U8, rcv_wscale),
        NUMBER(U32, tx_bytes),
        NUMBER(RELATIVE, snd_una),
        NUMBER(RELATIVE, snd_nxt),
        NUMBER(RELATIVE, rcv_nxt),
        {"timestamps", FLAG, CF_TS},
        {"sack", FLAG, CF_SACK},
        {"wscale", FLAG, CF_WSCALE},
        {"flight", RELATIVE, 0},
        {"rx_bytes", RELATIVE, 0},
};

const char *sluice_tcp_state_name(unsigned i)
{
	return i < ARRAY_LEN(state_fields) ? state_fields[i].name : NULL;
}

static int64_t relative(const struct conn *c, const char *name)
{
	if (strcmp(name, "flight") == 0)
		return conn_flight(c);
	if (strcmp(name, "rx_bytes") == 0)
		return conn_rx_len(c);
	if (strcmp(name, "rcv_nxt") == 0)
		return c->rcv_nxt - c->irs;
	return (strcmp(name, "snd_una") == 0 ? c->snd_una : c->snd_nxt) - c->iss;
}

static int64_t field_read(const struct conn *c, const struct state_field *f)
{
	const char *at = (const char *)c + f->at;
	uint32_t v;

	switch (f->kind) {
	case U8:
		return *(const uint8_t *)at;
	case U16:
		return *(const uint16_t *)(const void *)at;
	case U32:
		memcpy(&v, at, sizeof(v));
		return v;
	case FLAG:
		return (c->flags & f->at) != 0;
	default:
		return relative(c, f->name);
	}
}

static bool tuple_read(struct sluice_tcp *st, const struct tuple *t, const char *name, int64_t *out)
{
	struct conn_key key = {t->local, t->remote, t->lport, t->rport};
	const struct conn *c = conn_lookup(st->tcp, &key, conn_hash(st->tcp, &key));

	for (size_t i = 0; i < ARRAY_LEN(state_fields); i++) {
		if (strcmp(state_fields[i].name, name) != 0)
			continue;
		*out = c ? field_read(c, &state_fields[i]) : 0;
		return true;
	}
	return false;
}

int64_t state_read(struct sluice_tcp *st, const struct tuple *t, const char *name)
{
	int64_t v = 0;

	tuple_read(st, t, name, &v);
	return v;
}

int sluice_tcp_state(struct sluice_tcp *st, int fd, const char *name, int64_t *value)
{
	bool ok = false;

	stack_enter(st);
	if (fd < 0 || fd >= STACK_FDS || st->last[fd].lport == 0) {
		errno = EBADF;
	} else if (st->fds[fd] != NULL && st->fds[fd]->listening && strcmp(name, "state") == 0) {
		*value = TCP_LISTEN;
		ok = true;
	} else {
		ok = tuple_read(st, &st->last[fd], name, value);
		if (!ok)
			errno = EINVAL;
	}
	stack_leave(st);
	return ok ? 0 : -1;
}

int sluice_tcp_counter(struct sluice_tcp *st, const char *name, int64_t *value)
{
	for (size_t i = 0; i < CTR_COUNT; i++) {
		if (strcmp(counter_infos[i].id, name) != 0)
			continue;
		*value = (int64_t)st->ctr.v[i];
		return 0;
	}
	errno = EINVAL;
	return -1;
}
