/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/channel.h"

#include "lib/clock.h"
#include "lib/doorbell.h"
#include "lib/hash.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define REGION_ALIGN     4096u
#define RING_ENTRIES_MIN 64u
#define RING_ENTRIES_MAX 65536u

/* Where everything lies; a function of the geometry alone. Offsets in bytes. */
struct layout {
	size_t cores_off;
	size_t core_stride;
	size_t to_core_off; /* in a core's region, where to_control is at 0 */
	size_t stats_off;
	size_t up_off;
	size_t down_off;
	size_t total_bytes;
};

static bool block_bytes_ok(uint32_t bytes)
{
	return bytes != 0 && bytes % REGION_ALIGN == 0;
}

static bool geometry_ok(const struct chan_geometry *g)
{
	return g->cores >= 1 && g->cores <= CHAN_MAX_CORES && is_pow2(g->ring_entries) &&
	       g->ring_entries >= RING_ENTRIES_MIN && g->ring_entries <= RING_ENTRIES_MAX &&
	       block_bytes_ok(g->up_block_bytes) && block_bytes_ok(g->down_block_bytes) &&
	       g->up_blocks >= 1 && g->up_blocks < CHAN_NO_BLOCK && g->down_blocks >= 1 &&
	       g->down_blocks < CHAN_NO_BLOCK;
}

/* False when the geometry is out of range or its sizes overflow. The rings and stats are bounded by
 * the ranges; only products with block sizes can overflow. */
static bool layout_make(struct layout *l, const struct chan_geometry *g)
{
	size_t up_bytes, down_bytes, cores_bytes;

	if (!geometry_ok(g))
		return false;
	l->cores_off = align_up(sizeof(struct chan_header), REGION_ALIGN);
	l->to_core_off = spsc_bytes(g->ring_entries);
	l->stats_off = 2 * l->to_core_off;
	l->up_off = align_up(l->stats_off + sizeof(struct core_stats), REGION_ALIGN);
	return !__builtin_mul_overflow((size_t)g->up_block_bytes, g->up_blocks, &up_bytes) &&
	       !__builtin_add_overflow(l->up_off, up_bytes, &l->core_stride) &&
	       !__builtin_mul_overflow(l->core_stride, (size_t)g->cores, &cores_bytes) &&
	       !__builtin_add_overflow(l->cores_off, cores_bytes, &l->down_off) &&
	       !__builtin_mul_overflow((size_t)g->down_block_bytes, g->down_blocks, &down_bytes) &&
	       !__builtin_add_overflow(l->down_off, down_bytes, &l->total_bytes);
}

static unsigned char *core_region(const struct chan *ch, uint32_t core, struct layout *l)
{
	bool ok = layout_make(l, &ch->geo);

	assert(ok && core < ch->geo.cores);
	(void)ok;
	return (unsigned char *)ch->shm.base + l->cores_off + core * l->core_stride;
}

enum status chan_create(struct chan *out, const struct chan_geometry *geo, bool want_huge)
{
	struct layout l;
	struct shm shm;

	if (!layout_make(&l, geo))
		return ST_INVALID;
	enum status st = shm_create(&shm, "sluice-channel", l.total_bytes, want_huge);
	if (st != ST_OK)
		return st;
	struct chan_header *hdr = shm.base;
	*hdr = (struct chan_header){
	        .magic = CHAN_MAGIC,
	        .version = CHAN_VERSION,
	        .header_bytes = sizeof(struct chan_header),
	        .total_bytes = l.total_bytes,
	        .geo = *geo,
	        .core_stride = l.core_stride,
	        .cores_off = l.cores_off,
	        .down_off = l.down_off,
	        .started_wall_ms = clock_wall_ns() / NS_PER_MS,
	        .dataplane_pid = (uint32_t)getpid(),
	};
	random_bytes(&hdr->generation, sizeof(hdr->generation));
	*out = (struct chan){.shm = shm, .hdr = hdr, .geo = *geo};
	return ST_OK;
}

/* h is the reader's own copy. */
static enum status header_check(const struct chan_header *h, size_t mapped_bytes)
{
	struct layout l;

	if (h->magic != CHAN_MAGIC)
		return ST_CORRUPT;
	if (h->version != CHAN_VERSION || h->header_bytes != sizeof(struct chan_header))
		return ST_VERSION;
	if (!layout_make(&l, &h->geo))
		return ST_CORRUPT;
	if (h->total_bytes != l.total_bytes || h->core_stride != l.core_stride ||
	    h->cores_off != l.cores_off || h->down_off != l.down_off)
		return ST_CORRUPT;
	return l.total_bytes <= mapped_bytes ? ST_OK : ST_CORRUPT;
}

enum status chan_open(struct chan *out, int fd)
{
	struct chan_header own;
	struct stat sb;
	struct shm shm;

	if (fstat(fd, &sb) != 0 || sb.st_size < (off_t)sizeof(own)) {
		if (fd >= 0)
			close(fd);
		return ST_CORRUPT;
	}
	enum status st = shm_map(&shm, fd, (size_t)sb.st_size);
	if (st != ST_OK)
		return st;
	memcpy(&own, shm.base, sizeof(own));
	/* The copy is what is checked and used: no second look at memory that may have changed. */
	__asm__ volatile("" ::: "memory");
	st = header_check(&own, shm.size);
	if (st != ST_OK) {
		shm_close(&shm);
		return st;
	}
	*out = (struct chan){.shm = shm, .hdr = shm.base, .geo = own.geo};
	return ST_OK;
}

void chan_close(struct chan *ch)
{
	shm_close(&ch->shm);
	ch->hdr = NULL;
}

struct core_stats *chan_stats(const struct chan *ch, uint32_t core)
{
	struct layout l;
	unsigned char *region = core_region(ch, core, &l);

	return (struct core_stats *)(void *)(region + l.stats_off);
}

unsigned char *chan_up_base(const struct chan *ch, uint32_t core)
{
	struct layout l;
	unsigned char *region = core_region(ch, core, &l);

	return region + l.up_off;
}

unsigned char *chan_down_base(const struct chan *ch)
{
	struct layout l;

	core_region(ch, 0, &l);
	return (unsigned char *)ch->shm.base + l.down_off;
}

void chan_port_core(const struct chan *ch, uint32_t core, struct chan_port *out)
{
	struct layout l;
	unsigned char *region = core_region(ch, core, &l);

	*out = (struct chan_port){
	        .peer_base = chan_down_base(ch),
	        .peer_block_bytes = ch->geo.down_block_bytes,
	        .peer_blocks = ch->geo.down_blocks,
	        .down_short = &ch->hdr->down_short,
	        .ring_fd = -1,
	        .wait_fd = -1,
	};
	spsc_join_producer(&out->tx, region, ch->geo.ring_entries);
	spsc_join_consumer(&out->rx, region + l.to_core_off, ch->geo.ring_entries);
}

void chan_port_control(const struct chan *ch, uint32_t core, struct chan_port *out)
{
	struct layout l;
	unsigned char *region = core_region(ch, core, &l);

	*out = (struct chan_port){
	        .peer_base = region + l.up_off,
	        .peer_block_bytes = ch->geo.up_block_bytes,
	        .peer_blocks = ch->geo.up_blocks,
	        .down_short = &ch->hdr->down_short,
	        .ring_fd = -1,
	        .wait_fd = -1,
	};
	spsc_join_producer(&out->tx, region + l.to_core_off, ch->geo.ring_entries);
	spsc_join_consumer(&out->rx, region, ch->geo.ring_entries);
}

enum status chan_slab_init(struct chan_slab *s, unsigned char *base, uint32_t block_bytes,
                           uint32_t count)
{
	if (count == 0 || count >= CHAN_NO_BLOCK || block_bytes == 0)
		return ST_INVALID;
	uint32_t *stack = calloc(count, sizeof(*stack));
	if (stack == NULL)
		return ST_NOMEM;
	for (uint32_t i = 0; i < count; i++)
		stack[i] = count - 1 - i; /* block 0 on top */
	*s = (struct chan_slab){
	        .base = base,
	        .block_bytes = block_bytes,
	        .count = count,
	        .free_count = count,
	        .free = stack,
	};
	return ST_OK;
}

void chan_slab_destroy(struct chan_slab *s)
{
	free(s->free);
	*s = (struct chan_slab){0};
}

uint32_t chan_block_get(struct chan_slab *s)
{
	return s->free_count == 0 ? CHAN_NO_BLOCK : s->free[--s->free_count];
}

void chan_block_put(struct chan_slab *s, uint32_t block)
{
	/* A block too many means that one was put twice: two owners would write to it. */
	assert(block < s->count && s->free_count < s->count);
	s->free[s->free_count++] = block;
}

struct chan_msg *chan_slot(struct chan_port *p)
{
	struct chan_msg *m = spsc_slot(&p->tx);

	if (likely(m != NULL))
		memset(m, 0, sizeof(*m));
	return m;
}

void chan_push(struct chan_port *p)
{
	spsc_push(&p->tx);
}

uint32_t chan_unflushed(const struct chan_port *p)
{
	return p->tx.pos - __atomic_load_n(&p->tx.shared->tail, __ATOMIC_RELAXED);
}

bool chan_flush(struct chan_port *p)
{
	struct spsc_shared *sh = p->tx.shared;

	if (__atomic_load_n(&sh->tail, __ATOMIC_RELAXED) == p->tx.pos)
		return false;
	spsc_publish(&p->tx);
	/* The tail must be out before asleep is read, as the sleeper sets asleep before it reads
	 * the tail: one of the two sees the other. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (likely(__atomic_load_n(&sh->asleep, __ATOMIC_RELAXED) == 0))
		return false;
	/* The plain read above keeps the line shared while the other side is awake. */
	if (__atomic_exchange_n(&sh->asleep, 0, __ATOMIC_ACQ_REL) == 0 || p->ring_fd < 0)
		return false;
	doorbell_ring(p->ring_fd);
	return true;
}

bool chan_recv(struct chan_port *p, struct chan_msg *out)
{
	const void *m = spsc_peek(&p->rx);

	if (m == NULL)
		return false;
	memcpy(out, m, sizeof(*out));
	/* The copy is final: the compiler may not go back to the ring for a field. */
	__asm__ volatile("" ::: "memory");
	spsc_pop(&p->rx);
	return true;
}

void chan_rx_done(struct chan_port *p)
{
	if (__atomic_load_n(&p->rx.shared->head, __ATOMIC_RELAXED) != p->rx.pos)
		spsc_release(&p->rx);
}

uint32_t chan_drain(struct chan_port *p)
{
	uint32_t tail = __atomic_load_n(&p->rx.shared->tail, __ATOMIC_ACQUIRE);
	uint32_t dropped = tail - p->rx.pos;

	/* Straight to the producer's position, whatever it is: that is how a ring heals after a
	 * control plane that left nonsense in it. */
	p->rx.pos = tail;
	p->rx.remote = tail;
	p->rx.corrupt = false;
	spsc_release(&p->rx);
	p->tx.corrupt = false;
	spsc_publish(&p->tx);
	return dropped > p->rx.mask + 1 ? 0 : dropped;
}

bool chan_prepare_sleep(struct chan_port *p)
{
	__atomic_store_n(&p->rx.shared->asleep, 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (spsc_peek(&p->rx) == NULL)
		return true;
	chan_awake(p);
	return false;
}

void chan_awake(struct chan_port *p)
{
	__atomic_store_n(&p->rx.shared->asleep, 0, __ATOMIC_RELAXED);
}

const void *chan_peer_bytes(const struct chan_port *p, const struct chan_msg *m)
{
	if (m->block >= p->peer_blocks || m->off > p->peer_block_bytes ||
	    m->len > p->peer_block_bytes - m->off)
		return NULL;
	return p->peer_base + (size_t)m->block * p->peer_block_bytes + m->off;
}
