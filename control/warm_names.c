/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Apart from warm.c, since reports and their tests need no more of the warmer. */
#include "control/warm.h"

const char *warm_source_name(enum warm_source source)
{
	static const char *const names[WARM_SOURCES] = {
	        "", [WARM_LIST] = "list", [WARM_SAVED] = "saved", [WARM_PEER] = "peer"};

	return names[source];
}

static const char *const results[WARM_RESULTS][2] = {
#define WARM_RESULT(id, group, help) {#id, help},
#include "control/warm.def"
#undef WARM_RESULT
};

const char *warm_result_name(enum warm_result result)
{
	return results[result][0];
}

const char *warm_result_help(enum warm_result result)
{
	return results[result][1];
}
