/* SPDX-License-Identifier: BSD-2-Clause */
#include <fcntl.h>
#include <unistd.h>

#include "lib/hash.h"
#include "perf/load/dpdk_port.h"

/* One 128-bit id in hexadecimal, made by the kernel when it starts. */
static const char boot_id_path[] = "/proc/sys/kernel/random/boot_id";

enum { BOOT_ID_CHARS = 36 };

bool load_boot_seed(uint8_t out[TCP_SEED_BYTES])
{
	uint64_t word[TCP_SEED_BYTES / sizeof(uint64_t)];
	char id[BOOT_ID_CHARS];
	int fd = open(boot_id_path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, id, sizeof(id));

	if (fd >= 0)
		close(fd);
	if (n != BOOT_ID_CHARS) {
		random_bytes(out, TCP_SEED_BYTES);
		return false;
	}
	for (uint64_t i = 0; i < ARRAY_LEN(word); i++) {
		const uint64_t key[2] = {i, 0};

		word[i] = siphash24(id, sizeof(id), key);
	}
	memcpy(out, word, sizeof(word));
	return true;
}
