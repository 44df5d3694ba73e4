/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/shm.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define HUGE_BYTES (2ul << 20)

static enum status status_of_errno(int err)
{
	switch (err) {
	case ENOMEM:
	case ENOSPC:
		return ST_NOMEM;
	case EPERM:
	case EACCES:
		return ST_DENIED;
	case EINVAL:
		return ST_INVALID;
	default:
		return ST_IO;
	}
}

static size_t page_bytes(bool huge)
{
	return huge ? HUGE_BYTES : (size_t)sysconf(_SC_PAGESIZE);
}

/* 0 when size is 0 or does not fit. */
static size_t round_size(size_t size, bool huge)
{
	size_t page = page_bytes(huge);

	if (size == 0 || size > (SIZE_MAX >> 1) - page)
		return 0;
	return align_up(size, page);
}

static enum status anon_try(struct shm *out, size_t size, bool huge)
{
	size_t bytes = round_size(size, huge);
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | (huge ? MAP_HUGETLB : 0);

	if (bytes == 0)
		return ST_INVALID;
	void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (base == MAP_FAILED)
		return status_of_errno(errno);
	/* A reservation does not bind a memory cgroup: its limit would show as SIGBUS at first
	 * touch. */
	if (huge && madvise(base, bytes, MADV_POPULATE_WRITE) != 0) {
		enum status st = status_of_errno(errno);
		munmap(base, bytes);
		return st;
	}
	*out = (struct shm){.base = base, .size = bytes, .fd = -1, .huge = huge};
	return ST_OK;
}

enum status shm_anon(struct shm *out, size_t size, bool want_huge)
{
	if (want_huge && anon_try(out, size, true) == ST_OK)
		return ST_OK;
	enum status st = anon_try(out, size, false);
	/* Next best, and only a hint: transparent huge pages. */
	if (st == ST_OK && want_huge)
		(void)madvise(out->base, out->size, MADV_HUGEPAGE);
	return st;
}

enum status shm_steady(struct shm *out, size_t size, bool want_huge)
{
	if (want_huge && anon_try(out, size, true) == ST_OK)
		return ST_OK;
	enum status st = anon_try(out, size, false);
	/* A kernel without transparent huge pages refuses, and does as asked. */
	if (st == ST_OK)
		(void)madvise(out->base, out->size, MADV_NOHUGEPAGE);
	return st;
}

static enum status create_try(struct shm *out, const char *name, size_t size, bool huge)
{
	const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING | (huge ? MFD_HUGETLB : 0);
	size_t bytes = round_size(size, huge);
	enum status st;

	if (bytes == 0)
		return ST_INVALID;
	int fd = memfd_create(name, flags);
	if (fd < 0)
		return status_of_errno(errno);
	if (ftruncate(fd, (off_t)bytes) != 0)
		goto fail;
	/* Take the huge pages now: one that is missing at first touch would be a SIGBUS. */
	if (huge && fallocate(fd, 0, 0, (off_t)bytes) != 0)
		goto fail;
	/* F_SEAL_SEAL: nobody who gets the descriptor can seal it against writing. */
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
		goto fail;
	void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED)
		goto fail;
	*out = (struct shm){.base = base, .size = bytes, .fd = fd, .huge = huge};
	return ST_OK;
fail:
	st = status_of_errno(errno);
	close(fd);
	return st;
}

enum status shm_create(struct shm *out, const char *name, size_t size, bool want_huge)
{
	if (want_huge && create_try(out, name, size, true) == ST_OK)
		return ST_OK;
	return create_try(out, name, size, false);
}

enum status shm_map(struct shm *out, int fd, size_t size)
{
	enum status st = ST_CORRUPT;
	struct stat sb;

	int seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & F_SEAL_SHRINK) == 0)
		goto fail; /* also what is no memfd at all */
	if (fstat(fd, &sb) != 0 || sb.st_size <= 0)
		goto fail;
	bool huge = (size_t)sb.st_blksize == HUGE_BYTES;
	size_t bytes = round_size(size, huge);
	if (bytes == 0 || size > (size_t)sb.st_size)
		goto fail;
	/* Sealed against writing (a snapshot): then it is for reading. */
	bool writable = (seals & F_SEAL_WRITE) == 0;
	void *base = mmap(NULL, bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ,
	                  writable ? MAP_SHARED : MAP_PRIVATE, fd, 0);
	if (base == MAP_FAILED) {
		st = status_of_errno(errno);
		goto fail;
	}
	*out = (struct shm){.base = base, .size = bytes, .fd = fd, .huge = huge};
	return ST_OK;
fail:
	if (fd >= 0)
		close(fd);
	return st;
}

void shm_close(struct shm *shm)
{
	if (shm->base != NULL)
		munmap(shm->base, shm->size);
	if (shm->fd >= 0)
		close(shm->fd);
	*shm = (struct shm){.fd = -1};
}

void shm_touch(void *from, size_t bytes)
{
	uintptr_t page = page_bytes(false);
	uintptr_t begin = (uintptr_t)from & ~(page - 1);

	(void)madvise((void *)begin, (uintptr_t)from + bytes - begin, MADV_POPULATE_WRITE);
}
