/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/channel.h"

#include "lib/doorbell.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct chan_geometry small = {
        .cores = 3,
        .ring_entries = 64,
        .up_block_bytes = 4096,
        .up_blocks = 5,
        .down_block_bytes = 8192,
        .down_blocks = 7,
};

static const struct chan_geometry bad_geometries[] = {
        {0, 64, 4096, 1, 4096, 1},
        {CHAN_MAX_CORES + 1, 64, 4096, 1, 4096, 1},
        {1, 0, 4096, 1, 4096, 1},
        {1, 32, 4096, 1, 4096, 1},
        {1, 96, 4096, 1, 4096, 1},
        {1, 131072, 4096, 1, 4096, 1},
        {1, 64, 0, 1, 4096, 1},
        {1, 64, 4095, 1, 4096, 1},
        {1, 64, 6144, 1, 4096, 1},
        {1, 64, 4096, 0, 4096, 1},
        {1, 64, 4096, UINT32_MAX, 4096, 1},
        {1, 64, 4096, 1, 0, 1},
        {1, 64, 4096, 1, 4096, 0},
        {1, 64, 4096, 1, 4096, UINT32_MAX},
        {64, 64, 0xfffff000u, 0xfffffffeu, 4096, 1},
        {64, 64, 0xfffff000u, 0x01000000u, 0xfffff000u, 0xfffffffeu},
};

static void geometry_is_checked(void **state)
{
	struct chan ch;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad_geometries); i++)
		assert_int_not_equal(chan_create(&ch, &bad_geometries[i], false), ST_OK);
}

struct area {
	const unsigned char *start;
	const unsigned char *end;
};

/* Every ring, stats block and slab lies inside, aligned, and over no other. */
static void regions_do_not_overlap(void **state)
{
	struct chan ch;
	struct area areas[16];
	size_t n = 0;

	(void)state;
	assert_int_equal(chan_create(&ch, &small, true), ST_OK);
	const unsigned char *base = ch.shm.base;
	areas[n++] = (struct area){base, base + sizeof(struct chan_header)};
	for (uint32_t i = 0; i < small.cores; i++) {
		struct chan_port p;
		chan_port_core(&ch, i, &p);
		const unsigned char *tx = (void *)p.tx.shared, *rx = (void *)p.rx.shared;
		const unsigned char *stats = (void *)chan_stats(&ch, i);
		const unsigned char *up = chan_up_base(&ch, i);
		areas[n++] = (struct area){tx, tx + spsc_bytes(64)};
		areas[n++] = (struct area){rx, rx + spsc_bytes(64)};
		areas[n++] = (struct area){stats, stats + sizeof(struct core_stats)};
		areas[n++] = (struct area){up, up + 5 * 4096};
		assert_int_equal((uintptr_t)up % 4096, 0);
	}
	const unsigned char *down = chan_down_base(&ch);
	areas[n++] = (struct area){down, down + 7 * 8192};
	assert_int_equal((uintptr_t)down % 4096, 0);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal((uintptr_t)areas[i].start % CACHE_LINE, 0);
		assert_true(areas[i].start >= base && areas[i].end <= base + ch.shm.size);
		for (size_t k = 0; k < i; k++)
			assert_true(areas[i].end <= areas[k].start ||
			            areas[k].end <= areas[i].start);
	}
	chan_close(&ch);
}

static void open_sees_the_same(void **state)
{
	struct chan a, b;

	(void)state;
	assert_int_equal(chan_create(&a, &small, false), ST_OK);
	assert_int_equal(chan_open(&b, dup(a.shm.fd)), ST_OK);
	assert_memory_equal(&a.geo, &b.geo, sizeof(a.geo));
	assert_int_equal(a.hdr->generation, b.hdr->generation);
	assert_int_equal(b.hdr->dataplane_pid, getpid());
	chan_down_base(&b)[7 * 8192 - 1] = 42;
	assert_int_equal(chan_down_base(&a)[7 * 8192 - 1], 42);
	chan_up_base(&a, 2)[5 * 4096 - 1] = 43;
	assert_int_equal(chan_up_base(&b, 2)[5 * 4096 - 1], 43);
	counter_inc(&chan_stats(&a, 1)->counters, CTR_rx_packets);
	assert_int_equal(counter_read(&chan_stats(&b, 1)->counters, CTR_rx_packets), 1);
	chan_close(&b);
	chan_close(&a);
}

struct header_case {
	const char *what;
	size_t off;
	size_t bytes;
	uint64_t value;
	enum status want;
};

#define FIELD(f, v, st)                                                                          \
	{                                                                                        \
#f, offsetof(struct chan_header, f), sizeof(((struct chan_header *)0)->f), v, st \
	}

static const struct header_case header_cases[] = {
        FIELD(magic, 0, ST_CORRUPT),
        FIELD(version, CHAN_VERSION + 1, ST_VERSION),
        FIELD(header_bytes, 64, ST_VERSION),
        FIELD(total_bytes, 0, ST_CORRUPT),
        FIELD(total_bytes, UINT64_MAX, ST_CORRUPT),
        FIELD(geo.cores, 0, ST_CORRUPT),
        FIELD(geo.cores, 4, ST_CORRUPT),
        FIELD(geo.cores, UINT32_MAX, ST_CORRUPT),
        FIELD(geo.ring_entries, 65, ST_CORRUPT),
        FIELD(geo.ring_entries, 65536, ST_CORRUPT),
        FIELD(geo.ring_entries, 1u << 31, ST_CORRUPT),
        FIELD(geo.up_block_bytes, 0, ST_CORRUPT),
        FIELD(geo.up_block_bytes, 0xfffff000u, ST_CORRUPT),
        FIELD(geo.up_blocks, UINT32_MAX, ST_CORRUPT),
        FIELD(geo.up_blocks, 6, ST_CORRUPT),
        FIELD(geo.down_block_bytes, 1, ST_CORRUPT),
        FIELD(geo.down_blocks, 8, ST_CORRUPT),
        FIELD(geo.down_blocks, UINT32_MAX - 1, ST_CORRUPT),
        FIELD(core_stride, 0, ST_CORRUPT),
        FIELD(cores_off, UINT64_MAX - 4095, ST_CORRUPT),
        FIELD(down_off, 1, ST_CORRUPT),
        /* Not part of the layout: any value will do. */
        FIELD(generation, 7, ST_OK),
        FIELD(attach_epoch, UINT32_MAX, ST_OK),
};

static void hostile_headers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(header_cases); i++) {
		const struct header_case *c = &header_cases[i];
		struct chan a, b;
		assert_int_equal(chan_create(&a, &small, false), ST_OK);
		memcpy((char *)a.hdr + c->off, &c->value, c->bytes);
		int fd = dup(a.shm.fd);
		enum status st = chan_open(&b, fd);
		if (st != c->want)
			fail_msg("%s: %s", c->what, status_text(st));
		if (st == ST_OK)
			chan_close(&b);
		else
			assert_int_equal(fcntl(fd, F_GETFD), -1);
		chan_close(&a);
	}
}

/* A consistent header in a file that ends before its last block does. */
static void a_file_too_short(void **state)
{
	struct chan a, b;

	(void)state;
	assert_int_equal(chan_create(&a, &small, false), ST_OK);
	for (size_t cut = 0; cut < 3; cut++) {
		const size_t sizes[] = {a.shm.size - 1, sizeof(struct chan_header), 10};
		int fd = memfd_create("t", MFD_ALLOW_SEALING);
		assert_int_equal(ftruncate(fd, (off_t)sizes[cut]), 0);
		size_t n = min_size(sizes[cut], sizeof(struct chan_header));
		assert_int_equal(pwrite(fd, a.hdr, n, 0), n);
		assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
		/* The mapping is of whole pages, the last of which may reach past the end. */
		enum status st = chan_open(&b, fd);
		if (st == ST_OK) {
			assert_true(b.shm.size >= b.hdr->total_bytes);
			chan_close(&b);
		}
		if (cut > 0)
			assert_int_equal(st, ST_CORRUPT);
	}
	assert_int_equal(chan_open(&b, -1), ST_CORRUPT);
	chan_close(&a);
}

/* The geometry in use is the one that was checked. */
static void a_header_that_changes_later(void **state)
{
	struct chan a, b;

	(void)state;
	assert_int_equal(chan_create(&a, &small, false), ST_OK);
	assert_int_equal(chan_open(&b, dup(a.shm.fd)), ST_OK);
	unsigned char *down = chan_down_base(&b);
	a.hdr->geo.cores = 64;
	a.hdr->geo.up_blocks = UINT32_MAX;
	a.hdr->down_off = UINT64_MAX;
	assert_ptr_equal(chan_down_base(&b), down);
	struct chan_port p;
	chan_port_control(&b, 0, &p);
	assert_int_equal(p.peer_blocks, small.up_blocks);
	chan_close(&b);
	chan_close(&a);
}

static void slab(void **state)
{
	unsigned char base[4 * 64];
	struct chan_slab s;

	(void)state;
	assert_int_equal(chan_slab_init(&s, base, 64, 0), ST_INVALID);
	assert_int_equal(chan_slab_init(&s, base, 0, 4), ST_INVALID);
	assert_int_equal(chan_slab_init(&s, base, 64, CHAN_NO_BLOCK), ST_INVALID);
	assert_int_equal(chan_slab_init(&s, base, 64, 4), ST_OK);
	bool seen[4] = {false};
	for (int i = 0; i < 4; i++) {
		uint32_t b = chan_block_get(&s);
		assert_true(chan_block_valid(&s, b));
		assert_false(seen[b]);
		seen[b] = true;
		assert_ptr_equal(chan_block_at(&s, b), base + b * 64);
	}
	assert_int_equal(chan_block_get(&s), CHAN_NO_BLOCK);
	assert_false(chan_block_valid(&s, CHAN_NO_BLOCK));
	assert_false(chan_block_valid(&s, 4));
	chan_block_put(&s, 2);
	assert_int_equal(s.free_count, 1);
	assert_int_equal(chan_block_get(&s), 2); /* the warm one first */
	for (uint32_t i = 0; i < 4; i++)
		chan_block_put(&s, i);
	assert_int_equal(s.free_count, 4);
	chan_slab_destroy(&s);
}

struct ports {
	struct chan ch;
	struct chan_port core;
	struct chan_port control;
};

static void ports_open(struct ports *p)
{
	assert_int_equal(chan_create(&p->ch, &small, false), ST_OK);
	chan_port_core(&p->ch, 1, &p->core);
	chan_port_control(&p->ch, 1, &p->control);
}

static bool send_n(struct chan_port *p, uint64_t n)
{
	struct chan_msg *m = chan_slot(p);

	if (m == NULL)
		return false;
	m->type = CHAN_BODY;
	m->n = n;
	chan_push(p);
	return true;
}

static void both_ways(void **state)
{
	struct ports p;
	struct chan_msg m;

	(void)state;
	ports_open(&p);
	for (uint64_t i = 0; i < 1000; i++) {
		assert_true(send_n(&p.core, i));
		assert_true(send_n(&p.control, i + 5000));
		assert_false(chan_recv(&p.control, &m)); /* not flushed */
		chan_flush(&p.core);
		chan_flush(&p.control);
		assert_true(chan_recv(&p.control, &m));
		assert_int_equal(m.n, i);
		assert_true(chan_recv(&p.core, &m));
		assert_int_equal(m.n, i + 5000);
		assert_false(chan_recv(&p.core, &m));
		chan_rx_done(&p.core);
		chan_rx_done(&p.control);
	}
	chan_close(&p.ch);
}

static void a_slot_is_zeroed(void **state)
{
	static const struct chan_msg zero;
	struct ports p;
	struct chan_msg m;

	(void)state;
	ports_open(&p);
	for (uint32_t i = 0; i < 3 * small.ring_entries; i++) {
		struct chan_msg *slot = chan_slot(&p.core);
		assert_memory_equal(slot, &zero, sizeof(zero));
		memset(slot, 0xff, sizeof(*slot));
		chan_push(&p.core);
		chan_flush(&p.core);
		assert_true(chan_recv(&p.control, &m));
		chan_rx_done(&p.control);
	}
	chan_close(&p.ch);
}

static void only_a_sleeper_is_rung(void **state)
{
	struct ports p;
	struct chan_msg m;
	int fd = -1;

	(void)state;
	ports_open(&p);
	assert_int_equal(doorbell_create(&fd), ST_OK);
	p.core.ring_fd = fd;
	send_n(&p.core, 1);
	assert_false(chan_flush(&p.core));
	assert_false(chan_prepare_sleep(&p.control)); /* work is there */
	assert_true(chan_recv(&p.control, &m));
	chan_rx_done(&p.control);
	assert_true(chan_prepare_sleep(&p.control));
	assert_false(doorbell_wait(fd, 0));
	assert_false(chan_flush(&p.core)); /* nothing new */
	send_n(&p.core, 2);
	assert_true(chan_flush(&p.core));
	assert_true(doorbell_wait(fd, 0));
	doorbell_clear(fd);
	send_n(&p.core, 3);
	assert_false(chan_flush(&p.core)); /* once only */
	chan_awake(&p.control);
	while (chan_recv(&p.control, &m))
		;
	assert_true(chan_prepare_sleep(&p.control));
	chan_awake(&p.control);
	send_n(&p.core, 4);
	assert_false(chan_flush(&p.core));
	/* Without a doorbell there is nothing to ring. */
	while (chan_recv(&p.control, &m))
		;
	assert_true(chan_prepare_sleep(&p.control));
	p.core.ring_fd = -1;
	send_n(&p.core, 5);
	assert_false(chan_flush(&p.core));
	close(fd);
	chan_close(&p.ch);
}

struct bytes_case {
	uint32_t block, off, len;
	bool ok;
};

static const struct bytes_case bytes_cases[] = {
        {0, 0, 0, true},
        {0, 0, 8192, true},
        {0, 8192, 0, true},
        {0, 8191, 1, true},
        {6, 8191, 1, true},
        {6, 0, 8192, true},
        {0, 0, 8193, false},
        {0, 1, 8192, false},
        {0, 8192, 1, false},
        {0, 8193, 0, false},
        {0, UINT32_MAX, 1, false},
        {0, 1, UINT32_MAX, false},
        {0, UINT32_MAX, UINT32_MAX, false},
        {7, 0, 0, false},
        {CHAN_NO_BLOCK, 0, 0, false},
        {1u << 31, 0, 1, false},
};

static void peer_bytes_stay_in_the_block(void **state)
{
	struct ports p;

	(void)state;
	ports_open(&p);
	for (size_t i = 0; i < ARRAY_LEN(bytes_cases); i++) {
		const struct bytes_case *c = &bytes_cases[i];
		struct chan_msg m = {.block = c->block, .off = c->off, .len = c->len};
		const unsigned char *got = chan_peer_bytes(&p.core, &m);
		assert_int_equal(got != NULL, c->ok);
		if (got != NULL)
			assert_ptr_equal(got, chan_down_base(&p.ch) + c->block * 8192 + c->off);
	}
	struct chan_msg m = {.block = 5, .len = 1};
	assert_null(chan_peer_bytes(&p.control, &m));
	m.block = 4;
	assert_ptr_equal(chan_peer_bytes(&p.control, &m), chan_up_base(&p.ch, 1) + 4 * 4096);
	chan_close(&p.ch);
}

static const uint32_t lies[] = {65, 66, 1u << 31, UINT32_MAX};

/* Control scribbles over all positions and dies: the core says so, and after the drain of the next
 * attachment both directions work again. */
static void hostile_positions_heal(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		struct ports p;
		struct chan_msg m;
		ports_open(&p);
		for (uint64_t k = 0; k < small.ring_entries; k++)
			assert_true(send_n(&p.core, k));
		chan_flush(&p.core);
		p.core.tx.shared->head = p.core.tx.pos - lies[i];
		p.core.tx.shared->tail ^= 0x5a5a5a5a;
		p.core.rx.shared->tail = p.core.rx.pos + lies[i];
		p.core.rx.shared->head ^= 0x5a5a5a5a;
		assert_false(send_n(&p.core, 1));
		assert_true(p.core.tx.corrupt);
		assert_false(chan_recv(&p.core, &m));
		assert_true(p.core.rx.corrupt);
		assert_true(chan_prepare_sleep(&p.core)); /* no spinning on it */
		chan_drain(&p.core);
		assert_false(p.core.tx.corrupt || p.core.rx.corrupt);
		chan_port_control(&p.ch, 1, &p.control);
		assert_false(p.control.rx.corrupt || p.control.tx.corrupt);
		while (chan_recv(&p.control, &m))
			;
		chan_rx_done(&p.control);
		assert_true(send_n(&p.core, 77));
		chan_flush(&p.core);
		assert_true(chan_recv(&p.control, &m));
		assert_int_equal(m.n, 77);
		assert_true(send_n(&p.control, 78));
		chan_flush(&p.control);
		assert_true(chan_recv(&p.core, &m));
		assert_int_equal(m.n, 78);
		chan_close(&p.ch);
	}
}

static void a_drain_counts(void **state)
{
	struct ports p;
	struct chan_msg m;

	(void)state;
	ports_open(&p);
	assert_int_equal(chan_drain(&p.core), 0);
	for (uint64_t k = 0; k < 9; k++)
		send_n(&p.control, k);
	chan_flush(&p.control);
	assert_true(chan_recv(&p.core, &m));
	assert_int_equal(chan_drain(&p.core), 8);
	assert_false(chan_recv(&p.core, &m));
	for (uint64_t k = 0; k < small.ring_entries; k++)
		assert_true(send_n(&p.control, k));
	assert_false(send_n(&p.control, 0));
	chan_close(&p.ch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(geometry_is_checked),
	        cmocka_unit_test(regions_do_not_overlap),
	        cmocka_unit_test(open_sees_the_same),
	        cmocka_unit_test(hostile_headers),
	        cmocka_unit_test(a_file_too_short),
	        cmocka_unit_test(a_header_that_changes_later),
	        cmocka_unit_test(slab),
	        cmocka_unit_test(both_ways),
	        cmocka_unit_test(a_slot_is_zeroed),
	        cmocka_unit_test(only_a_sleeper_is_rung),
	        cmocka_unit_test(peer_bytes_stay_in_the_block),
	        cmocka_unit_test(hostile_positions_heal),
	        cmocka_unit_test(a_drain_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
