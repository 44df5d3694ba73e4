/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What TCP must do with one segment, written from the text of the RFCs and of nothing else: RFC
 * 9293 3.10.7 with RFC 5961 3 to 5, RFC 7323 3.2 and 5.3, RFC 6191 2 and RFC 1337 3. It knows the
 * stack neither by include nor by name; matrix.c asks it and compares. A rule that is deliberately
 * not the letter of an RFC says so in its text, and docs/TCP.md has the reason. */
#ifndef TESTS_MATRIX_ORACLE_H
#define TESTS_MATRIX_ORACLE_H

#include <stdbool.h>
#include <stdint.h>

enum o_state {
	O_CLOSED,
	O_LISTEN,
	O_SYN_SENT,
	O_SYN_RECEIVED,
	O_ESTABLISHED,
	O_FIN_WAIT_1,
	O_FIN_WAIT_2,
	O_CLOSE_WAIT,
	O_CLOSING,
	O_LAST_ACK,
	O_TIME_WAIT,
	O_STATES
};

enum o_flag { O_FIN = 1, O_SYN = 2, O_RST = 4, O_PSH = 8, O_ACK = 16, O_URG = 32 };

/* RFC 9293 3.3.1, as far as a single segment can depend on it. */
struct o_tcb {
	enum o_state state;
	bool passive;
	uint32_t iss;
	uint32_t irs;
	uint32_t snd_una;
	uint32_t snd_nxt;
	uint32_t max_snd_wnd;
	uint32_t rcv_nxt;
	uint32_t rcv_wnd;
	bool ts; /* negotiated */
	uint32_t ts_recent;
};

struct o_seg {
	uint8_t flags;
	bool ts;
	uint32_t seq;
	uint32_t ack;
	uint32_t len; /* of its text */
	uint32_t tsval;
};

enum o_reply {
	O_NONE,
	O_SEND_ACK,  /* <SEQ=seq><ACK=ack><CTL=ACK> */
	O_CHALLENGE, /* the same, throttled */
	O_SEND_SYN_ACK,
	O_SEND_RST,     /* <SEQ=seq><CTL=RST> */
	O_SEND_RST_ACK, /* <SEQ=0><ACK=ack><CTL=RST,ACK> */
};

struct o_verdict {
	enum o_reply reply;
	bool may_delay; /* RFC 9293 3.8.6.3 */
	uint32_t seq;
	uint32_t ack;
	enum o_state state;
	uint32_t delivered; /* bytes that the user gets from this segment */
	const char *rule;
};

struct o_verdict oracle(const struct o_tcb *tcb, const struct o_seg *seg);
const char *oracle_state_name(enum o_state state);

#endif
