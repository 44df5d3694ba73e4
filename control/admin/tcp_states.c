/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/admin/tcp_states.h"

#include <strings.h>

static const char *const names[ADMIN_TCP_STATES] = {
        "closed",     "listen",     "syn_sent", "syn_received", "established", "fin_wait_1",
        "fin_wait_2", "close_wait", "closing",  "last_ack",     "time_wait",
};

const char *admin_tcp_state_name(uint32_t state)
{
	return state < ADMIN_TCP_STATES ? names[state] : "unknown";
}

int admin_tcp_state_find(const char *name)
{
	for (uint32_t i = 0; i < ADMIN_TCP_STATES; i++)
		if (strcasecmp(names[i], name) == 0)
			return (int)i;
	return -1;
}
