/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Every state of TCP against every kind of segment at every edge, made by this program; what must
 * happen is asked of oracle.h. Cases that do not agree are printed one a line, with what was
 * expected and the clause it follows from.
 *
 *   matrix            a selection: every state, segment and edge, the rest in turn
 *   matrix --all      the whole product
 *   matrix --table    what is expected, as tables for people (Markdown)
 *   matrix --case N   one case, with what was sent and what came back */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/matrix/setup.h"

enum {
	MAX_FAILED = 40, /* cases that are printed */
};

/* Kinds of segments. */
static const struct kind {
	const char *name;
	uint8_t flags;
	uint32_t len;
} kinds[] = {
        {"RST", O_RST, 0},
        {"RST,ACK", O_RST | O_ACK, 0},
        {"RST+10", O_RST | O_ACK, 10},
        {"SYN", O_SYN, 0},
        {"SYN+10", O_SYN, 10},
        {"SYN,FIN", O_SYN | O_FIN, 0},
        {"SYN,ACK", O_SYN | O_ACK, 0},
        {"SYN,ACK+10", O_SYN | O_ACK, 10},
        {"SYN,FIN,ACK", O_SYN | O_FIN | O_ACK, 0},
        {"FIN", O_FIN, 0},
        {"FIN,ACK", O_FIN | O_ACK, 0},
        {"FIN,ACK+10", O_FIN | O_ACK | O_PSH, 10},
        {"ACK", O_ACK, 0},
        {"ACK+1", O_ACK, 1},
        {"ACK+10", O_ACK | O_PSH, 10},
        {"URG,ACK+10", O_URG | O_ACK, 10},
        {"no flag", 0, 0},
        {"no flag+10", 0, 10},
        {"PSH,URG", O_PSH | O_URG, 0},
};

static const struct place {
	const char *name;
	bool from_edge; /* else from RCV.NXT */
	int64_t off;
} places[] = {
        {"NXT", false, 0},      {"NXT-1", false, -1},          {"NXT-5", false, -5},
        {"NXT-10", false, -10}, {"NXT-11", false, -11},        {"NXT-100000", false, -100000},
        {"NXT+1", false, 1},    {"edge-11", true, -11},        {"edge-10", true, -10},
        {"edge-5", true, -5},   {"edge-1", true, -1},          {"edge", true, 0},
        {"edge+1", true, 1},    {"edge+100000", true, 100000}, {"NXT+2^31", false, 0x80000000ll},
};

static const struct ack_place {
	const char *name;
	bool from_nxt; /* else from SND.UNA */
	int64_t off;
} acks[] = {
        {"NXT", true, 0},
        {"UNA", false, 0},
        {"UNA-1", false, -1},
        {"UNA+1", false, 1},
        {"NXT-1", true, -1},
        {"NXT+1", true, 1},
        {"UNA-max", false, -65535},
        {"UNA-max-1", false, -65536},
        {"NXT+2^30", true, 1 << 30},
        {"UNA-2^30", false, -(1 << 30)},
};

/* The peer's timestamp, where there are any. */
enum stamp { STAMP_NEXT, STAMP_SAME, STAMP_OLD, STAMP_NONE, STAMP_COUNT };

static const char *const stamp_names[STAMP_COUNT] = {"newer", "same", "older", "none"};

/* Initial numbers of the peer and of us: nothing special, and all that follows wraps. */
static const uint32_t numbers[][2] = {
        {1000000, 2000000},
        {0xffffffff, 0xfffffffe},
        {0xffffdfff, 0xffffffa0}, /* the window's edge, and what is in flight */
        {0x7fffffff, 0x7ffffffe},
};

struct one {
	uint32_t start, kind, place, ack, stamp, number, v6;
};

struct matrix {
	struct wire *wires[2];
	uint64_t cases;
	uint64_t failed;
	bool verbose;
};

static struct wire wires[2];

static void wire_prepare(struct wire *w, bool v6)
{
	struct tcp_config cfg;

	tcp_config_small(&cfg);
	cfg.rx_buf_bytes = MATRIX_BUF;
	cfg.min_rto_ms = 10000; /* nothing is sent again while a delayed ACK is waited for */
	cfg.max_rto_ms = 60000;
	cfg.timestamps_required = 1;
	wire_open(w, &cfg, v6);
	memset(w->tcp->isn_key, 0x42, sizeof(w->tcp->isn_key));
}

static void case_segment(const struct one *o, const struct o_tcb *t, struct o_seg *s)
{
	const struct place *p = &places[o->place];
	const struct ack_place *a = &acks[o->ack];
	uint32_t edge = t->rcv_nxt + t->rcv_wnd;

	*s = (struct o_seg){.flags = kinds[o->kind].flags,
	                    .len = kinds[o->kind].len,
	                    .seq = (p->from_edge ? edge : t->rcv_nxt) + (uint32_t)p->off,
	                    .ts = o->stamp != STAMP_NONE,
	                    .tsval = t->ts_recent + (o->stamp == STAMP_NEXT) -
	                             (o->stamp == STAMP_OLD)};
	if (s->flags & O_ACK)
		s->ack = (a->from_nxt ? t->snd_nxt : t->snd_una) + (uint32_t)a->off;
}

static uint64_t packets_counted(const struct wire *w)
{
	uint64_t n = counter_read(&w->ctr, CTR_rx_tcp);

	for (uint32_t i = CTR_drop_tcp_header; i <= CTR_drop_tcp_syn_full; i++)
		n += counter_read(&w->ctr, i);
	return n;
}

static uint8_t reply_flags(enum o_reply reply)
{
	static const uint8_t flags[] = {
	        0, O_ACK, O_ACK, O_SYN | O_ACK, O_RST, O_RST | O_ACK,
	};

	return flags[reply];
}

static const char *flags_text(uint8_t flags, char out[32])
{
	static const char *const names[] = {"FIN", "SYN", "RST", "PSH", "ACK", "URG"};

	out[0] = '\0';
	for (uint32_t i = 0; i < 6; i++)
		if (flags >> i & 1) {
			if (out[0])
				strcat(out, ",");
			strcat(out, names[i]);
		}
	if (!out[0])
		strcpy(out, "nothing");
	return out;
}

static void case_print(const struct one *o, const struct setup *u, const struct o_seg *s)
{
	char flags[32];

	printf("%s, IPv%d, timestamps %s, ISS %#x, IRS %#x\n", start_name(u->start), o->v6 ? 6 : 4,
	       u->ts ? stamp_names[o->stamp] : "off", u->tcb.iss, u->irs);
	printf("  SND.UNA %#x SND.NXT %#x RCV.NXT %#x RCV.WND %u\n", u->tcb.snd_una, u->tcb.snd_nxt,
	       u->tcb.rcv_nxt, u->tcb.rcv_wnd);
	printf("  in:   %s seq %#x (%s) ack %#x (%s) len %u\n", flags_text(s->flags, flags), s->seq,
	       places[o->place].name, s->ack, s->flags & O_ACK ? acks[o->ack].name : "none",
	       s->len);
}

/* What the stack answered. */
struct answer {
	uint32_t count;
	uint8_t flags;
	uint32_t seq;
	uint32_t ack;
	bool late;
	enum o_state state;
	uint32_t delivered;
	uint64_t counted;
};

static void answer_take(struct wire *w, struct answer *a)
{
	struct wire_seg got;

	while (wire_take(w, &got)) {
		if (a->count++ > 0)
			continue;
		a->flags = got.flags;
		a->seq = got.seq;
		a->ack = got.ack;
	}
}

static uint32_t received(const struct wire *w)
{
	return w->rx_len + (w->conn ? conn_rx_len(w->conn) : 0);
}

static void case_send(struct setup *u, const struct o_seg *s, struct answer *a)
{
	struct wire *w = u->wire;
	uint32_t before = received(w);
	uint64_t counted = packets_counted(w);

	*a = (struct answer){0};
	setup_send(u, s);
	a->counted = packets_counted(w) - counted;
	a->state = setup_state(u);
	/* What waited unread goes with a reset. */
	a->delivered = received(w) > before ? received(w) - before : 0;
	answer_take(w, a);
	w->now_ns += 499 * NS_PER_MS;
	wire_run(w);
	a->late = a->count == 0;
	answer_take(w, a);
}

/* NULL when it is what was expected, else what is not. */
static const char *answer_judge(const struct setup *u, const struct o_verdict *v,
                                const struct answer *a)
{
	enum o_state state = v->state == O_LISTEN ? O_CLOSED : v->state;
	bool seq_known = v->reply != O_SEND_SYN_ACK || u->start == START_SYN_SENT ||
	                 u->start == START_SYN_RECEIVED || u->start == START_SYN_RECEIVED_BOTH;

	if (a->counted != 1)
		return "not one counter";
	if (a->count != (v->reply == O_NONE ? 0 : 1))
		return v->reply == O_NONE ? "an answer" : "no answer, or more than one";
	if (v->reply != O_NONE) {
		if ((a->flags & ~TH_PSH) != reply_flags(v->reply))
			return "another answer";
		if (seq_known && a->seq != v->seq)
			return "another SEQ";
		if (v->reply != O_SEND_RST && a->ack != v->ack)
			return "another ACK";
		if (a->late && !v->may_delay)
			return "a late answer";
	}
	if (a->state != state)
		return "another state";
	return a->delivered != v->delivered ? "other bytes delivered" : NULL;
}

static void case_run(struct matrix *m, const struct one *o)
{
	struct setup u = {
	        .wire = m->wires[o->v6],
	        .start = o->start,
	        .ts = o->number % 2 || o->stamp != STAMP_NONE,
	        .irs = numbers[o->number][0],
	        .iss = numbers[o->number][1],
	};
	const char *wrong = "the state was not reached";
	struct o_verdict v = {0};
	struct answer a = {0};
	struct o_seg s = {0};
	char text[2][32];

	if (setup_run(&u)) {
		case_segment(o, &u.tcb, &s);
		v = oracle(&u.tcb, &s);
		case_send(&u, &s, &a);
		wrong = answer_judge(&u, &v, &a);
	}
	if (!setup_end(&u) && !wrong)
		wrong = "something is held still";
	if (wrong || m->verbose) {
		printf("case %lu: %s\n", (unsigned long)m->cases, wrong ? wrong : "right");
		case_print(o, &u, &s);
		printf("  want: %s seq %#x ack %#x%s, %s, %u bytes (%s)\n",
		       flags_text(reply_flags(v.reply), text[0]), v.seq, v.ack,
		       v.may_delay ? " or later" : "", oracle_state_name(v.state), v.delivered,
		       v.rule ? v.rule : "");
		printf("  got:  %u times %s seq %#x ack %#x%s, %s, %u bytes\n", a.count,
		       flags_text(a.flags, text[1]), a.seq, a.ack, a.late ? " late" : "",
		       oracle_state_name(a.state), a.delivered);
	}
	m->failed += wrong != NULL;
}

/* Timestamps count where the SYN had one; a connection without them gets none. */
static bool case_exists(const struct one *o)
{
	bool ack = kinds[o->kind].flags & O_ACK;

	if (o->ack > 0 && !ack)
		return false;
	/* Without a window there is one edge. */
	if (start_is_shut(o->start) && places[o->place].from_edge)
		return false;
	return true;
}

/* In turn, so that a selection has all of them with each other's neighbours. */
static bool case_chosen(const struct one *o, bool all)
{
	uint32_t turn = o->start * 7 + o->kind * 3 + o->place * 5 + o->ack;

	return all || ((turn + o->stamp) % 4 == o->number && (turn / 4 + o->stamp) % 2 == o->v6);
}

/* The next case, the last field fastest; false after the last. */
static bool case_next(struct one *o)
{
	struct {
		uint32_t *field;
		uint32_t count;
	} digits[] = {
	        {&o->v6, 2},
	        {&o->number, ARRAY_LEN(numbers)},
	        {&o->stamp, STAMP_COUNT},
	        {&o->ack, ARRAY_LEN(acks)},
	        {&o->place, ARRAY_LEN(places)},
	        {&o->kind, ARRAY_LEN(kinds)},
	        {&o->start, START_COUNT},
	};

	for (uint32_t i = 0; i < ARRAY_LEN(digits); i++) {
		if (++*digits[i].field < digits[i].count)
			return true;
		*digits[i].field = 0;
	}
	return false;
}

static void matrix_run(struct matrix *m, bool all, uint64_t only)
{
	struct one o = {0};

	do {
		if (!case_exists(&o) || !case_chosen(&o, all))
			continue;
		m->cases++;
		if (only == 0 || only == m->cases)
			case_run(m, &o);
	} while (m->failed < MAX_FAILED && case_next(&o));
}

static const char *cell(const struct o_tcb *t, const struct o_verdict *v, char out[64])
{
	static const char *const replies[] = {"-",       "ACK", "challenge ACK",
	                                      "SYN,ACK", "RST", "RST,ACK"};

	if (v->state == t->state)
		return replies[v->reply];
	snprintf(out, 64, "%s%s%s", v->reply == O_NONE ? "" : replies[v->reply],
	         v->reply == O_NONE ? "to " : ", to ", oracle_state_name(v->state));
	return out;
}

static struct o_tcb table_tcb(enum start start)
{
	static const enum o_state states[START_COUNT] = {
	        O_CLOSED,      O_LISTEN,     O_SYN_SENT,    O_SYN_RECEIVED, O_SYN_RECEIVED,
	        O_ESTABLISHED, O_FIN_WAIT_1, O_FIN_WAIT_2,  O_CLOSE_WAIT,   O_CLOSING,
	        O_LAST_ACK,    O_TIME_WAIT,  O_ESTABLISHED, O_FIN_WAIT_1,   O_FIN_WAIT_2,
	};
	struct o_tcb t = {.state = states[start],
	                  .passive = start != START_SYN_SENT && start != START_SYN_RECEIVED_BOTH,
	                  .iss = 1000,
	                  .irs = 50000,
	                  .snd_una = 1001,
	                  .snd_nxt = 1101,
	                  .max_snd_wnd = 65535,
	                  .rcv_nxt = 60001,
	                  .rcv_wnd = start_is_shut(start) ? 0 : MATRIX_BUF};

	if (t.state == O_SYN_SENT || t.state == O_SYN_RECEIVED) {
		t.snd_una = t.iss;
		t.snd_nxt = t.iss + 1;
		t.rcv_nxt = t.irs + 1;
	}
	if (t.state == O_FIN_WAIT_2 || t.state == O_TIME_WAIT)
		t.snd_una = t.snd_nxt;
	return t;
}

/* Rows: segments, with an ACK of all that was sent and of too much; columns: their SEQ. */
static void table_state(enum start start)
{
	static const char *const shown[] = {"NXT-10", "NXT-1", "NXT", "NXT+1", "edge-1", "edge"};
	struct o_tcb t = table_tcb(start);

	printf("\n### %s\n\n| segment |", start_name(start));
	for (uint32_t i = 0; i < ARRAY_LEN(shown); i++)
		printf(" %s |", shown[i]);
	printf("\n|---|---|---|---|---|---|---|\n");
	for (uint32_t k = 0; k < 2 * ARRAY_LEN(kinds); k++) {
		struct one o = {
		        .start = start, .kind = k / 2, .ack = k % 2 ? 5 : 0, .stamp = STAMP_NONE};

		if (k % 2 && !(kinds[o.kind].flags & O_ACK))
			continue;
		printf("| %s%s |", kinds[o.kind].name, k % 2 ? ", ACK too new" : "");
		for (uint32_t i = 0; i < ARRAY_LEN(shown); i++) {
			struct o_verdict v;
			struct o_seg s;
			char text[64];

			for (o.place = 0; strcmp(places[o.place].name, shown[i]) != 0;)
				o.place++;
			case_segment(&o, &t, &s);
			v = oracle(&t, &s);
			printf(" %s |", cell(&t, &v, text));
		}
		printf("\n");
	}
}

static void table_print(void)
{
	printf("Columns: SEQ, where NXT is RCV.NXT and edge is RCV.NXT+RCV.WND. \"+10\": 10 bytes "
	       "of text.\n");
	for (uint32_t start = 0; start < START_COUNT; start++)
		table_state(start);
}

int main(int argc, char **argv)
{
	struct matrix m = {.wires = {&wires[0], &wires[1]}};
	bool all = argc > 1 && strcmp(argv[1], "--all") == 0;
	uint64_t only = 0;

	if (argc > 1 && strcmp(argv[1], "--table") == 0) {
		table_print();
		return 0;
	}
	if (argc > 2 && strcmp(argv[argc - 2], "--case") == 0) {
		only = strtoull(argv[argc - 1], NULL, 10);
		m.verbose = true;
	}
	wire_prepare(&wires[0], false);
	wire_prepare(&wires[1], true);
	matrix_run(&m, all, only);
	wire_close(&wires[0]);
	wire_close(&wires[1]);
	printf("%lu cases, %lu wrong\n", (unsigned long)m.cases, (unsigned long)m.failed);
	return m.failed ? 1 : 0;
}
