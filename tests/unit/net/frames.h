/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Frames for the tests of dataplane/net, built field by field, so that a test can spoil one field.
 */
#ifndef TESTS_UNIT_NET_FRAMES_H
#define TESTS_UNIT_NET_FRAMES_H

#include "dataplane/net/wire.h"
#include "lib/base.h"

#define FRAME_MAX 2048u

struct frame {
	uint8_t b[FRAME_MAX];
	uint32_t len;
	uint32_t l3; /* offsets into b */
	uint32_t l4;
};

#define OUR_MAC  "\x02\x00\x00\x00\x00\x01"
#define PEER_MAC "\x02\x00\x00\x00\x00\x99"
#define OUR_V4   "\x0a\x00\x00\x01"
#define OUR_V4_B "\x0a\x00\x00\x02"
#define PEER_V4  "\x0a\x00\x00\x63"
#define OUR_V6   "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
#define PEER_V6  "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x63"
#define SNM_V6   "\xff\x02\0\0\0\0\0\0\0\0\0\x01\xff\0\0\x01" /* solicited-node of OUR_V6 */
#define NODES_V6 "\xff\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\x01"
#define SNM_MAC  "\x33\x33\xff\x00\x00\x01"

/* Sums bytes the slow way: pairs in network order. */
uint32_t naive_sum(const uint8_t *p, size_t len);

/* A TCP segment of payload bytes 0, 1, 2, ... from the peer to us; vlan 0: untagged. */
void frame_tcp4(struct frame *f, uint16_t vlan, uint32_t ip_options, uint32_t payload);
void frame_tcp6(struct frame *f, uint32_t payload);
void frame_echo4(struct frame *f, uint32_t ip_options, uint32_t payload);
void frame_echo6(struct frame *f, uint32_t payload);
void frame_arp(struct frame *f, const char *spa, const char *tpa);
/* A solicitation for target from src to dst (16 bytes each), with a source link-layer option. */
void frame_ns(struct frame *f, const char *src, const char *dst, const char *target);

/* Fill in lengths and checksums again after a field was changed. */
void frame_fix4(struct frame *f);
void frame_fix6(struct frame *f);

#endif
