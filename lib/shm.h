/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Large memory at start: anonymous (private to the process) or a memfd that another process maps.
 * Huge pages when asked for and there are some, else ordinary pages; says which it got. */
#ifndef LIB_SHM_H
#define LIB_SHM_H

#include "lib/base.h"
#include "lib/status.h"

struct shm {
	void *base;
	size_t size; /* bytes, rounded up to the page size in use */
	int fd;      /* -1 when anonymous */
	bool huge;   /* on 2 MiB pages */
};

/* Private memory, zeroed, touched lazily. */
enum status shm_anon(struct shm *out, size_t size, bool want_huge);
/* The same for memory that is touched bit by bit and must not stop whoever does it: on huge pages
 * only when all of them are there now, and then zeroed now; else on ordinary ones, a thousandth of
 * a millisecond each, whatever the system's rule for transparent huge pages (which are zeroed at
 * first touch, two megabytes at once). */
enum status shm_steady(struct shm *out, size_t size, bool want_huge);
/* A memfd named name, sealed against shrinking and growing, mapped shared. */
enum status shm_create(struct shm *out, const char *name, size_t size, bool want_huge);
/* Maps a descriptor that another process sent. Takes fd over, also on failure. Refuses one that is
 * not sealed against shrinking, because its owner could make every access a SIGBUS. */
enum status shm_map(struct shm *out, int fd, size_t size);
void shm_close(struct shm *shm);
/* Has the pages of [from, from + bytes) there before they are used; changes nothing in them, so
 * that another thread may be using some of them. Where the kernel cannot, first use does it. */
void shm_touch(void *from, size_t bytes);

#endif
