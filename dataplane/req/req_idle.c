/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Connections between requests: closed when no request came for idle_ms, reset when what is queued for
 * the client makes no progress for send_ms. Both are measured by what the client does for itself: its
 * acknowledgments of our probes count for nothing.
 *
 * Such a connection has no struct req. What must be known of it lies in its owner word: bit 0 tells the
 * word from a pointer, then one bit, the requests so far, and a mark of the send queue. */
#include "dataplane/req/req.h"

#include "dataplane/path.h"

#define SERVED_SHIFT 2
#define MARK_SHIFT   34
#define MARK_MAX     ((1u << 30) - 1)

struct idle {
	uint32_t mark;   /* bytes queued at the last look; 0: none yet */
	uint32_t served;
	bool looked;     /* the idle time runs since the last look, whatever arrives but a request */
};
static_assert(sizeof(void *) == 8, "the owner word holds 63 bits");

static struct idle word_get(const struct conn *conn)
{
	uintptr_t word = (uintptr_t)tcp_owner(conn);

	if (!(word & 1))
		return (struct idle){0};
	return (struct idle){
		.mark = (uint32_t)(word >> MARK_SHIFT),
		.served = (uint32_t)(word >> SERVED_SHIFT),
		.looked = word & 2,
	};
}

static void word_set(struct conn *conn, const struct idle *w)
{
	uintptr_t word = (uintptr_t)w->mark << MARK_SHIFT | (uintptr_t)w->served << SERVED_SHIFT |
			 (w->looked ? 2 : 0) | 1;

	tcp_set_owner(conn, (void *)word);
}

uint32_t idle_served(const struct conn *conn)
{
	return word_get(conn).served;
}

void idle_begin(struct conn *conn, uint32_t served)
{
	word_set(conn, &(struct idle){.served = served});
}

/* Fewer bytes queued than at the last look? Nothing was added since: that would have reset the mark. */
static bool progress(uint32_t *mark, uint32_t queued)
{
	bool moved = send_progress(*mark, queued);

	*mark = min_u32(queued, MARK_MAX);
	return moved;
}

static void no_request_timeout(struct core *core, struct conn *conn, struct idle *w)
{
	const struct config_timeouts *t = &core->snap->timeouts;
	struct tcp_info info;

	tcp_conn_info(conn, &info);
	uint64_t until_ns = max_u64(info.last_rx_ns, info.opened_ns) + t->idle_ms * NS_PER_MS;
	if (w->looked || core->now_ns >= until_ns) {
		tcp_set_owner(conn, NULL);
		tcp_close(core->tcp, conn, core->now_ns);
		return;
	}
	w->looked = true;
	word_set(conn, w);
	tcp_user_timer(core->tcp, conn, until_ns);
}

void idle_timeout(struct core *core, struct conn *conn, struct req *req)
{
	struct idle w = word_get(conn);
	uint32_t queued = tcp_tx_queued(conn);

	if (req == NULL && queued == 0) {
		no_request_timeout(core, conn, &w);
		return;
	}
	if (progress(req != NULL ? &req->queued_mark : &w.mark, queued)) {
		if (req == NULL)
			word_set(conn, &w);
		tcp_user_timer(core->tcp, conn,
			       core->now_ns + core->snap->timeouts.send_ms * NS_PER_MS);
		return;
	}
	if (req != NULL)
		req_put(core, req);
	tcp_set_owner(conn, NULL);
	tcp_abort(core->tcp, conn);
}
