/* SPDX-License-Identifier: BSD-2-Clause
 *
 * An HTTP client on the rig's own TCP: sends bytes as told, collects what comes, and takes whole
 * answers out of it. Strict: whatever is not a well-formed answer is WEB_BAD. Knows nothing of what
 * it asked. */
#ifndef TESTS_SIM_WEB_H
#define TESTS_SIM_WEB_H

#include "tests/sim/rig.h"

struct web {
	struct rig *rig;
	struct conn *conn; /* NULL: gone, or never opened */
	uint16_t port;
	char *rx; /* bytes that came and are not taken yet */
	size_t rx_len;
	size_t rx_cap;
	char *answer; /* what the last web_take took */
	bool open;
	bool eof;         /* the server closed its side in order */
	bool gone;        /* the connection has ended: with eof in order, without by a reset */
	bool hold;        /* does not read; the window closes */
	uint32_t interim; /* 1xx answers seen */
};

enum web_got { WEB_MORE, WEB_ANSWER, WEB_BAD };

struct web_answer {
	unsigned status;
	unsigned minor;
	const char *head; /* with the status line, zero-terminated; until the next web_take */
	struct span body; /* decoded; until the next web_take */
	bool chunked;
	bool to_eof; /* the body ended with the connection */
	bool closes; /* said "Connection: close" */
};

/* Makes every client connection of the rig a struct web. */
void web_attach(struct rig *rig);
/* False when the client's table is full. */
bool web_open(struct web *w, struct rig *rig, uint16_t port);
/* False when TCP did not take all of it. */
bool web_send(struct web *w, const void *data, size_t len);
bool web_text(struct web *w, const char *text);
/* FIN: no more requests; answers still come. */
void web_half_close(struct web *w);
/* Reads again after hold. */
void web_resume(struct web *w);
/* Reset, if it is still there. */
void web_abort(struct web *w);
/* Resets and frees. */
void web_free(struct web *w);
/* Takes one answer; head_only: to a HEAD request. Interim answers are counted and skipped. */
enum web_got web_take(struct web *w, bool head_only, struct web_answer *out);
/* The value of a field of the answer, or an empty span with NULL. */
struct span web_field(const struct web_answer *a, const char *name);

#endif
