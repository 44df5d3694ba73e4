/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A bad wire: carries frames between two interfaces of its namespace and loses, repeats, reorders,
 * corrupts and delays them as it is told, each direction alike. Chances are in parts per million.
 * What befalls the nth segment of the kth connection in one direction follows from the seed alone:
 * two stacks that are compared meet the same fate with the same seed, as far as they send the same.
 *
 *   wire INTERFACE INTERFACE SEED
 *
 * Reads lines "loss dup reorder corrupt delay_us rate_kbit queue_bytes [SEED]" from its standard
 * input (rate 0: no limit), answers each with the counts since the last, "carried lost repeated
 * reordered corrupted", and ends with its input. A seed in the line begins anew: the next
 * connection is the first. ARP and neighbour discovery pass untouched: they would only make tests
 * slow. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	FRAME_MAX = 2048,
	FRAMES = 16384, /* on the wire at a time */
	BURST = 64,
	REORDER_MIN_US = 200,
	REORDER_SPAN_US = 2000,
	FLOWS = 4096, /* a power of two; of two that meet in a place, each begins anew in turn */
};

struct frame {
	uint64_t due_ns;
	uint64_t order; /* of frames due at the same time */
	uint32_t len;
	uint32_t to;
	uint8_t data[FRAME_MAX];
};

struct setting {
	uint64_t loss;
	uint64_t dup;
	uint64_t reorder;
	uint64_t corrupt;
	uint64_t delay_us;
	uint64_t rate_kbit;
	uint64_t queue_bytes; /* in front of the rate limit */
};

struct counts {
	uint64_t carried;
	uint64_t lost;
	uint64_t repeated;
	uint64_t reordered;
	uint64_t corrupted;
};

/* A connection, by its ports. */
struct flow {
	uint32_t ports;
	bool used;
	uint64_t rng[2]; /* of each direction */
};

struct wire {
	int fd[2];
	struct setting set;
	struct counts n;
	uint64_t seed;
	uint64_t flows_seen;
	uint64_t order;
	uint64_t free_ns[2]; /* when the rate limit lets the next frame begin */
	uint32_t free_count;
	uint32_t heap_len;
	struct frame *free[FRAMES];
	struct frame *heap[FRAMES + 1]; /* from 1; the earliest first */
	struct flow flows[FLOWS];
};

static uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t random_next(uint64_t *rng)
{
	*rng ^= *rng >> 12;
	*rng ^= *rng << 25;
	*rng ^= *rng >> 27;
	return *rng * 2685821657736338717u;
}

static bool chance(uint64_t *rng, uint64_t ppm)
{
	return ppm > 0 && (random_next(rng) >> 32) % 1000000 < ppm;
}

/* Numbers that differ in a bit begin rows that have nothing in common (splitmix64). */
static uint64_t row_begin(uint64_t n)
{
	n += 0x9e3779b97f4a7c15u;
	n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9u;
	n = (n ^ n >> 27) * 0x94d049bb133111ebu;
	return (n ^ n >> 31) | 1;
}

static void seed_set(struct wire *w, uint64_t seed)
{
	memset(w->flows, 0, sizeof(w->flows));
	w->flows_seen = 0;
	w->seed = row_begin(seed);
}

static bool before(const struct frame *a, const struct frame *b)
{
	return a->due_ns < b->due_ns || (a->due_ns == b->due_ns && a->order < b->order);
}

static void heap_push(struct wire *w, struct frame *f)
{
	uint32_t at = ++w->heap_len;

	for (; at > 1 && before(f, w->heap[at / 2]); at /= 2)
		w->heap[at] = w->heap[at / 2];
	w->heap[at] = f;
}

static struct frame *heap_pop(struct wire *w)
{
	struct frame *top = w->heap[1];
	struct frame *last = w->heap[w->heap_len--];
	uint32_t at = 1;

	while (2 * at <= w->heap_len) {
		uint32_t kid = 2 * at;

		if (kid < w->heap_len && before(w->heap[kid + 1], w->heap[kid]))
			kid++;
		if (!before(w->heap[kid], last))
			break;
		w->heap[at] = w->heap[kid];
		at = kid;
	}
	w->heap[at] = last;
	return top;
}

/* Where the ports are in TCP over IPv4 or IPv6, possibly fragmented, which is what may be harmed;
 * 0: it is something else. */
static uint32_t tcp_offset(const struct frame *f)
{
	const uint8_t *p = f->data;
	uint32_t at = 0;

	if (f->len < 54)
		return 0;
	if (p[12] == 0x08 && p[13] == 0x00 && p[23] == IPPROTO_TCP)
		at = 14 + (p[14] & 15u) * 4;
	else if (p[12] == 0x86 && p[13] == 0xdd && p[20] == IPPROTO_TCP)
		at = 14 + 40;
	return at + 4 <= f->len ? at : 0;
}

static struct flow *flow_of(struct wire *w, const uint8_t *ports)
{
	uint32_t a = (uint32_t)ports[0] << 8 | ports[1];
	uint32_t b = (uint32_t)ports[2] << 8 | ports[3];
	uint32_t key = a < b ? b << 16 | a : a << 16 | b;
	uint64_t at = row_begin(key) >> 32 & (FLOWS - 1);
	struct flow *flow = &w->flows[at];

	if (flow->used && flow->ports == key)
		return flow;
	*flow = (struct flow){.ports = key, .used = true};
	for (uint32_t way = 0; way < 2; way++)
		flow->rng[way] = row_begin(w->seed + 2 * w->flows_seen + way);
	w->flows_seen++;
	return flow;
}

static void frame_corrupt(struct wire *w, struct frame *f, uint64_t *rng)
{
	/* Behind the Ethernet header, which has a checksum of its own that no test can reach. */
	uint32_t at = 14 + (uint32_t)(random_next(rng) >> 33) % (f->len - 14);

	f->data[at] ^= (uint8_t)(1u << (random_next(rng) >> 61));
	w->n.corrupted++;
}

/* When the frame gets to the other end; 0 when the queue is full. */
static uint64_t frame_due(struct wire *w, const struct frame *f, uint64_t now)
{
	uint64_t *next = &w->free_ns[f->to];
	uint64_t due = now;

	if (w->set.rate_kbit > 0) {
		uint64_t wait_bytes;

		if (*next < now)
			*next = now;
		wait_bytes = (*next - now) * w->set.rate_kbit / 8000000;
		if (wait_bytes > w->set.queue_bytes)
			return 0;
		*next += f->len * 8000000ull / w->set.rate_kbit;
		due = *next;
	}
	return due + w->set.delay_us * 1000;
}

static void frame_put(struct wire *w, struct frame *f)
{
	w->free[w->free_count++] = f;
}

static void frame_repeat(struct wire *w, const struct frame *f)
{
	struct frame *copy;

	if (w->free_count == 0)
		return;
	copy = w->free[--w->free_count];
	*copy = *f;
	copy->order = w->order++;
	w->n.repeated++;
	heap_push(w, copy);
}

/* Each frame draws as many numbers, so that the fate of the next does not depend on this one's. */
struct fate {
	bool lost;
	bool corrupt;
	bool reorder;
	bool repeat;
};

static struct fate fate_draw(const struct wire *w, uint64_t *rng)
{
	struct fate fate;

	fate.lost = chance(rng, w->set.loss);
	fate.corrupt = chance(rng, w->set.corrupt);
	fate.reorder = chance(rng, w->set.reorder);
	fate.repeat = chance(rng, w->set.dup);
	return fate;
}

static void frame_in(struct wire *w, struct frame *f, uint64_t now)
{
	uint32_t tcp = tcp_offset(f);
	uint64_t *rng = tcp > 0 ? &flow_of(w, f->data + tcp)->rng[f->to] : NULL;
	struct fate fate = {0};

	if (rng)
		fate = fate_draw(w, rng);
	f->due_ns = frame_due(w, f, now);
	if (f->due_ns == 0 || fate.lost) {
		w->n.lost++;
		frame_put(w, f);
		return;
	}
	w->n.carried++;
	f->order = w->order++;
	if (fate.corrupt)
		frame_corrupt(w, f, rng);
	if (fate.reorder) {
		f->due_ns += (REORDER_MIN_US + (random_next(rng) >> 33) % REORDER_SPAN_US) * 1000;
		w->n.reordered++;
	}
	heap_push(w, f);
	if (fate.repeat)
		frame_repeat(w, f);
}

static void frames_in(struct wire *w, uint32_t from, uint64_t now)
{
	for (uint32_t i = 0; i < BURST && w->free_count > 1; i++) {
		struct frame *f = w->free[--w->free_count];
		ssize_t n = recv(w->fd[from], f->data, FRAME_MAX, MSG_DONTWAIT | MSG_TRUNC);

		if (n <= 0 || n > FRAME_MAX) {
			frame_put(w, f);
			if (n <= 0)
				return;
			fprintf(stderr, "wire: a frame of %zd bytes: offloads are not off\n", n);
			continue;
		}
		f->len = (uint32_t)n;
		f->to = !from;
		frame_in(w, f, now);
	}
}

static void frames_out(struct wire *w, uint64_t now)
{
	while (w->heap_len > 0 && w->heap[1]->due_ns <= now) {
		struct frame *f = heap_pop(w);

		if (send(w->fd[f->to], f->data, f->len, MSG_DONTWAIT) < 0)
			w->n.lost++;
		frame_put(w, f);
	}
}

/* False at the end of the input. */
static bool command_read(struct wire *w)
{
	char line[256];
	unsigned long long v[8];
	int got;

	if (!fgets(line, sizeof(line), stdin))
		return false;
	got = sscanf(line, "%llu %llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1], &v[2], &v[3],
	             &v[4], &v[5], &v[6], &v[7]);
	if (got < 7) {
		fprintf(stderr, "wire: seven numbers are needed: %s", line);
		return false;
	}
	if (got == 8)
		seed_set(w, v[7]);
	w->set = (struct setting){v[0], v[1], v[2], v[3], v[4], v[5], v[6]};
	printf("%llu %llu %llu %llu %llu\n", (unsigned long long)w->n.carried,
	       (unsigned long long)w->n.lost, (unsigned long long)w->n.repeated,
	       (unsigned long long)w->n.reordered, (unsigned long long)w->n.corrupted);
	fflush(stdout);
	w->n = (struct counts){0};
	return true;
}

static int interface_open(const char *name)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	struct packet_mreq promisc = {.mr_type = PACKET_MR_PROMISC};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
	int bytes = 16 << 20;
	int one = 1;

	at.sll_ifindex = (int)if_nametoindex(name);
	promisc.mr_ifindex = at.sll_ifindex;
	if (fd < 0 || at.sll_ifindex == 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promisc, sizeof(promisc)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) < 0) {
		fprintf(stderr, "wire: %s: %s\n", name, strerror(errno));
		exit(1);
	}
	return fd;
}

static struct timespec time_left(const struct wire *w)
{
	uint64_t now = clock_ns();
	uint64_t left = 1000000000;

	if (w->heap_len > 0)
		left = w->heap[1]->due_ns > now ? w->heap[1]->due_ns - now : 0;
	return (struct timespec){(time_t)(left / 1000000000), (long)(left % 1000000000)};
}

int main(int argc, char **argv)
{
	struct wire *w = calloc(1, sizeof(*w));
	struct frame *frames = calloc(FRAMES, sizeof(*frames));

	if (argc != 4 || !w || !frames) {
		fprintf(stderr, "usage: wire INTERFACE INTERFACE SEED\n");
		return 1;
	}
	for (uint32_t i = 0; i < FRAMES; i++)
		frame_put(w, &frames[i]);
	w->fd[0] = interface_open(argv[1]);
	w->fd[1] = interface_open(argv[2]);
	seed_set(w, strtoull(argv[3], NULL, 0));
	setvbuf(stdin, NULL, _IONBF, 0);
	for (;;) {
		struct pollfd p[3] = {{.fd = w->fd[0], .events = POLLIN},
		                      {.fd = w->fd[1], .events = POLLIN},
		                      {.fd = 0, .events = POLLIN}};
		struct timespec left = time_left(w);

		if (ppoll(p, 3, &left, NULL) < 0 && errno != EINTR)
			return 1;
		if (p[2].revents && !command_read(w))
			return 0;
		for (uint32_t i = 0; i < 2; i++)
			if (p[i].revents)
				frames_in(w, i, clock_ns());
		frames_out(w, clock_ns());
	}
}
