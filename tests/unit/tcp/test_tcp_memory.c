/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Memory of received data, what a hostile sender can make us spend on it, and the order in which
 * scarcity takes things away. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/unit/tcp/tcp_rig.h"

static struct wire wire;

static const uint8_t opts_sack[] = {2, 4, 5, 0xb4, 1, 1, 4, 2};

static uint32_t blocks(const struct wire *w)
{
	struct tcp_usage use;

	tcp_usage(w->tcp, &use);
	return use.rx_blocks;
}

/* A byte here and there costs the blocks around it, and no more than the window has. */
static void test_sparse(void **state)
{
	struct wire *w = &wire;

	(void)state;
	wire_open(w, NULL, false);
	wire_handshake(w, opts_sack, sizeof(opts_sack), 0u - 40000);
	wire_data(w, w->seq + 60000, rig_text + 60000, 1);
	assert_int_equal(blocks(w), 1);
	wire_data(w, w->seq + 4095, rig_text + 4095, 2);
	assert_int_equal(blocks(w), 3);
	wire_data(w, w->seq + 4097, rig_text + 4097, 100);
	assert_int_equal(blocks(w), 3);
	for (uint32_t i = 0; i < 16; i++)
		wire_data(w, w->seq + 4096 * i + 9, rig_text + 4096 * i + 9, 1);
	assert_int_equal(blocks(w), 16);
	for (uint32_t i = 0; i < 65000; i += 1300)
		wire_data(w, w->seq + i, rig_text + i, 1300);
	assert_int_equal(w->rx_len, 65000);
	assert_memory_equal(w->rx, rig_text, 65000);
	assert_int_equal(blocks(w), 0);
	assert_null(w->conn->rx);
	wire_close(w);
}

/* Every second byte of the window, in an order of its own. */
static void every_second(struct wire *w, uint32_t n)
{
	for (uint32_t i = 1; i <= n; i++) {
		uint32_t at = 2 * (1 + i * 7919 % 30000);

		wire_data(w, w->seq + at, rig_text + at, 1);
		if (i % 100 == 0)
			wire_drain(w);
	}
	wire_drain(w);
}

/* Instructions of one segment into a connection that holds so many runs: a child takes it, step by
 * step. 0: the system does not let us. */
static uint64_t steps_of(struct wire *w, uint32_t at, uint32_t len)
{
	uint64_t steps = 0;
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
			_exit(1);
		raise(SIGSTOP);
		wire_data(w, w->seq + at, rig_text + at, len);
		raise(SIGSTOP);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		return 0;
	do {
		if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) != 0)
			break;
		steps++;
	} while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status) &&
	         WSTOPSIG(status) == SIGTRAP);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return steps;
}

/* What a segment costs does not grow with what lies in the queue, but for a copy of its list and a
 * search by halves. */
static void test_bounded_steps(void **state)
{
	struct wire *w = &wire;
	uint64_t empty, some, full, refused, through;

	(void)state;
	wire_open(w, NULL, false);
	wire_handshake(w, opts_sack, sizeof(opts_sack), 0u - 300);
	wire_data(w, w->seq + 2, rig_text + 2, 1);
	wire_drain(w);
	empty = steps_of(w, 60001, 1);
	if (empty == 0) {
		print_message("skipped: a child cannot be traced here (ptrace is denied)\n");
		skip();
	}
	every_second(w, 30);
	some = steps_of(w, 7, 1);
	every_second(w, 5000);
	assert_int_equal(w->conn->rx->ooo_count, TCP_MAX_OOO);
	assert_true(wire_count(w, CTR_drop_tcp_ooo) > 4000);
	/* One that lengthens a run, one that finds no place. */
	full = steps_of(w, w->conn->rx->ooo[128].hi - w->seq, 1);
	refused = steps_of(w, 60001, 1);
	/* In order, over as many runs as a segment can cover: each byte of them was paid for. */
	through = steps_of(w, 0, 1400);
	print_message("steps: %lu %lu, full %lu, refused %lu, through %lu\n", empty, some, full,
	              refused, through);
	/* A walk over the list would be some thousand more. */
	assert_true(some < empty + empty / 3);
	assert_true(full < empty + empty / 3);
	assert_true(refused < empty + empty / 3);
	assert_true(through < 5 * empty);
	wire_close(w);
}

/* So many blocks taken by somebody else. */
static struct rx_buf *hog(struct wire *w, uint32_t n)
{
	struct rx_buf *rx = rx_buf_get(&w->tcp->rx_mem);

	assert_non_null(rx);
	assert_true(rx_buf_reserve(&w->tcp->rx_mem, rx, 0, n * TCP_RX_BLOCK));
	return rx;
}

static uint32_t window_after(struct wire *w, uint32_t len)
{
	struct wire_seg got = {0};

	wire_data(w, w->seq, rig_text, len);
	w->seq += len;
	wire_advance(w, 50);
	while (wire_take(w, &got))
		;
	assert_int_equal(got.ack, w->seq);
	return got.wnd;
}

/* Growth ends, windows fall, out-of-order data is refused, then given up for data in order. */
static void test_levels(void **state)
{
	struct wire *w = &wire;
	struct tcp_config cfg;
	struct rx_buf *held;

	(void)state;
	tcp_config_small(&cfg);
	cfg.rx_bufs = 2; /* 32 blocks */
	wire_open(w, &cfg, false);
	wire_handshake(w, opts_sack, sizeof(opts_sack), 0u - 50);
	held = hog(w, 16);
	assert_int_equal(w->tcp->rx_mem.level, MEM_AMPLE);
	rx_buf_put(&w->tcp->rx_mem, held);
	held = hog(w, 17);
	assert_int_equal(w->tcp->rx_mem.level, MEM_NO_GROWTH);
	rx_buf_put(&w->tcp->rx_mem, held);
	/* 7 blocks left: an eighth of them is 3584 bytes. The edge moves there and not back. */
	held = hog(w, 25);
	assert_int_equal(w->tcp->rx_mem.level, MEM_OFFER_LESS);
	assert_in_range(window_after(w, 1000), 64000, 65535);
	for (uint32_t i = 0; i < 70; i++)
		window_after(w, 1000);
	assert_in_range(window_after(w, 1000), 2124, 3584);
	assert_true(window_after(w, 1000) > 0);
	/* Out of order is still taken; with one block less it is not. */
	wire_data(w, w->seq + 500, rig_text + 500, 10);
	assert_int_equal(w->conn->rx->ooo_count, 1);
	rx_buf_put(&w->tcp->rx_mem, held);
	held = hog(w, 28);
	assert_int_equal(w->tcp->rx_mem.level, MEM_NO_OOO);
	wire_data(w, w->seq + 900, rig_text + 900, 10);
	assert_int_equal(wire_count(w, CTR_drop_tcp_nobuf), 1);
	assert_int_equal(w->conn->rx->ooo_count, 1);
	rx_buf_put(&w->tcp->rx_mem, held);
	wire_drain(w);
	wire_close(w);
}

static void test_ooo_given_up(void **state)
{
	struct wire *w = &wire;
	struct tcp_config cfg;
	struct rx_buf *held;

	(void)state;
	tcp_config_small(&cfg);
	cfg.rx_bufs = 1; /* 16 blocks */
	wire_open(w, &cfg, true);
	wire_handshake(w, opts_sack, sizeof(opts_sack), 0u - 50);
	wire_data(w, w->seq + 8192, rig_text + 8192, 10);
	assert_int_equal(blocks(w), 1);
	held = hog(w, 15);
	assert_int_equal(w->tcp->rx_mem.level, MEM_OUT);
	w->no_read = true;
	wire_data(w, w->seq, rig_text, 1000);
	assert_int_equal(wire_count(w, CTR_shed_rx_ooo), 1);
	assert_int_equal(tcp_rx_len(w->conn), 1000);
	assert_int_equal(w->conn->rx->ooo_count, 0);
	/* The same block serves on; the next is one too many. */
	wire_data(w, w->seq + 1000, rig_text + 1000, 1400);
	wire_data(w, w->seq + 2400, rig_text + 2400, 1400);
	assert_int_equal(tcp_rx_len(w->conn), 3800);
	wire_data(w, w->seq + 3800, rig_text + 3800, 1400);
	assert_int_equal(wire_count(w, CTR_drop_tcp_nobuf), 1);
	assert_int_equal(tcp_rx_len(w->conn), 3800);
	rx_buf_put(&w->tcp->rx_mem, held);
	/* What was given up comes again. */
	w->no_read = false;
	for (uint32_t at = 3800; at < 9000; at += 1300)
		wire_data(w, w->seq + at, rig_text + at, 1300);
	assert_int_equal(w->rx_len, 9000);
	assert_memory_equal(w->rx, rig_text, 9000);
	wire_close(w);
}

/* A reader that is always a little behind: the places go round and round. */
static void test_ring(void **state)
{
	struct wire *w = &wire;
	uint32_t read = 0;

	(void)state;
	wire_open(w, NULL, true);
	wire_handshake(w, opts_sack, sizeof(opts_sack), 0u - 3000000);
	w->no_read = true;
	for (uint32_t i = 0; i < 4000; i++) {
		wire_data(w, w->seq + 1300 * i, rig_text + 1300 * (i % 90), 1300);
		wire_drain(w);
		while (tcp_rx_len(w->conn) > 10) {
			struct span rx = tcp_rx(w->conn);
			size_t n = min_size(rx.len, tcp_rx_len(w->conn) - 10);

			for (size_t k = 0; k < n; k++)
				assert_int_equal((uint8_t)rx.ptr[k],
				                 rig_text[(read + k) % (90 * 1300)]);
			read += (uint32_t)n;
			tcp_rx_consume(w->tcp, w->conn, n);
		}
		assert_in_range(blocks(w), 1, 2);
	}
	assert_int_equal(read, 4000 * 1300 - 10);
	wire_close(w);
}

/* What the stream must be: of each byte, the first copy that was taken. */
struct model {
	uint8_t byte[1 << 20];
	bool set[1 << 20];
	uint32_t next; /* all below it is there */
	uint32_t read;
	uint64_t random;
};

static struct model model;

static uint32_t below(struct model *m, uint32_t n)
{
	m->random = m->random * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((m->random >> 33) % n);
}

static uint64_t refused(const struct wire *w)
{
	return wire_count(w, CTR_drop_tcp_ooo) + wire_count(w, CTR_drop_tcp_nobuf) +
	       wire_count(w, CTR_drop_tcp_window);
}

/* A segment of bytes that no other has, anywhere in the window. */
static void any_segment(struct wire *w, struct model *m, uint32_t begin)
{
	uint32_t edge = w->conn->rcv_adv - begin;
	uint32_t far = below(m, 4) ? 30000 : 900000;
	uint32_t at =
	        below(m, 3) ? m->next - min_u32(m->next, below(m, 500)) : m->next + below(m, far);
	uint32_t len = 1 + below(m, below(m, 3) ? 1400 : 20);
	uint64_t given_up = wire_count(w, CTR_shed_rx_ooo);
	uint64_t before = refused(w);
	uint8_t data[1400];

	if (at + len > edge || at + len > sizeof(m->byte))
		return;
	for (uint32_t i = 0; i < len; i++)
		data[i] = (uint8_t)below(m, 256);
	wire_data(w, begin + at, data, len);
	wire_drain(w);
	/* Out of memory: all that was out of order is forgotten. */
	if (wire_count(w, CTR_shed_rx_ooo) != given_up)
		memset(m->set + m->next, 0, sizeof(m->set) - m->next);
	if (refused(w) != before)
		return;
	for (uint32_t i = 0; i < len; i++) {
		if (!m->set[at + i])
			m->byte[at + i] = data[i];
		m->set[at + i] = true;
	}
	while (m->set[m->next])
		m->next++;
}

static void any_read(struct wire *w, struct model *m)
{
	size_t most = below(m, 30000);

	while (most > 0) {
		struct span rx = tcp_rx(w->conn);
		size_t n = min_size(rx.len, most);

		if (n == 0)
			break;
		assert_memory_equal(rx.ptr, m->byte + m->read, n);
		tcp_rx_consume(w->tcp, w->conn, n);
		m->read += (uint32_t)n;
		most -= n;
	}
	wire_run(w);
}

/* Segments in any order that contradict each other, over a window far beyond what a buffer holds by
 * itself, with others taking the memory at times: the first copy of each byte wins. */
static void test_first_copy_wins(void **state)
{
	(void)state;
	for (uint32_t seed = 0; seed < 6; seed++) {
		static const uint8_t opts[] = {2, 4, 5, 0xb4, 1, 3, 3, 0, 1, 1, 4, 2};
		struct wire *w = &wire;
		struct model *m = &model;
		struct tcp_config cfg;
		struct rx_buf *held = NULL;
		uint32_t begin;

		memset(m, 0, sizeof(*m));
		m->random = seed;
		tcp_config_small(&cfg);
		cfg.rx_bufs = 1;
		cfg.rx_buf_bytes = 1 << 20;
		wire_open(w, &cfg, seed & 1);
		wire_handshake(w, opts, sizeof(opts), 0u - 200000 * (seed % 3));
		w->no_read = true;
		begin = w->seq;
		for (uint32_t i = 0; i < 30000 && m->next < 900000; i++) {
			if (below(m, 8) > 0)
				any_segment(w, m, begin);
			else
				any_read(w, m);
			assert_int_equal(tcp_rx_len(w->conn), m->next - m->read);
			if (seed > 2 && i % 700 == 0 && !held)
				held = hog(w, below(m, rx_mem_free(&w->tcp->rx_mem)) + 1);
			else if (held && i % 700 == 350) {
				rx_buf_put(&w->tcp->rx_mem, held);
				held = NULL;
			}
		}
		assert_true(m->read > 300000);
		if (held)
			rx_buf_put(&w->tcp->rx_mem, held);
		while (m->read < m->next)
			any_read(w, m);
		wire_close(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_sparse),          cmocka_unit_test(test_bounded_steps),
	        cmocka_unit_test(test_levels),          cmocka_unit_test(test_ooo_given_up),
	        cmocka_unit_test(test_first_copy_wins), cmocka_unit_test(test_ring),
	};

	return cmocka_run_group_tests(tests, rig_text_fill, NULL);
}
