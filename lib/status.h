/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Results of functions that can fail for reasons outside the program. The list is status.def. */
#ifndef LIB_STATUS_H
#define LIB_STATUS_H

enum status {
#define STATUS(id, text) ST_##id,
#include "lib/status.def"
#undef STATUS
};

/* A short text for people; never NULL. */
const char *status_text(enum status st);

#endif
