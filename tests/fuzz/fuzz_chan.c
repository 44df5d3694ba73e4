/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Hostile shared memory: bytes as the header of a channel, as ring positions and as messages. The
 * input is a struct input and then what lies in the receive ring. Whatever it says, no access may
 * leave the mapping and no loop may go on for ever. */
#include "lib/channel.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FILE_PAGES_MAX 64u
#define ROUNDS         4u

struct input {
	uint8_t own_header; /* odd: the header comes from the input, else a right one */
	uint8_t file_pages;
	uint8_t as_core; /* odd: the core's side, else control's */
	uint8_t sends;
	uint32_t rx_tail;
	uint32_t rx_head;
	uint32_t tx_tail;
	uint32_t tx_head;
	struct chan_header header;
};

static const struct chan_geometry geometry = {
        .cores = 1,
        .ring_entries = 64,
        .up_block_bytes = 4096,
        .up_blocks = 2,
        .down_block_bytes = 4096,
        .down_blocks = 3,
};

static volatile unsigned char sink;

static void touch(const unsigned char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sink = (unsigned char)(sink + p[i]);
}

/* A descriptor with the input's header: chan_open owns it. */
static int hostile_file(const struct input *in)
{
	off_t bytes = (off_t)(in->file_pages % FILE_PAGES_MAX) * 4096;
	int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, bytes) != 0)
		abort();
	if (bytes > 0 && pwrite(fd, &in->header, sizeof(in->header), 0) < 0)
		abort();
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0)
		abort();
	return fd;
}

static void receive(struct chan_port *p, uint32_t entries)
{
	struct chan_msg m;
	uint32_t n = 0;

	while (chan_recv(p, &m)) {
		const unsigned char *bytes = chan_peer_bytes(p, &m);
		if (bytes != NULL)
			touch(bytes, m.len);
		/* One look at the tail claims at most a ring of messages. */
		if (++n > 2 * entries)
			abort();
	}
	chan_rx_done(p);
}

static void use_port(struct chan_port *p, const struct input *in, uint32_t entries)
{
	for (uint32_t round = 0; round < ROUNDS; round++) {
		receive(p, entries);
		for (uint32_t i = 0; i < in->sends; i++) {
			struct chan_msg *m = chan_slot(p);
			if (m == NULL)
				break;
			m->type = CHAN_BODY;
			chan_push(p);
		}
		chan_flush(p);
		if (chan_prepare_sleep(p))
			chan_awake(p);
		p->tx.shared->head ^= in->tx_head;
		p->rx.shared->tail += in->rx_tail;
		if (round == 1)
			chan_drain(p);
	}
}

static void use_channel(const struct chan *ch, const struct input *in, const uint8_t *ring,
                        size_t ring_bytes)
{
	struct chan_port p;
	uint32_t core = ch->geo.cores - 1;

	touch((const unsigned char *)chan_stats(ch, core), sizeof(struct core_stats));
	touch(chan_up_base(ch, core), (size_t)ch->geo.up_blocks * ch->geo.up_block_bytes);
	touch(chan_down_base(ch), (size_t)ch->geo.down_blocks * ch->geo.down_block_bytes);
	if (in->as_core & 1)
		chan_port_core(ch, core, &p);
	else
		chan_port_control(ch, core, &p);
	size_t room = (size_t)ch->geo.ring_entries * SPSC_MSG_BYTES;
	memcpy(p.rx.msgs, ring, min_size(room, ring_bytes));
	p.rx.shared->tail = in->rx_tail;
	p.rx.shared->head = in->rx_head;
	p.tx.shared->tail = in->tx_tail;
	p.tx.shared->head = in->tx_head;
	if (in->as_core & 1)
		chan_port_core(ch, core, &p);
	else
		chan_port_control(ch, core, &p);
	use_port(&p, in, ch->geo.ring_entries);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in;
	struct chan ch;

	if (size < sizeof(in))
		return 0;
	memcpy(&in, data, sizeof(in));
	if (in.own_header & 1) {
		if (chan_open(&ch, hostile_file(&in)) != ST_OK)
			return 0;
	} else if (chan_create(&ch, &geometry, false) != ST_OK) {
		abort();
	}
	use_channel(&ch, &in, data + sizeof(in), size - sizeof(in));
	chan_close(&ch);
	return 0;
}
