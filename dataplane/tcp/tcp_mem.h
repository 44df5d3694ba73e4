/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The memory of received data, and what happens when it runs out. A connection that has nothing
 * unread and nothing out of order holds none; what it has to keep lies in blocks of one pool, each
 * byte at its place behind the first unread one, so that a hole costs only the blocks around it.
 *
 * Called by: tcp_ooo.c (put and get), tcp_window.c (how much may be offered), tcp.c. Must not:
 * send, or end a connection.
 *
 * The order in which pressure takes things away (docs/TCP.md): enum mem_level. */
#ifndef DATAPLANE_TCP_TCP_MEM_H
#define DATAPLANE_TCP_TCP_MEM_H

#include "dataplane/tcp/seq.h"
#include "lib/base.h"
#include "lib/pool.h"

enum {
	TCP_RX_BLOCK = 4096,
	TCP_RX_PLACES = 33, /* blocks that a receive buffer has places for by itself */
	TCP_OOO_PLACES = 32,
	TCP_MAX_OOO = 256, /* runs of out-of-order data kept for a connection, with an extension */
	TCP_MAX_FRESH = 8, /* of them remembered by age, for SACK (RFC 2018 4) */
};

/* How scarce the blocks are; each level does also what those before it do. */
enum mem_level {
	MEM_AMPLE,
	MEM_NO_GROWTH,  /* below a half: receive windows do not grow any more */
	MEM_OFFER_LESS, /* below a quarter: a window's edge moves to a share of what is free */
	MEM_NO_OOO,     /* below an eighth: out-of-order data that needs a block is dropped */
	MEM_OUT,        /* none: a connection gives up its own out-of-order data for what comes in
	                   order; without any, that is dropped and comes again */
};

/* What a receive buffer takes when its own places do not suffice. */
struct rx_ext {
	struct seq_run runs[TCP_MAX_OOO];
	uint32_t places[];
};

/* A receive buffer. Position 0 is the first byte of the first block; bytes in order lie at
 * [off, off + conn.rx_len), out-of-order data behind them, each byte at its final place. */
struct rx_buf {
	uint32_t off;
	uint32_t first;  /* the first block's place in the ring */
	uint32_t blocks; /* places from there on in use; TCP_NONE in those without a block */
	uint32_t place_count;
	uint32_t *places; /* a ring of block indexes */
	char *base;       /* of all blocks */
	struct rx_ext *ext;
	struct seq_run *ooo; /* ascending, neither touching nor overlapping */
	uint32_t ooo_count;
	uint32_t ooo_max;
	uint32_t fresh_count;
	uint32_t fresh[TCP_MAX_FRESH]; /* a number in each of the freshest runs, freshest first */
	uint32_t own_places[TCP_RX_PLACES];
	struct seq_run own_ooo[TCP_OOO_PLACES];
};

/* Blocks of a stack: a stack of free indexes, so that neither taking nor giving back touches the
 * block. */
struct rx_mem {
	struct pool bufs; /* struct rx_buf */
	struct pool exts; /* struct rx_ext */
	char *blocks;
	uint32_t *free;
	uint32_t free_count;
	uint32_t fresh; /* blocks never handed out: [fresh, count) */
	uint32_t count;
	uint32_t ext_places;
	uint8_t level; /* enum mem_level, as of the last block that came or went */
};

/* Of a connection: what its memory is measured by. */
struct conn_memory {
	/* The round trip in which the owner's reading is measured: tcp_window.c */
	uint32_t rx_mark;  /* what it had read when that began, as a sequence number */
	uint32_t rx_clock; /* when, on fine_clock */
	/* How long the peer's reading stands still: tcp_limit.c, only while memory is short */
	uint32_t tx_mark;    /* snd_una at the last progress */
	uint32_t tx_clock;   /* when, on ts_clock */
	uint16_t tx_least;   /* bytes beyond tx_mark that are progress; 0: no mark */
	uint8_t rx_more : 1; /* the owner read all of a piece, and there is another */
	uint8_t counted : 1; /* for its address */
};

/* Bytes of each part for so many blocks; window_bytes is the largest that a window can be. */
struct rx_mem_layout {
	size_t blocks;
	size_t free;
	size_t bufs;
	size_t exts;
	uint32_t block_count;
	uint32_t buf_count;
	uint32_t ext_count;
	uint32_t ext_places;
	uint32_t ext_size;
};

struct rx_mem_layout rx_mem_layout(uint64_t bytes, uint32_t window_bytes, uint32_t max_conns);
/* The parts lie at these addresses, blocks at a multiple of TCP_RX_BLOCK best. */
struct rx_mem_parts {
	char *blocks;
	char *free;
	char *bufs;
	char *exts;
};
void rx_mem_init(struct rx_mem *m, const struct rx_mem_layout *l, const struct rx_mem_parts *at);

static inline uint32_t rx_mem_free(const struct rx_mem *m)
{
	return m->count - m->fresh + m->free_count;
}

/* An empty buffer, NULL when there is none. It holds no block yet. */
struct rx_buf *rx_buf_get(struct rx_mem *m);
void rx_buf_put(struct rx_mem *m, struct rx_buf *rx);
/* Makes sure that [at, at + len) has blocks; false when there are not enough or it is beyond what a
 * buffer can hold. Blocks it did get stay. */
bool rx_buf_reserve(struct rx_mem *m, struct rx_buf *rx, uint32_t at, uint32_t len);
/* [at, at + len) has blocks. */
void rx_buf_write(struct rx_buf *rx, uint32_t at, const uint8_t *data, uint32_t len);
void rx_buf_read(const struct rx_buf *rx, uint32_t at, void *to, uint32_t len);
/* Gives back the blocks in front of off. */
void rx_buf_slide(struct rx_mem *m, struct rx_buf *rx);
/* Gives back the blocks that begin at or behind position end. */
void rx_buf_cut(struct rx_mem *m, struct rx_buf *rx, uint32_t end);
/* Room for one more run; false when it has TCP_MAX_OOO or there is no extension left. */
bool rx_buf_ooo_room(struct rx_mem *m, struct rx_buf *rx);

static inline uint32_t rx_buf_place(const struct rx_buf *rx, uint32_t k)
{
	uint32_t i = rx->first + k;

	return i < rx->place_count ? i : i - rx->place_count;
}

static inline char *rx_buf_at(const struct rx_buf *rx, uint32_t at)
{
	uint32_t block = rx->places[rx_buf_place(rx, at / TCP_RX_BLOCK)];

	return rx->base + (size_t)block * TCP_RX_BLOCK + at % TCP_RX_BLOCK;
}

#endif
