/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The operator's door: a unix stream socket at config's admin.socket, on the control loop. A
 * request is a line {"cmd":"stats","args":{...}}, the answer a line {"ok":true,"result":...} or
 * {"ok":false,"error":"...","hint":"..."}; a connection may send many, and each is answered before
 * the next is read. The commands are commands.def.
 *
 * Called by main. All on the loop's thread. A client that is slow, silent or gone costs its own
 * connection only: every buffer, count and time has a bound, and nothing blocks. */
#ifndef CONTROL_ADMIN_ADMIN_SERVER_H
#define CONTROL_ADMIN_ADMIN_SERVER_H

#include "control/control.h"

struct admin;

/* Makes the socket (mode 0660) and its directory. A stale socket file is replaced; one that
 * somebody listens on gives ST_EXISTS. Logs why it failed. */
enum status admin_start(struct control *ctl, struct admin **out);
/* Closes every connection and removes the socket file; the loop must not be running. Answers that
 * are still awaited from other modules may come later and are dropped. */
void admin_stop(struct admin *admin);

#endif
