/* SPDX-License-Identifier: BSD-2-Clause */
#include <arpa/inet.h>

#include "dataplane/net/net.h"

bool ip_addr_parse(const char *text, struct ip_addr *out)
{
	struct ip_addr a = {{0}};

	if (inet_pton(AF_INET, text, &a.b[12]) == 1) {
		a.b[10] = 0xff;
		a.b[11] = 0xff;
	} else if (inet_pton(AF_INET6, text, a.b) != 1) {
		return false;
	}
	*out = a;
	return true;
}

const char *ip_addr_text(const struct ip_addr *a, char out[IP_ADDR_TEXT])
{
	const char *text;

	if (ip_addr_is_v4(a))
		text = inet_ntop(AF_INET, &a->b[12], out, IP_ADDR_TEXT);
	else
		text = inet_ntop(AF_INET6, a->b, out, IP_ADDR_TEXT);
	assert(text != NULL);
	return text;
}
