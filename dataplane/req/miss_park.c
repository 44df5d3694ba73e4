/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Requests that found no room in the channel, or no control. They wait in the order in which they
 * came, until their deadline (req_timeout answers 503); their bytes stay unread, so that the peer's
 * window closes. */
#include "dataplane/path.h"

#define WAKE_MAX 64u

void miss_park(struct core *core, struct req *req)
{
	struct core_chan *ch = &core->chan;

	if (req->parked)
		return;
	req->parked = true;
	req->park_next = NULL;
	req->park_prev = ch->park_tail;
	if (ch->park_tail != NULL)
		ch->park_tail->park_next = req;
	else
		ch->park_head = req;
	ch->park_tail = req;
}

void miss_unpark(struct core *core, struct req *req)
{
	struct core_chan *ch = &core->chan;

	if (req->park_prev != NULL)
		req->park_prev->park_next = req->park_next;
	else
		ch->park_head = req->park_next;
	if (req->park_next != NULL)
		req->park_next->park_prev = req->park_prev;
	else
		ch->park_tail = req->park_prev;
	req->parked = false;
}

void miss_wake_parked(struct core *core)
{
	struct core_chan *ch = &core->chan;
	uint32_t room = min_u32(ch->up.free_count, spsc_room(&ch->port.tx, WAKE_MAX) / 2);
	struct req *req = ch->park_head;

	uint32_t slots = ch->miss_count - ch->miss_live;
	for (uint32_t i = 0; i < WAKE_MAX && room > 0 && req != NULL; i++) {
		bool has_slot = req->slot != UINT32_MAX; /* an upload, which only wants a block */

		if (has_slot || slots > 0) {
			tcp_wake(core->tcp, req->conn, 0);
			slots -= has_slot ? 0 : 1;
			room--;
		}
		req = req->park_next;
	}
}
