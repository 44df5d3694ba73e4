/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/counters.h"

#define DROP_LABEL(reason) "reason=\"" reason "\""

const struct counter_info counter_infos[CTR_COUNT] = {
#define COUNTER(id, metric, labels, help) [CTR_##id] = {#id, metric, labels, help, COUNTER_EVENT},
#define DROP(id, reason, help) \
	[CTR_##id] = {#id, "sluice_drops_total", DROP_LABEL(reason), help, COUNTER_DROP},
#define SHED(id, reason, help) \
	[CTR_##id] = {#id, "sluice_shed_total", DROP_LABEL(reason), help, COUNTER_SHED},
#include "lib/counters.def"
#undef COUNTER
#undef DROP
#undef SHED
};
