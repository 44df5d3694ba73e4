/* SPDX-License-Identifier: BSD-2-Clause */
#include "perf/load/transports.h"

static const struct transport_ops *const transports[] = {
        &transport_socket,
        &transport_dpdk,
};

const char *transport_names(void)
{
	return "socket, dpdk";
}

const struct transport_ops *transport_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(transports); i++)
		if (strcmp(name, transports[i]->name) == 0)
			return transports[i];
	return NULL;
}
