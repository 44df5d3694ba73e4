/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The stack, its clock and its NIC. */
#include "tests/packets/stack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/net/net_int.h"
#include "dataplane/tcp/tcp.h"
#include "tests/sim/nic_sim.h"

static const uint8_t peer_mac[6] = {2, 0, 0, 0, 0, 9};

static void sent(void *arg, const void *data, uint32_t len)
{
	struct sluice_tcp *st = arg;
	struct frame *f = malloc(sizeof(*f) + len);

	if (f == NULL)
		return;
	*f = (struct frame){.at_ns = st->now_ns, .len = len};
	memcpy(f->data, data, len);
	*st->out_end = f;
	st->out_end = &f->next;
}

static void release(void *arg, uint64_t cookie)
{
	(void)arg;
	(void)cookie;
}

struct flag {
	const char *name;
	size_t offset;
	uint32_t min;
	uint32_t max;
};

#define FLAG(f, lo, hi)                                                                      \
	{                                                                                    \
		.name = #f, .offset = offsetof(struct stack_config, f), .min = lo, .max = hi \
	}

static const struct flag flags_own[] = {
        FLAG(mtu, 576, 9000),          FLAG(offload, 0, 1),           FLAG(large_buffers, 0, 64),
        FLAG(start_ms, 1, UINT32_MAX), FLAG(start_us, 0, UINT32_MAX), FLAG(nonblock, 0, 1),
        FLAG(clock_step_us, 0, 1000),  FLAG(block_ms, 1, UINT32_MAX), FLAG(sndbuf, 1, 1 << 30),
};

static bool number(const char *text, uint32_t *out)
{
	char *end;
	unsigned long v;

	errno = 0;
	v = strtoul(text, &end, 0);
	if (*text == '\0' || *text == '-' || *end != '\0' || errno != 0 || v > UINT32_MAX)
		return false;
	*out = (uint32_t)v;
	return true;
}

static bool flag_set(struct stack_config *cfg, struct tcp_config *tcp, const char *name,
                     const char *text)
{
	uint32_t value;

	if (strcmp(name, "local") == 0)
		return cfg->local_count < STACK_ADDRS &&
		       ip_addr_parse(text, &cfg->local[cfg->local_count++]);
	if (!number(text, &value))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(flags_own); i++) {
		const struct flag *f = &flags_own[i];

		if (strcmp(f->name, name) != 0)
			continue;
		memcpy((char *)cfg + f->offset, &value, sizeof(value));
		return value >= f->min && value <= f->max;
	}
	return config_set(tcp, name, value);
}

static bool flags_parse(struct stack_config *cfg, struct tcp_config *tcp, char *text, char **bad)
{
	char *save = NULL;

	for (char *p = strtok_r(text, ", \n", &save); p; p = strtok_r(NULL, ", \n", &save)) {
		char *eq = strchr(p, '=');

		*bad = p;
		if (eq == NULL)
			return false;
		*eq = '\0';
		if (!flag_set(cfg, tcp, p, eq + 1)) {
			*eq = '=';
			return false;
		}
	}
	return true;
}

static void config_default(struct stack_config *cfg, struct tcp_config *tcp)
{
	*cfg = (struct stack_config){
	        .mtu = 1500,
	        .start_ms = 1000000,
	        .seed = 1,
	        .block_ms = 600000,
	        .sndbuf = 1 << 20,
	};
	tcp_config_default(tcp);
	/* Small enough that a stack is made in no time. */
	tcp->max_conns = 1024;
	tcp->max_syn_backlog = 256;
	tcp->rx_bufs = 64;
	tcp->tx_chunks = 4096;
	tcp->tx_refs = 8192;
}

static bool layers_make(struct sluice_tcp *st, const struct tcp_config *tcp)
{
	struct nic_sim_config nic = {
	        .mtu = (uint16_t)st->cfg.mtu,
	        .buffers = 2048,
	        .tx_ip_csum = st->cfg.offload,
	        .tx_l4_csum = st->cfg.offload,
	        .large_buffers = st->cfg.large_buffers,
	        .rx_csum = st->cfg.offload,
	        .on_tx = sent,
	        .arg = st,
	};
	uint8_t seed[TCP_SEED_BYTES] = {0};
	struct tcp_env env = {.ctr = &st->ctr, .release = release, .arg = st, .seed = seed};

	memcpy(seed, &st->cfg.seed, sizeof(st->cfg.seed));
	st->nic = nic_sim_create(&nic);
	if (st->nic == NULL)
		return false;
	if (net_create(&st->net, st->nic, &st->ctr, st->cfg.local, st->cfg.local_count) != ST_OK)
		return false;
	env.net = st->net;
	return tcp_create(&st->tcp, tcp, &env, st->now_ns) == ST_OK;
}

static struct sluice_tcp *stack_make(const struct stack_config *cfg, const struct tcp_config *tcp)
{
	struct sluice_tcp *st = calloc(1, sizeof(*st));

	if (st == NULL)
		return NULL;
	st->cfg = *cfg;
	st->now_ns = cfg->start_ms * NS_PER_MS + cfg->start_us * NS_PER_US;
	st->out_end = &st->out;
	st->next_port = 49152;
	st->keepalive = tcp->keepalive_idle_ms > 0;
	st->driver = pthread_self();
	if (st->cfg.local_count == 0) {
		ip_addr_parse("192.168.0.1", &st->cfg.local[st->cfg.local_count++]);
		ip_addr_parse("fd3d:fa7b:d17d::1", &st->cfg.local[st->cfg.local_count++]);
	}
	pthread_mutex_init(&st->mutex, NULL);
	pthread_cond_init(&st->moved, NULL);
	if (!layers_make(st, tcp)) {
		sluice_tcp_free(st);
		return NULL;
	}
	stack_run(st);
	return st;
}

struct sluice_tcp *sluice_tcp_create(const char *flags, char *why, size_t why_bytes)
{
	char *text = strdup(flags ? flags : "");
	struct sluice_tcp *st = NULL;
	struct stack_config cfg;
	struct tcp_config tcp;
	char *bad = NULL;

	if (text == NULL)
		return NULL;
	config_default(&cfg, &tcp);
	if (!flags_parse(&cfg, &tcp, text, &bad)) {
		snprintf(why, why_bytes, "unknown flag, or its value is out of range: %s", bad);
		errno = EINVAL;
	} else {
		st = stack_make(&cfg, &tcp);
		if (st == NULL)
			snprintf(why, why_bytes,
			         "the stack cannot be made: no memory, or these values do not go "
			         "together");
	}
	free(text);
	return st;
}

void sluice_tcp_free(struct sluice_tcp *st)
{
	struct frame *f;

	if (st == NULL)
		return;
	tcp_destroy(st->tcp);
	net_destroy(st->net);
	nic_sim_destroy(st->nic);
	sock_free_all(st);
	while ((f = st->out) != NULL) {
		st->out = f->next;
		free(f);
	}
	pthread_mutex_destroy(&st->mutex);
	pthread_cond_destroy(&st->moved);
	free(st);
}

void stack_enter(struct sluice_tcp *st)
{
	pthread_mutex_lock(&st->mutex);
}

void stack_leave(struct sluice_tcp *st)
{
	pthread_cond_broadcast(&st->moved);
	pthread_mutex_unlock(&st->mutex);
}

static void ready_run(struct sluice_tcp *st)
{
	struct conn *conn;
	uint32_t events;

	while ((conn = tcp_ready(st->tcp, &events)) != NULL) {
		sock_event(st, conn, events);
		tcp_ready_done(st->tcp, conn, st->now_ns);
	}
}

void stack_run(struct sluice_tcp *st)
{
	struct pkt pkts[NIC_BURST];
	unsigned n;

	while ((n = nic_rx_burst(st->nic, pkts, NIC_BURST)) > 0) {
		n = net_input(st->net, pkts, n, st->now_ns);
		tcp_input_burst(st->tcp, pkts, n, st->now_ns);
		ready_run(st);
		nic_pkt_free(st->nic, pkts, n);
	}
	net_tick(st->net, st->now_ns);
	tcp_timers(st->tcp, st->now_ns);
	ready_run(st);
	net_flush(st->net);
}

bool stack_step(struct sluice_tcp *st, uint64_t until_ns)
{
	uint64_t next = tcp_next_timer_ns(st->tcp);

	if (next > until_ns) {
		st->now_ns = max_u64(st->now_ns, until_ns);
		return false;
	}
	st->now_ns = max_u64(st->now_ns + 1, next);
	stack_run(st);
	return true;
}

uint64_t stack_block_end(const struct sluice_tcp *st)
{
	return st->now_ns + st->cfg.block_ms * NS_PER_MS;
}

bool stack_block(struct sluice_tcp *st, uint64_t until_ns)
{
	if (pthread_equal(pthread_self(), st->driver))
		return stack_step(st, until_ns);
	pthread_cond_broadcast(&st->moved);
	pthread_cond_wait(&st->moved, &st->mutex);
	return st->now_ns < until_ns;
}

bool stack_add_addr(struct sluice_tcp *st, const struct ip_addr *addr)
{
	struct net *net = st->net;

	for (uint32_t i = 0; i < st->cfg.local_count; i++)
		if (ip_addr_eq(&st->cfg.local[i], addr))
			return true;
	if (st->cfg.local_count == STACK_ADDRS)
		return false;
	st->cfg.local[st->cfg.local_count++] = *addr;
	if (ip_addr_is_v4(addr))
		net_v4_add(net, &addr->b[12]);
	else
		memcpy(net->v6[net->v6_count++], addr->b, 16);
	return true;
}

static int inject(struct sluice_tcp *st, const void *frame, size_t len)
{
	if (len > st->cfg.mtu + ETH_HDR_LEN + VLAN_TAG_LEN) {
		errno = EMSGSIZE;
		return -1;
	}
	if (!nic_sim_inject(st->nic, frame, (uint32_t)len)) {
		errno = ENOBUFS;
		return -1;
	}
	stack_run(st);
	return 0;
}

int sluice_tcp_frame_send(struct sluice_tcp *st, const void *frame, size_t len)
{
	int r;

	stack_enter(st);
	r = inject(st, frame, len);
	stack_leave(st);
	return r;
}

int sluice_tcp_netdev_send(struct sluice_tcp *st, const void *packet, size_t len)
{
	uint8_t frame[ETH_HDR_LEN + 9000];
	const uint8_t *ip = packet;

	if (len > sizeof(frame) - ETH_HDR_LEN || len < 1) {
		errno = EMSGSIZE;
		return -1;
	}
	memcpy(frame, nic_caps(st->nic)->mac, 6);
	memcpy(frame + 6, peer_mac, 6);
	memcpy(frame + 12, ip[0] >> 4 == 6 ? "\x86\xdd" : "\x08\x00", 2);
	memcpy(frame + ETH_HDR_LEN, packet, len);
	return sluice_tcp_frame_send(st, frame, ETH_HDR_LEN + len);
}

static void frame_drop(struct sluice_tcp *st)
{
	struct frame *f = st->out;

	st->out = f->next;
	if (st->out == NULL)
		st->out_end = &st->out;
	free(f);
}

int sluice_tcp_frame_receive(struct sluice_tcp *st, void *frame, size_t *count, int64_t *time_ns)
{
	stack_enter(st);
	if (st->out != NULL) {
		*count = *count < st->out->len ? *count : st->out->len;
		*time_ns = (int64_t)st->out->at_ns;
		memcpy(frame, st->out->data, *count);
		frame_drop(st);
	} else {
		*count = 0;
	}
	stack_leave(st);
	return 0;
}

/* Where the IP packet of a frame begins; 0 when it holds none that a script tool would know. */
static uint32_t frame_ip(const struct frame *f)
{
	uint32_t at = ETH_HDR_LEN;
	const uint8_t *type = f->data + 12;

	if (type[0] == 0x81 && type[1] == 0) {
		type += VLAN_TAG_LEN;
		at += VLAN_TAG_LEN;
	}
	return (type[0] == 0x08 && type[1] == 0x00) || (type[0] == 0x86 && type[1] == 0xdd) ? at
	                                                                                    : 0;
}

int sluice_tcp_netdev_receive(struct sluice_tcp *st, void *packet, size_t *count,
                              long long *time_us)
{
	uint64_t until;
	size_t room = *count;
	uint32_t at = 0;

	stack_enter(st);
	until = stack_block_end(st);
	for (;;) {
		while (st->out != NULL && (at = frame_ip(st->out)) == 0)
			frame_drop(st);
		if (st->out != NULL || !stack_block(st, until))
			break;
	}
	*count = 0;
	if (st->out != NULL) {
		*count = st->out->len - at < room ? st->out->len - at : room;
		*time_us = (long long)(st->out->at_ns / 1000);
		memcpy(packet, st->out->data + at, *count);
		frame_drop(st);
	}
	stack_leave(st);
	return 0;
}

int sluice_tcp_run_until(struct sluice_tcp *st, int64_t until_ns)
{
	int r;

	stack_enter(st);
	while (st->out == NULL && stack_step(st, (uint64_t)until_ns))
		;
	r = st->out != NULL;
	stack_leave(st);
	return r;
}

int sluice_tcp_usleep(struct sluice_tcp *st, useconds_t us)
{
	uint64_t until;

	stack_enter(st);
	until = st->now_ns + us * 1000ull;
	while (stack_step(st, until))
		;
	stack_leave(st);
	return 0;
}

int64_t sluice_tcp_now_ns(struct sluice_tcp *st)
{
	int64_t now;

	stack_enter(st);
	now = (int64_t)st->now_ns;
	stack_leave(st);
	return now;
}

int sluice_tcp_gettimeofday(struct sluice_tcp *st, struct timeval *tv, struct timezone *tz)
{
	(void)tz;
	if (st->cfg.clock_step_us > 0)
		sluice_tcp_usleep(st, st->cfg.clock_step_us);
	stack_enter(st);
	tv->tv_sec = (time_t)(st->now_ns / NS_PER_S);
	tv->tv_usec = (suseconds_t)(st->now_ns % NS_PER_S / 1000);
	stack_leave(st);
	return 0;
}
