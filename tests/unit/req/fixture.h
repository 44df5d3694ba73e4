/* SPDX-License-Identifier: BSD-2-Clause
 *
 * For the tests of the request layer: a rig, client connections, and control as the test plays it.
 * down() ends what is left and looks for leaks of everything that the core can hold. */
#ifndef TESTS_UNIT_REQ_FIXTURE_H
#define TESTS_UNIT_REQ_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "dataplane/path.h"
#include "tests/sim/web.h"

#define FX_WEBS     64u
#define FX_BODY_MAX (1u << 20)
#define FX_HELD     512u

/* Parts of the configuration; NULL: the default. Whole lines with their indentation. */
struct fx_config {
	const char *memory;
	const char *limits;
	const char *timeouts;
	const char *routes;
};

/* A REQUEST as control got it. */
struct fx_request {
	struct chan_msg msg;
	union {
		struct chan_request cr;
		char bytes[65536];
	};
	uint64_t born_seq; /* purges ordered before it came */
	struct span key;
	struct span method;
	struct span host;
	struct span target;
	struct span fields;
};

struct fx {
	struct rig rig;
	struct web webs[FX_WEBS];
	uint32_t web_count;
	uint32_t epoch;
	bool hold_up; /* up blocks are kept rather than released at once */
	uint32_t held[FX_HELD];
	uint32_t held_count;
	char upload[FX_BODY_MAX]; /* body bytes that came for the ticket of the last fx_request */
	size_t upload_len;
	bool upload_end;
	bool upload_abort;
	uint32_t cancels; /* CANCEL messages seen */
	struct chan_ticket cancelled;
	uint64_t purge_seq;       /* of the last one */
	struct fx_request req;    /* the last one */
	struct web_answer answer; /* the last one */
};

extern struct fx fx;

void up(const struct fx_config *cfg);
/* Ends everything and checks that nothing leaked and that the counters add up. */
void down(void);
/* Plays n milliseconds. */
void run_ms(uint32_t n);
/* Larger steps, for long timeouts. */
void run_s(uint32_t n);
struct web *open_web(void);
/* A connection with its bytes sent and, after a few milliseconds, received. */
struct web *ask(const char *text);
void say(struct web *w, const char *text);
void say_bytes(struct web *w, const void *bytes, size_t len);
/* An answer must be there: kept in fx.answer. */
void got(struct web *w, unsigned status);
void got_head(struct web *w, unsigned status);
void got_body(struct web *w, unsigned status, struct span body);
/* No more bytes are there than what was taken. */
void got_nothing(struct web *w);
bool has_line(const char *line);

void attach(void);
void detach(void);
/* The next request must be there: kept in fx.req. Body messages before it are taken as they come.
 */
void next_request(void);
bool try_request(void);
/* Takes everything that control has got: bodies, cancels. Fails when a REQUEST is among it. */
void drain_control(void);
void release_held(uint32_t n);
/* Answers fx.req. */
struct rig_answer answer_to(unsigned status, const char *fields, struct span body);
void reply(const char *fields, struct span body);
void reply_with(const struct rig_answer *a);
/* A message as it is; block bytes are not written. */
void post(const struct chan_msg *m);
/* The order of a purge, with the next number. */
struct chan_msg purge_msg(enum inval_kind kind, const char *text, uint8_t flags);
/* The same, straight to the table. */
void purge_now(enum inval_kind kind, const char *text);
struct chan_msg head_msg(const struct object *o, const char *key, const char *fields);
uint32_t down_block(const void *bytes, size_t len);
uint64_t ctr(enum counter_id id);
/* len bytes that depend on seed and position. */
struct span pattern(uint32_t seed, size_t len);

#endif
