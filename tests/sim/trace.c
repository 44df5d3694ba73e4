/* SPDX-License-Identifier: BSD-2-Clause
 *
 * --trace PORT: the segments of one client port, a line each, as they are sent and as they arrive.
 */
#include "tests/sim/world.h"
#include "tests/sim/bytes.h"

void trace_segment(const struct world *w, const struct view *v, const char *what)
{
	static const char names[] = "FSRPAU";
	uint16_t port = v->sport == WORLD_PORT ? v->dport : v->sport;
	bool up = v->sport != WORLD_PORT;
	const struct slot *s;
	uint32_t seq0, ack0;

	if (port != w->run->trace_port)
		return;
	s = &w->slots[0];
	for (uint32_t i = 0; i < w->slot_count; i++)
		if (w->slots[i].plan.port == port)
			s = &w->slots[i];
	seq0 = up ? s->watch.client_iss : s->watch.server_iss;
	ack0 = up ? s->watch.server_iss : s->watch.client_iss;
	printf("%12.6f %s %-5s ", (double)w->now_ns / 1e9, up ? "client >" : "server <", what);
	for (uint32_t i = 0; i < 6; i++)
		putchar(v->flags >> i & 1 ? names[i] : '.');
	printf(" seq %u len %u ack %u wnd %u", v->seq - seq0, v->data_len, v->ack - ack0, v->wnd);
	for (uint32_t i = 0; i < v->sack_count; i++)
		printf(" sack %u-%u", get32(v->sack + 8 * i) - ack0,
		       get32(v->sack + 8 * i + 4) - ack0);
	if (v->has_ts)
		printf(" ts %u %u", v->tsval, v->tsecr);
	printf("\n");
}
