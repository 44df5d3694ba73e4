/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/cidr.h"

#include <arpa/inet.h>
#include <stdlib.h>

static bool bits_parse(const char *text, unsigned most, unsigned *out)
{
	char *end;

	if (*text < '0' || *text > '9' || strlen(text) > 3)
		return false;
	*out = (unsigned)strtoul(text, &end, 10);
	return *end == '\0' && *out <= most;
}

static bool bit(const uint8_t addr[16], unsigned i)
{
	return addr[i / 8] >> (7 - i % 8) & 1;
}

bool cidr_parse(const char *text, struct cidr *out)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	const char *slash = strchr(text, '/');
	char addr[INET6_ADDRSTRLEN];
	size_t len = slash != NULL ? (size_t)(slash - text) : strlen(text);
	unsigned bits, before = 0;

	if (len >= sizeof(addr))
		return false;
	memcpy(addr, text, len);
	addr[len] = '\0';
	if (inet_pton(AF_INET, addr, out->addr + 12) == 1) {
		memcpy(out->addr, mapped, sizeof(mapped));
		before = 96;
	} else if (inet_pton(AF_INET6, addr, out->addr) != 1) {
		return false;
	}
	bits = 128 - before;
	if (slash != NULL && !bits_parse(slash + 1, 128 - before, &bits))
		return false;
	out->bits = (uint8_t)(before + bits);
	for (unsigned i = out->bits; i < 128; i++)
		if (bit(out->addr, i))
			return false;
	return true;
}

bool cidr_has(const struct cidr *c, const uint8_t addr[16])
{
	for (unsigned i = 0; i < c->bits; i++)
		if (bit(c->addr, i) != bit(addr, i))
			return false;
	return true;
}
