/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/stages.h"

const struct stage_info stage_infos[STAGE_COUNT] = {
#define STAGE(id, item, help) [STAGE_##id] = {#id, item, help},
#include "lib/stages.def"
#undef STAGE
};

uint32_t stage_burst_least(uint32_t index)
{
	return 1u << index;
}

uint32_t stage_burst_most(uint32_t index)
{
	return index + 1 >= STAGE_BURSTS ? UINT32_MAX : (2u << index) - 1;
}
