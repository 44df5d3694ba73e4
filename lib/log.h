/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Lines for the operator on standard error: time, level, module, text. For start, stop, reload and
 * rare events; never called on the way of a request. Thread-safe: one write(2) a line. */
#ifndef LIB_LOG_H
#define LIB_LOG_H

#include "lib/base.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level);
/* "error", "warn", "info" or "debug"; false when the name is none of these. */
bool log_level_parse(const char *name, enum log_level *out);
void log_line(enum log_level level, const char *module, const char *fmt, ...) PRINTF(3, 4);

#define log_error(module, ...) log_line(LOG_ERROR, module, __VA_ARGS__)
#define log_warn(module, ...)  log_line(LOG_WARN, module, __VA_ARGS__)
#define log_info(module, ...)  log_line(LOG_INFO, module, __VA_ARGS__)
#define log_debug(module, ...) log_line(LOG_DEBUG, module, __VA_ARGS__)

#endif
