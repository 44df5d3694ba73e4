/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/tcp/tcp_mem.h"

#define NO_BLOCK UINT32_MAX

enum {
	BLOCKS_AN_EXT = 16, /* a buffer without an extension holds up to 128 KiB */
};

struct rx_mem_layout rx_mem_layout(uint64_t bytes, uint32_t window_bytes, uint32_t max_conns)
{
	struct rx_mem_layout l = {0};

	l.block_count = (uint32_t)min_u64((bytes + TCP_RX_BLOCK - 1) / TCP_RX_BLOCK, 1u << 30);
	l.buf_count = min_u32(l.block_count, max_conns);
	l.ext_count = l.block_count / BLOCKS_AN_EXT + 1;
	/* One more for a window that does not begin with a block, one for what a packet brings. */
	l.ext_places = window_bytes / TCP_RX_BLOCK + 2 + (65536 / TCP_RX_BLOCK);
	l.ext_size = (uint32_t)align_up(sizeof(struct rx_ext) + l.ext_places * sizeof(uint32_t), 8);
	l.blocks = (size_t)l.block_count * TCP_RX_BLOCK;
	l.free = l.block_count * sizeof(uint32_t);
	l.bufs = l.buf_count * align_up(sizeof(struct rx_buf), CACHE_LINE);
	l.exts = (size_t)l.ext_count * l.ext_size;
	return l;
}

void rx_mem_init(struct rx_mem *m, const struct rx_mem_layout *l, const struct rx_mem_parts *at)
{
	*m = (struct rx_mem){
	        .blocks = at->blocks,
	        .free = (uint32_t *)(void *)at->free,
	        .count = l->block_count,
	        .ext_places = l->ext_places,
	};
	pool_init(&m->bufs, at->bufs, align_up(sizeof(struct rx_buf), CACHE_LINE), l->buf_count);
	pool_init(&m->exts, at->exts, l->ext_size, l->ext_count);
}

static enum mem_level level_of(const struct rx_mem *m)
{
	uint64_t left = rx_mem_free(m);

	if (left * 2 >= m->count)
		return MEM_AMPLE;
	if (left * 4 >= m->count)
		return MEM_NO_GROWTH;
	if (left * 8 >= m->count)
		return MEM_OFFER_LESS;
	return left > 0 ? MEM_NO_OOO : MEM_OUT;
}

static uint32_t block_get(struct rx_mem *m)
{
	uint32_t block = NO_BLOCK;

	if (m->free_count > 0)
		block = m->free[--m->free_count];
	else if (m->fresh < m->count)
		block = m->fresh++;
	m->level = (uint8_t)level_of(m);
	return block;
}

static void block_put(struct rx_mem *m, uint32_t *place)
{
	if (*place == NO_BLOCK)
		return;
	m->free[m->free_count++] = *place;
	m->level = (uint8_t)level_of(m);
	*place = NO_BLOCK;
}

struct rx_buf *rx_buf_get(struct rx_mem *m)
{
	struct rx_buf *rx = pool_get(&m->bufs);

	if (!rx)
		return NULL;
	memset(rx, 0, offsetof(struct rx_buf, own_places));
	rx->places = rx->own_places;
	rx->place_count = TCP_RX_PLACES;
	rx->ooo = rx->own_ooo;
	rx->ooo_max = TCP_OOO_PLACES;
	rx->base = m->blocks;
	return rx;
}

void rx_buf_put(struct rx_mem *m, struct rx_buf *rx)
{
	rx_buf_cut(m, rx, 0);
	if (rx->ext)
		pool_put(&m->exts, rx->ext);
	pool_put(&m->bufs, rx);
}

static bool extend(struct rx_mem *m, struct rx_buf *rx)
{
	struct rx_ext *ext;

	if (rx->ext)
		return false;
	ext = pool_get(&m->exts);
	if (!ext)
		return false;
	for (uint32_t k = 0; k < rx->blocks; k++)
		ext->places[k] = rx->places[rx_buf_place(rx, k)];
	memcpy(ext->runs, rx->ooo, rx->ooo_count * sizeof(ext->runs[0]));
	rx->ext = ext;
	rx->first = 0;
	rx->places = ext->places;
	rx->place_count = m->ext_places;
	rx->ooo = ext->runs;
	rx->ooo_max = TCP_MAX_OOO;
	return true;
}

bool rx_buf_reserve(struct rx_mem *m, struct rx_buf *rx, uint32_t at, uint32_t len)
{
	uint32_t end = (at + len - 1) / TCP_RX_BLOCK + 1;

	if (end > rx->place_count && (!extend(m, rx) || end > rx->place_count))
		return false;
	while (rx->blocks < end)
		rx->places[rx_buf_place(rx, rx->blocks++)] = NO_BLOCK;
	for (uint32_t k = at / TCP_RX_BLOCK; k < end; k++) {
		uint32_t *place = &rx->places[rx_buf_place(rx, k)];

		if (*place != NO_BLOCK)
			continue;
		*place = block_get(m);
		if (*place == NO_BLOCK)
			return false;
	}
	return true;
}

void rx_buf_write(struct rx_buf *rx, uint32_t at, const uint8_t *data, uint32_t len)
{
	while (len > 0) {
		uint32_t n = min_u32(len, TCP_RX_BLOCK - at % TCP_RX_BLOCK);

		memcpy(rx_buf_at(rx, at), data, n);
		at += n;
		data += n;
		len -= n;
	}
}

void rx_buf_read(const struct rx_buf *rx, uint32_t at, void *to, uint32_t len)
{
	uint8_t *out = to;

	while (len > 0) {
		uint32_t n = min_u32(len, TCP_RX_BLOCK - at % TCP_RX_BLOCK);

		memcpy(out, rx_buf_at(rx, at), n);
		at += n;
		out += n;
		len -= n;
	}
}

void rx_buf_slide(struct rx_mem *m, struct rx_buf *rx)
{
	while (rx->off >= TCP_RX_BLOCK) {
		block_put(m, &rx->places[rx->first]);
		rx->first = rx_buf_place(rx, 1);
		rx->blocks--;
		rx->off -= TCP_RX_BLOCK;
	}
	assert(rx->first < rx->place_count && rx->blocks <= rx->place_count);
}

void rx_buf_cut(struct rx_mem *m, struct rx_buf *rx, uint32_t end)
{
	uint32_t keep = (end + TCP_RX_BLOCK - 1) / TCP_RX_BLOCK;

	while (rx->blocks > keep)
		block_put(m, &rx->places[rx_buf_place(rx, --rx->blocks)]);
}

bool rx_buf_ooo_room(struct rx_mem *m, struct rx_buf *rx)
{
	return rx->ooo_count < rx->ooo_max || extend(m, rx);
}
