/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Socket options, fcntl and ioctl. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>

#include "tests/packets/stack.h"

int sluice_tcp_fcntl(struct sluice_tcp *st, int fd, int cmd, ...)
{
	struct sock *s;
	va_list ap;
	int arg = 0;
	int r = -1;

	if (cmd == F_SETFL) {
		va_start(ap, cmd);
		arg = va_arg(ap, int);
		va_end(ap);
	}
	stack_enter(st);
	s = sock_get(st, fd);
	if (s != NULL && cmd == F_GETFL) {
		r = O_RDWR | (s->nonblock ? O_NONBLOCK : 0);
	} else if (s != NULL && cmd == F_SETFL) {
		s->nonblock = arg & O_NONBLOCK;
		r = 0;
	} else if (s != NULL) {
		errno = EINVAL;
	}
	stack_leave(st);
	return r;
}

int sluice_tcp_ioctl(struct sluice_tcp *st, int fd, unsigned long request, ...)
{
	struct sock *s;
	va_list ap;
	int *out;
	int r = 0;

	va_start(ap, request);
	out = va_arg(ap, int *);
	va_end(ap);
	stack_enter(st);
	s = sock_get(st, fd);
	if (s == NULL) {
		r = -1;
	} else if (s->listening || (request != SIOCINQ && request != SIOCOUTQ)) {
		errno = EINVAL;
		r = -1;
	} else {
		*out = (int)(request == SIOCINQ ? sock_readable_bytes(s) : sock_queued_bytes(s));
	}
	stack_leave(st);
	return r;
}

/* Fields that this stack has no figure for are 0. */
static void info_fill(struct sluice_tcp *st, const struct sock *s, struct tcp_info *out)
{
	/* enum tcp_state of dataplane/tcp/tcp.h in Linux's numbers */
	static const uint8_t states[] = {TCP_CLOSE,     TCP_LISTEN,      TCP_SYN_SENT,
	                                 TCP_SYN_RECV,  TCP_ESTABLISHED, TCP_FIN_WAIT1,
	                                 TCP_FIN_WAIT2, TCP_CLOSE_WAIT,  TCP_CLOSING,
	                                 TCP_LAST_ACK,  TCP_TIME_WAIT};
	const struct tuple *t = &s->tuple;
	uint32_t mss = (uint32_t)state_read(st, t, "mss");
	uint32_t per_segment = mss ? mss : 1;

	memset(out, 0, sizeof(*out));
	out->tcpi_state = s->listening ? TCP_LISTEN : states[state_read(st, t, "state")];
	out->tcpi_ca_state = (uint8_t)state_read(st, t, "loss");
	out->tcpi_retransmits = (uint8_t)state_read(st, t, "tries");
	out->tcpi_probes = (uint8_t)state_read(st, t, "probes");
	out->tcpi_options = (uint8_t)((state_read(st, t, "timestamps") ? TCPI_OPT_TIMESTAMPS : 0) |
	                              (state_read(st, t, "sack") ? TCPI_OPT_SACK : 0) |
	                              (state_read(st, t, "wscale") ? TCPI_OPT_WSCALE : 0));
	out->tcpi_snd_wscale = (uint32_t)state_read(st, t, "snd_wscale") & 15u;
	out->tcpi_rcv_wscale = (uint32_t)state_read(st, t, "rcv_wscale") & 15u;
	out->tcpi_rto = (uint32_t)state_read(st, t, "rto_us");
	out->tcpi_snd_mss = mss;
	out->tcpi_advmss = mss;
	out->tcpi_rtt = (uint32_t)state_read(st, t, "srtt_us");
	out->tcpi_rttvar = (uint32_t)state_read(st, t, "rttvar_us");
	out->tcpi_snd_ssthresh = (uint32_t)state_read(st, t, "ssthresh_bytes") / per_segment;
	out->tcpi_snd_cwnd = (uint32_t)state_read(st, t, "cwnd_bytes") / per_segment;
	out->tcpi_unacked = ((uint32_t)state_read(st, t, "flight") + per_segment - 1) / per_segment;
	out->tcpi_sacked = (uint32_t)state_read(st, t, "sacked_bytes") / per_segment;
	out->tcpi_total_retrans = (uint32_t)state_read(st, t, "retransmits");
}

static int int_option(struct sluice_tcp *st, struct sock *s, int level, int name, int *out)
{
	static const char *const shared[] = {
	        [TCP_KEEPIDLE] = "keepalive_idle_ms",
	        [TCP_KEEPINTVL] = "keepalive_interval_ms",
	        [TCP_KEEPCNT] = "keepalive_probes",
	};
	uint32_t v;

	if (level == IPPROTO_TCP && (name == TCP_KEEPIDLE || name == TCP_KEEPINTVL)) {
		*out = (int)(state_config_get(st, shared[name]) / 1000);
	} else if (level == IPPROTO_TCP && name == TCP_KEEPCNT) {
		*out = (int)state_config_get(st, shared[name]);
	} else if (level == IPPROTO_TCP && (name == TCP_NODELAY || name == TCP_QUICKACK)) {
		*out = 1;
	} else if (level == IPPROTO_TCP && name == TCP_MAXSEG) {
		v = (uint32_t)state_read(st, &s->tuple, "mss");
		*out = (int)(v ? v : state_config_get(st, "mss"));
	} else if (level == IPPROTO_TCP && name == TCP_USER_TIMEOUT) {
		*out = (int)state_config_get(st, "user_timeout_ms");
	} else if (level == IPPROTO_TCP && name == TCP_FASTOPEN) {
		*out = (int)state_config_get(st, "fast_open");
	} else if (level == SOL_SOCKET && name == SO_ERROR) {
		*out = s->error;
		s->error = 0;
	} else if (level == SOL_SOCKET && name == SO_TYPE) {
		*out = SOCK_STREAM;
	} else if (level == SOL_SOCKET && name == SO_REUSEADDR) {
		*out = s->reuse;
	} else if (level == SOL_SOCKET && name == SO_KEEPALIVE) {
		*out = st->keepalive;
	} else if (level == SOL_SOCKET && name == SO_SNDBUF) {
		*out = (int)s->sndbuf;
	} else if (level == SOL_SOCKET && name == SO_RCVBUF) {
		*out = (int)state_config_get(st, "rx_buf_bytes");
	} else {
		errno = ENOPROTOOPT;
		return -1;
	}
	return 0;
}

static int option_copy(void *to, socklen_t *len, const void *from, size_t size)
{
	*len = *len < size ? *len : (socklen_t)size;
	memcpy(to, from, *len);
	return 0;
}

static int option_get(struct sluice_tcp *st, struct sock *s, int level, int name, void *value,
                      socklen_t *len)
{
	struct linger linger = {s->linger_s >= 0, s->linger_s >= 0 ? s->linger_s : 0};
	const char *cc = state_config_get(st, "congestion") == 1 ? "reno" : "cubic";
	struct tcp_info info;
	int v = 0;

	if (level == SOL_SOCKET && name == SO_LINGER)
		return option_copy(value, len, &linger, sizeof(linger));
	if (level == IPPROTO_TCP && name == TCP_CONGESTION)
		return option_copy(value, len, cc, strlen(cc) + 1);
	if (level == IPPROTO_TCP && name == TCP_INFO) {
		info_fill(st, s, &info);
		return option_copy(value, len, &info, sizeof(info));
	}
	if (int_option(st, s, level, name, &v) < 0)
		return -1;
	return option_copy(value, len, &v, sizeof(v));
}

int sluice_tcp_getsockopt(struct sluice_tcp *st, int fd, int level, int name, void *value,
                          socklen_t *len)
{
	struct sock *s;
	int r;

	stack_enter(st);
	s = sock_get(st, fd);
	r = s ? option_get(st, s, level, name, value, len) : -1;
	stack_leave(st);
	return r;
}

static int socket_option_set(struct sluice_tcp *st, struct sock *s, int name, int v)
{
	switch (name) {
	case SO_REUSEADDR:
		s->reuse = v;
		return 0;
	case SO_KEEPALIVE:
		state_keepalive(st, v);
		return 0;
	case SO_SNDBUF:
		s->sndbuf = v > 4096 ? (uint32_t)v : 4096;
		return 0;
	default:
		errno = ENOPROTOOPT;
		return -1;
	}
}

static int tcp_option_set(struct sluice_tcp *st, int name, int v)
{
	if (name == TCP_USER_TIMEOUT && v >= 0) {
		state_config_set(st, "user_timeout_ms", (uint32_t)v);
		return 0;
	}
	if (v < 0 || (v == 0 && name != TCP_QUICKACK && name != TCP_FASTOPEN) || v > 32767) {
		errno = EINVAL;
		return -1;
	}
	switch (name) {
	case TCP_NODELAY:
	case TCP_QUICKACK:
		return 0;
	case TCP_FASTOPEN:
		state_config_set(st, "fast_open", v > 0);
		return 0;
	case TCP_MAXSEG:
		state_config_set(st, "mss", (uint32_t)v);
		return 0;
	case TCP_KEEPIDLE:
		state_config_set(st, "keepalive_idle_ms", (uint32_t)v * 1000);
		return 0;
	case TCP_KEEPINTVL:
		state_config_set(st, "keepalive_interval_ms", (uint32_t)v * 1000);
		return 0;
	case TCP_KEEPCNT:
		state_config_set(st, "keepalive_probes", (uint32_t)v);
		return 0;
	default:
		errno = ENOPROTOOPT;
		return -1;
	}
}

/* For connections that begin from now on. */
static int congestion_set(struct sluice_tcp *st, const char *name, socklen_t len)
{
	static const char *const names[] = {"cubic", "reno"}; /* enum tcp_congestion */

	for (uint32_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strnlen(name, len) != strlen(names[i]) ||
		    memcmp(name, names[i], strlen(names[i])) != 0)
			continue;
		state_config_set(st, "congestion", i);
		return 0;
	}
	errno = ENOENT;
	return -1;
}

static int option_set(struct sluice_tcp *st, struct sock *s, int level, int name, const void *value,
                      socklen_t len)
{
	struct linger linger;
	int v;

	if (level == SOL_SOCKET && name == SO_LINGER && len >= sizeof(linger)) {
		memcpy(&linger, value, sizeof(linger));
		s->linger_s = linger.l_onoff ? linger.l_linger : -1;
		return 0;
	}
	if (level == IPPROTO_TCP && name == TCP_CONGESTION)
		return congestion_set(st, value, len);
	if (len < sizeof(v)) {
		errno = EINVAL;
		return -1;
	}
	memcpy(&v, value, sizeof(v));
	if (level == SOL_SOCKET)
		return socket_option_set(st, s, name, v);
	if (level == IPPROTO_TCP)
		return tcp_option_set(st, name, v);
	errno = ENOPROTOOPT;
	return -1;
}

int sluice_tcp_setsockopt(struct sluice_tcp *st, int fd, int level, int name, const void *value,
                          socklen_t len)
{
	struct sock *s;
	int r;

	stack_enter(st);
	s = sock_get(st, fd);
	r = s ? option_set(st, s, level, name, value, len) : -1;
	stack_leave(st);
	return r;
}
