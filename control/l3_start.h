/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Makes the shared store (cache/l3.h) as the configuration says: its section, and the password from
 * its file. Called once by main.c; a reload does not change the store. */
#ifndef CONTROL_L3_START_H
#define CONTROL_L3_START_H

#include "cache/l3.h"
#include "lib/config.h"

/* What is wrong is logged, with the file or address and the remedy. The configuration may go
 * afterwards. */
enum status l3_start(const struct config *cfg, struct loop *loop, struct l3 **out);

#endif
