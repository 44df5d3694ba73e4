/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Two processes, one port, a million messages each way with doorbells: order, content, and no
 * wake-up that gets lost. */
#include "lib/channel.h"
#include "lib/clock.h"
#include "lib/doorbell.h"
#include "lib/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define MESSAGES    1000000ull
#define WAIT_NS     (20 * NS_PER_S) /* far above any scheduling delay: a lost wake-up */
#define BLOCK_BYTES 4096u
#define BLOCKS      16u
#define CHECK_EVERY 64u

static const struct chan_geometry geometry = {
        .cores = 1,
        .ring_entries = 256,
        .up_block_bytes = BLOCK_BYTES,
        .up_blocks = BLOCKS,
        .down_block_bytes = BLOCK_BYTES,
        .down_blocks = BLOCKS,
};

static void message_fill(struct chan_msg *m, uint64_t i)
{
	m->type = CHAN_BODY;
	m->code = (uint16_t)(i * 7);
	m->ticket.seq = i;
	m->block = (uint32_t)(i / CHECK_EVERY % BLOCKS);
	m->len = 64;
	m->off = (uint32_t)(i % 32 * 64);
	m->n = i * 0x9e3779b97f4a7c15ull;
}

static bool message_right(const struct chan_msg *m, uint64_t i)
{
	struct chan_msg want = {0};

	message_fill(&want, i);
	return memcmp(m, &want, sizeof(want)) == 0;
}

/* Receives one, sleeping as long as it takes. False: none came in WAIT_NS, though one must. */
static bool recv_or_sleep(struct chan_port *p, struct chan_msg *m, uint64_t *sleeps)
{
	while (!chan_recv(p, m)) {
		if (p->rx.corrupt)
			return false;
		chan_rx_done(p);
		if (!chan_prepare_sleep(p))
			continue;
		bool rung = doorbell_wait(p->wait_fd, WAIT_NS);
		doorbell_clear(p->wait_fd);
		chan_awake(p);
		++*sleeps;
		if (!rung)
			return false;
	}
	return true;
}

/* Echoes every message with the number that was written into its block; exit status 0 when all were
 * right. */
static int echo_process(struct chan *ch, const int fds[2])
{
	struct chan_port p;
	struct chan_msg m;
	uint64_t sleeps = 0;

	chan_port_control(ch, 0, &p);
	p.ring_fd = fds[0];
	p.wait_fd = fds[1];
	for (uint64_t i = 0; i < MESSAGES; i++) {
		uint64_t in_block = 0;
		if (!recv_or_sleep(&p, &m, &sleeps) || !message_right(&m, i))
			return 1;
		if (i % CHECK_EVERY == 0) {
			const void *bytes = chan_peer_bytes(&p, &m);
			if (bytes == NULL)
				return 2;
			memcpy(&in_block, bytes, sizeof(in_block));
			if (in_block != i)
				return 3;
		}
		struct chan_msg *out = chan_slot(&p);
		if (out == NULL)
			return 4; /* the sender keeps fewer under way than the ring holds */
		*out = m;
		chan_push(&p);
		/* At the end of a burst, as a loop does. */
		if (spsc_peek(&p.rx) == NULL) {
			chan_rx_done(&p); /* first: an answer that is seen means room to send */
			chan_flush(&p);
		}
	}
	chan_flush(&p);
	return 0;
}

/* Sends i, with its number in the block of every CHECK_EVERYth. */
static bool send_number(struct chan_port *p, unsigned char *up, uint64_t i)
{
	struct chan_msg *m = chan_slot(p);

	if (m == NULL)
		return false;
	message_fill(m, i);
	if (i % CHECK_EVERY == 0)
		memcpy(up + (size_t)m->block * BLOCK_BYTES + m->off, &i, sizeof(i));
	chan_push(p);
	return true;
}

static void a_million_each_way(void **state)
{
	struct chan ch;
	int fds[2];

	(void)state;
	assert_int_equal(chan_create(&ch, &geometry, false), ST_OK);
	assert_int_equal(doorbell_create(&fds[0]), ST_OK);
	assert_int_equal(doorbell_create(&fds[1]), ST_OK);
	/* Positions near their end, so that they wrap on the way. */
	struct chan_port p;
	chan_port_core(&ch, 0, &p);
	p.tx.shared->tail = p.tx.shared->head = UINT32_MAX - 300000;
	p.rx.shared->tail = p.rx.shared->head = UINT32_MAX - 600000;
	chan_port_core(&ch, 0, &p);
	p.ring_fd = fds[1];
	p.wait_fd = fds[0];

	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(echo_process(&ch, fds));

	unsigned char *up = chan_up_base(&ch, 0);
	uint64_t sent = 0, sleeps = 0, rings = 0, seed = 1;
	bool ok = true;
	struct chan_msg m;
	for (uint64_t got = 0; ok && got < MESSAGES; got++) {
		if (sent == got) {
			chan_rx_done(&p);
			random_bytes(&seed, sizeof(seed));
			uint64_t burst = min_u64(1 + seed % 200, MESSAGES - sent);
			for (; ok && burst > 0; burst--)
				ok = send_number(&p, up, sent++);
			rings += chan_flush(&p);
		}
		ok = ok && recv_or_sleep(&p, &m, &sleeps) && message_right(&m, got);
	}
	if (!ok)
		kill(child, SIGKILL);
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_true(ok);
	assert_false(chan_recv(&p, &m));
	/* It would prove nothing if nobody had slept. */
	assert_true(sleeps > 0 && rings > 0);
	print_message("%llu messages each way, %llu sleeps, %llu rings\n",
	              (unsigned long long)MESSAGES, (unsigned long long)sleeps,
	              (unsigned long long)rings);
	close(fds[0]);
	close(fds[1]);
	chan_close(&ch);
}

#define LITMUS_ROUNDS 300000ull
#define LITMUS_NS     (10 * NS_PER_S)

struct litmus {
	struct chan_port core;
	struct chan_port control;
	bool lost;
};

/* In place of a wait on an eventfd: until the sender clears asleep. Thousands of times faster, so
 * that the moment between the flag and the second look is met often. */
static bool spin_asleep(const struct spsc_shared *sh)
{
	uint64_t start_ns = 0;

	for (uint32_t spins = 1; __atomic_load_n(&sh->asleep, __ATOMIC_RELAXED) != 0; spins++) {
		if (spins % 4096 != 0)
			continue;
		sched_yield();
		start_ns = start_ns == 0 ? clock_mono_ns() : start_ns;
		if (clock_mono_ns() - start_ns > LITMUS_NS)
			return false;
	}
	return true;
}

static bool recv_or_spin(struct chan_port *p)
{
	struct chan_msg m;

	while (!chan_recv(p, &m)) {
		if (chan_prepare_sleep(p) && !spin_asleep(p->rx.shared))
			return false;
		chan_awake(p);
	}
	chan_rx_done(p);
	return true;
}

static void send_one(struct chan_port *p)
{
	struct chan_msg *m = chan_slot(p);

	m->type = CHAN_BODY;
	chan_push(p);
	chan_flush(p);
}

/* A little while, another one each time: the answer shall come at any moment of going to sleep. */
static void linger(uint64_t i, uint64_t range)
{
	for (volatile uint64_t k = i % range; k > 0; k--)
		;
}

static void *litmus_far(void *arg)
{
	struct litmus *l = arg;

	for (uint64_t i = 0; i < LITMUS_ROUNDS; i++) {
		if (!recv_or_spin(&l->control)) {
			l->lost = true;
			break;
		}
		send_one(&l->control);
		linger(i, 251);
	}
	return NULL;
}

/* Both sides sleep after every message. */
static void no_wake_up_is_lost(void **state)
{
	struct litmus l = {0};
	struct chan ch;
	pthread_t far;
	bool ok = true;

	(void)state;
	assert_int_equal(chan_create(&ch, &geometry, false), ST_OK);
	chan_port_core(&ch, 0, &l.core);
	chan_port_control(&ch, 0, &l.control);
	assert_int_equal(pthread_create(&far, NULL, litmus_far, &l), 0);
	for (uint64_t i = 0; ok && i < LITMUS_ROUNDS; i++) {
		send_one(&l.core);
		linger(i, 241);
		ok = recv_or_spin(&l.core);
	}
	pthread_join(far, NULL);
	assert_true(ok);
	assert_false(l.lost);
	chan_close(&ch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(no_wake_up_is_lost),
	        cmocka_unit_test(a_million_each_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
