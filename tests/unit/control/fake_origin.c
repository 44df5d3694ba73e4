/* SPDX-License-Identifier: BSD-2-Clause */
#include "fake_origin.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_MAX  65536u
#define CONNS_MAX 4096u

struct origin {
	int listener;
	uint16_t port;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t gate_cond;
	bool gate_closed;
	bool stalled;
	bool stopping;
	uint32_t requests;
	uint32_t validations;
	unsigned fail;
	uint32_t connections;
	uint32_t alive;
	int fds[CONNS_MAX];
};

struct peer {
	struct origin *o;
	int fd;
	uint32_t served;
	char buf[HEAD_MAX];
	size_t len; /* bytes in buf */
	char head[HEAD_MAX];
	size_t head_len;
	char path[256];
	bool close_after;
};

static bool write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

static bool write_text(int fd, const char *s)
{
	return write_all(fd, s, strlen(s));
}

static bool fill(struct peer *p)
{
	ssize_t n;

	if (p->len == sizeof(p->buf))
		return false;
	n = recv(p->fd, p->buf + p->len, sizeof(p->buf) - p->len, 0);
	if (n <= 0)
		return false;
	p->len += (size_t)n;
	return true;
}

static void consume(struct peer *p, size_t n)
{
	memmove(p->buf, p->buf + n, p->len - n);
	p->len -= n;
}

static bool read_head(struct peer *p)
{
	char *end;

	for (;;) {
		end = memmem(p->buf, p->len, "\r\n\r\n", 4);
		if (end != NULL)
			break;
		if (!fill(p))
			return false;
	}
	p->head_len = (size_t)(end - p->buf) + 4;
	memcpy(p->head, p->buf, p->head_len);
	p->head[p->head_len] = '\0';
	consume(p, p->head_len);
	return sscanf(p->head, "%*s %255s", p->path) == 1;
}

static bool body_write(int fd, uint64_t from, uint64_t n)
{
	unsigned char data[16384];

	while (n > 0) {
		size_t part = n < sizeof(data) ? (size_t)n : sizeof(data);

		for (size_t i = 0; i < part; i++)
			data[i] = origin_byte(from + i);
		if (!write_all(fd, data, part))
			return false;
		from += part;
		n -= part;
	}
	return true;
}

static bool fixed_write(struct peer *p, uint64_t n, const char *fields, uint64_t really)
{
	char head[512];

	snprintf(head, sizeof(head),
	         "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n%sContent-Length: %llu\r\n\r\n",
	         fields, (unsigned long long)n);
	if (!write_text(p->fd, head))
		return false;
	return strncmp(p->head, "HEAD ", 5) == 0 || body_write(p->fd, 0, really);
}

static bool chunked_write(struct peer *p, uint64_t n, uint64_t chunk, const char *fields)
{
	char line[256];
	int cork = chunk < 512; /* short chunks come many to a segment */

	setsockopt(p->fd, IPPROTO_TCP, TCP_CORK, &cork, sizeof(cork));
	snprintf(line, sizeof(line), "HTTP/1.1 200 OK\r\n%sTransfer-Encoding: chunked\r\n\r\n",
	         fields);
	if (!write_text(p->fd, line))
		return false;
	for (uint64_t at = 0; at < n;) {
		uint64_t part = n - at < chunk ? n - at : chunk;

		snprintf(line, sizeof(line), "%llx%s\r\n", (unsigned long long)part,
		         at == 0 ? ";ext=1" : "");
		if (!write_text(p->fd, line) || !body_write(p->fd, at, part) ||
		    !write_text(p->fd, "\r\n"))
			return false;
		at += part;
	}
	bool ok = write_text(p->fd, "0\r\nX-Trailer: t\r\n\r\n");
	cork = 0;
	setsockopt(p->fd, IPPROTO_TCP, TCP_CORK, &cork, sizeof(cork));
	return ok;
}

static void stall_wait(struct origin *o)
{
	pthread_mutex_lock(&o->lock);
	while (o->stalled && !o->stopping)
		pthread_cond_wait(&o->gate_cond, &o->lock);
	pthread_mutex_unlock(&o->lock);
}

/* Adds up want bytes of body, or less when the peer breaks off. */
static uint64_t body_take(struct peer *p, uint64_t want, uint64_t *sum)
{
	uint64_t got = 0;

	while (got < want) {
		size_t part;

		stall_wait(p->o);
		if (p->len == 0 && !fill(p))
			break;
		part = p->len < want - got ? p->len : (size_t)(want - got);
		for (size_t i = 0; i < part; i++)
			*sum = *sum * 31 + (unsigned char)p->buf[i];
		consume(p, part);
		got += part;
	}
	return got;
}

static bool line_take(struct peer *p, char *line, size_t cap)
{
	char *end;

	while ((end = memmem(p->buf, p->len, "\r\n", 2)) == NULL)
		if (!fill(p))
			return false;
	size_t n = (size_t)(end - p->buf);
	if (n >= cap)
		return false;
	memcpy(line, p->buf, n);
	line[n] = '\0';
	consume(p, n + 2);
	return true;
}

static bool echo(struct peer *p)
{
	const char *cl = strcasestr(p->head, "\r\nContent-Length: ");
	char line[64];
	uint64_t sum = 0;
	uint64_t got = 0;

	if (cl != NULL) {
		uint64_t want = strtoull(cl + 18, NULL, 10);

		got = body_take(p, want, &sum);
		if (got < want)
			return false;
	} else if (strcasestr(p->head, "\r\nTransfer-Encoding: chunked") != NULL) {
		for (;;) {
			if (!line_take(p, line, sizeof(line)))
				return false;
			uint64_t n = strtoull(line, NULL, 16);
			uint64_t took = body_take(p, n, &sum);
			got += took;
			if (took < n || !line_take(p, line, sizeof(line)) || line[0] != '\0')
				return false;
			if (n == 0)
				break;
		}
	}
	char body[64];
	char head[128];
	int n = snprintf(body, sizeof(body), "%llu %llu", (unsigned long long)got,
	                 (unsigned long long)sum);
	snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", n);
	return write_text(p->fd, head) && write_text(p->fd, body);
}

static bool bytewise(struct peer *p, uint64_t n)
{
	char head[128];

	snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %llu\r\n\r\n",
	         (unsigned long long)n);
	for (size_t i = 0; head[i] != '\0'; i++)
		if (!write_all(p->fd, head + i, 1))
			return false;
	for (uint64_t i = 0; i < n; i++)
		if (!body_write(p->fd, i, 1))
			return false;
	return true;
}

static bool bighead(struct peer *p, uint64_t n)
{
	bool ok = write_text(p->fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Big: ");

	for (uint64_t i = 0; ok && i < n; i++)
		ok = write_all(p->fd, "b", 1);
	return ok && write_text(p->fd, "\r\n\r\n");
}

static bool heads(struct peer *p)
{
	char head[128];

	snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", p->head_len);
	return write_text(p->fd, head) && write_all(p->fd, p->head, p->head_len);
}

static bool status_only(struct peer *p, unsigned status)
{
	char head[128];

	snprintf(head, sizeof(head), "HTTP/1.1 %u Whatever\r\nETag: \"e1\"\r\n%s\r\n", status,
	         status == 204 || status == 304 ? "" : "Content-Length: 0\r\n");
	return write_text(p->fd, head);
}

/* False when the connection is to be closed. */
static bool answer_special(struct peer *p)
{
	char c;

	if (strcmp(p->path, "/slow") == 0)
		return recv(p->fd, &c, 1, 0) > 0;
	if (strcmp(p->path, "/drop") == 0)
		return p->served == 1 && fixed_write(p, 5, "", 5);
	if (strcmp(p->path, "/interim") == 0)
		return write_text(p->fd, "HTTP/1.1 100 Continue\r\n\r\n"
		                         "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n") &&
		       fixed_write(p, 10, "", 10);
	if (strcmp(p->path, "/garbage") == 0)
		return write_text(p->fd, "SSH-2.0-OpenSSH\r\n\r\n\r\n");
	if (strcmp(p->path, "/surplus") == 0)
		return fixed_write(p, 5, "", 9);
	if (strcmp(p->path, "/echo") == 0)
		return echo(p);
	if (strcmp(p->path, "/early") == 0)
		return write_text(p->fd,
		                  "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig") &&
		       recv(p->fd, &c, 1, MSG_PEEK) > 0;
	if (strcmp(p->path, "/made") == 0)
		return write_text(p->fd, "HTTP/1.1 201 Created\r\nLocation: /store/77\r\n"
		                         "Content-Length: 0\r\n\r\n");
	if (strcmp(p->path, "/heads") == 0)
		return heads(p);
	if (strcmp(p->path, "/upgrade") == 0)
		return write_text(p->fd, "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n");
	return status_only(p, 404);
}

/* A 304 when the request names the ETag. */
static bool conditional(struct peer *p, uint64_t n, const char *fields, const char *etag304)
{
	char head[1024];

	if (strcasestr(p->head, "\r\nIf-None-Match: \"e1\"") == NULL) {
		snprintf(head, sizeof(head), "%sETag: \"e1\"\r\n", fields);
		return fixed_write(p, n, head, n);
	}
	__atomic_add_fetch(&p->o->validations, 1, __ATOMIC_RELAXED);
	snprintf(head, sizeof(head), "HTTP/1.1 304 Not Modified\r\n%sETag: %s\r\n\r\n", fields,
	         etag304);
	return write_text(p->fd, head);
}

static bool cached(struct peer *p)
{
	unsigned long long n = 0;
	char cc[128] = "";
	char fields[512];
	char lang[32] = "none";
	const char *al = strcasestr(p->head, "\r\nAccept-Language: ");

	if (sscanf(p->path, "/cc/%llu/%127s", &n, cc) == 2) {
		for (char *at = cc; *at != 0; at++)
			*at = *at == '+' ? ',' : *at;
		snprintf(fields, sizeof(fields), "Cache-Control: %s\r\n", cc);
		return conditional(p, n, fields, "\"e1\"");
	}
	if (sscanf(p->path, "/odd/%llu", &n) == 1)
		return conditional(p, n, "Cache-Control: max-age=0\r\n", "\"e2\"");
	if (al != NULL)
		sscanf(al, "\r\nAccept-Language: %31[a-z]", lang);
	if (sscanf(p->path, "/vary/%llu", &n) != 1)
		return false;
	snprintf(fields, sizeof(fields),
	         "Cache-Control: max-age=60\r\nVary: Accept-Language\r\nContent-Language: %s\r\n",
	         lang);
	return fixed_write(p, n, fields, n);
}

static bool starts(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

static bool answer(struct peer *p)
{
	unsigned long long n = 0;
	unsigned long long c = 1000;
	unsigned fail = __atomic_load_n(&p->o->fail, __ATOMIC_RELAXED);

	if (fail != 0)
		return fail > 1 && status_only(p, fail);
	if (starts(p->path, "/cc/") || starts(p->path, "/odd/") || starts(p->path, "/vary/"))
		return cached(p);
	if (sscanf(p->path, "/fixed/%llu", &n) == 1)
		return fixed_write(p, n, "", n);
	if (sscanf(p->path, "/store/%llu", &n) == 1)
		return fixed_write(p, n, "Cache-Control: max-age=60\r\nETag: \"e1\"\r\n", n);
	if (sscanf(p->path, "/storehalf/%llu", &n) == 1) {
		if (!fixed_write(p, n, "Cache-Control: max-age=60\r\n", n / 2))
			return false;
		stall_wait(p->o);
		return body_write(p->fd, n / 2, n - n / 2);
	}
	if (sscanf(p->path, "/storechunk/%llu", &n) == 1)
		return chunked_write(p, n, c, "Cache-Control: max-age=60\r\n");
	if (sscanf(p->path, "/nostore/%llu", &n) == 1)
		return fixed_write(p, n, "Cache-Control: no-store\r\n", n);
	if (sscanf(p->path, "/chunked/%llu/%llu", &n, &c) == 2)
		return chunked_write(p, n, c, "Connection: X-Hop\r\nX-Hop: 1\r\n");
	if (sscanf(p->path, "/closed/%llu", &n) == 1) {
		if (write_text(p->fd, "HTTP/1.1 200 OK\r\n\r\n"))
			body_write(p->fd, 0, n);
		return false;
	}
	if (sscanf(p->path, "/closedcut/%llu", &n) == 1) {
		struct linger reset = {.l_onoff = 1};

		if (write_text(p->fd, "HTTP/1.1 200 OK\r\n\r\n"))
			body_write(p->fd, 0, n);
		setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		return false;
	}
	if (sscanf(p->path, "/cut/%llu", &n) == 1) {
		fixed_write(p, n, "", n / 2);
		return false;
	}
	if (sscanf(p->path, "/bye/%llu", &n) == 1) {
		fixed_write(p, n, "", n);
		return false;
	}
	if (sscanf(p->path, "/status/%llu", &n) == 1)
		return status_only(p, (unsigned)n);
	if (sscanf(p->path, "/bighead/%llu", &n) == 1)
		return bighead(p, n);
	if (sscanf(p->path, "/bytewise/%llu", &n) == 1)
		return bytewise(p, n);
	return answer_special(p);
}

static bool gate_wait(struct origin *o)
{
	bool go;

	pthread_mutex_lock(&o->lock);
	o->requests++;
	while (o->gate_closed && !o->stopping)
		pthread_cond_wait(&o->gate_cond, &o->lock);
	go = !o->stopping;
	pthread_mutex_unlock(&o->lock);
	return go;
}

static void *peer_main(void *arg)
{
	struct peer *p = arg;
	struct origin *o = p->o;

	while (read_head(p)) {
		p->served++;
		if (!gate_wait(o) || !answer(p))
			break;
	}
	pthread_mutex_lock(&o->lock);
	for (uint32_t i = 0; i < CONNS_MAX; i++)
		if (o->fds[i] == p->fd)
			o->fds[i] = -1;
	close(p->fd);
	o->alive--;
	pthread_cond_broadcast(&o->gate_cond);
	pthread_mutex_unlock(&o->lock);
	free(p);
	return NULL;
}

static void peer_start(struct origin *o, int fd)
{
	struct peer *p = calloc(1, sizeof(*p));
	pthread_attr_t attr;
	pthread_t t;
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	p->o = o;
	p->fd = fd;
	pthread_mutex_lock(&o->lock);
	o->connections++;
	o->alive++;
	for (uint32_t i = 0; i < CONNS_MAX; i++) {
		if (o->fds[i] < 0) {
			o->fds[i] = fd;
			break;
		}
	}
	pthread_mutex_unlock(&o->lock);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 * 1024);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&t, &attr, peer_main, p) != 0)
		abort();
	pthread_attr_destroy(&attr);
}

static void *origin_main(void *arg)
{
	struct origin *o = arg;

	for (;;) {
		int fd = accept(o->listener, NULL, NULL);

		if (fd < 0)
			return NULL;
		peer_start(o, fd);
	}
}

struct origin *origin_start(void)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct origin *o = calloc(1, sizeof(*o));
	socklen_t len = sizeof(sa);

	memset(o->fds, 0xff, sizeof(o->fds));
	pthread_mutex_init(&o->lock, NULL);
	pthread_cond_init(&o->gate_cond, NULL);
	o->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(o->listener, (struct sockaddr *)&sa, sizeof(sa)) != 0 ||
	    listen(o->listener, 1024) != 0 ||
	    getsockname(o->listener, (struct sockaddr *)&sa, &len) != 0 ||
	    pthread_create(&o->thread, NULL, origin_main, o) != 0)
		abort();
	o->port = ntohs(sa.sin_port);
	return o;
}

void origin_stop(struct origin *o)
{
	shutdown(o->listener, SHUT_RDWR);
	pthread_join(o->thread, NULL);
	close(o->listener);
	pthread_mutex_lock(&o->lock);
	o->stopping = true;
	pthread_cond_broadcast(&o->gate_cond);
	for (uint32_t i = 0; i < CONNS_MAX; i++)
		if (o->fds[i] >= 0)
			shutdown(o->fds[i], SHUT_RDWR);
	while (o->alive > 0)
		pthread_cond_wait(&o->gate_cond, &o->lock);
	pthread_mutex_unlock(&o->lock);
	pthread_mutex_destroy(&o->lock);
	pthread_cond_destroy(&o->gate_cond);
	free(o);
}

uint16_t origin_port(const struct origin *o)
{
	return o->port;
}

uint32_t origin_requests(const struct origin *o)
{
	return __atomic_load_n(&o->requests, __ATOMIC_RELAXED);
}

uint32_t origin_connections(const struct origin *o)
{
	return __atomic_load_n(&o->connections, __ATOMIC_RELAXED);
}

void origin_gate(struct origin *o, bool open)
{
	pthread_mutex_lock(&o->lock);
	o->gate_closed = !open;
	pthread_cond_broadcast(&o->gate_cond);
	pthread_mutex_unlock(&o->lock);
}

void origin_stall(struct origin *o, bool stall)
{
	pthread_mutex_lock(&o->lock);
	o->stalled = stall;
	pthread_cond_broadcast(&o->gate_cond);
	pthread_mutex_unlock(&o->lock);
}

uint32_t origin_validations(const struct origin *o)
{
	return __atomic_load_n(&o->validations, __ATOMIC_RELAXED);
}

void origin_fail(struct origin *o, unsigned status)
{
	__atomic_store_n(&o->fail, status, __ATOMIC_RELAXED);
}
