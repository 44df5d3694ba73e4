/* SPDX-License-Identifier: BSD-2-Clause */
#include "perf/load/address.h"
#include "perf/load/url.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const struct {
	const char *text;
	const char *host; /* NULL: refused */
	uint16_t port;
	const char *authority;
	const char *target;
} urls[] = {
        {"http://h", "h", 80, "h", "/"},
        {"http://h/", "h", 80, "h", "/"},
        {"http://h:80/a", "h", 80, "h", "/a"},
        {"http://h:8080/a/b?c=d#e", "h", 8080, "h:8080", "/a/b?c=d"},
        {"http://127.0.0.1:1", "127.0.0.1", 1, "127.0.0.1:1", "/"},
        {"http://[::1]:65535/x", "::1", 65535, "[::1]:65535", "/x"},
        {"http://[::1]", "::1", 80, "[::1]", "/"},
        {"http://h/{key}", "h", 80, "h", "/{key}"},
        {"http://h#frag", "h", 80, "h", "/"},
        {"https://h/", NULL, 0, NULL, NULL},
        {"h/", NULL, 0, NULL, NULL},
        {"", NULL, 0, NULL, NULL},
        {"http://", NULL, 0, NULL, NULL},
        {"http:///x", NULL, 0, NULL, NULL},
        {"http://:80/", NULL, 0, NULL, NULL},
        {"http://h:/", NULL, 0, NULL, NULL},
        {"http://h:0/", NULL, 0, NULL, NULL},
        {"http://h:65536/", NULL, 0, NULL, NULL},
        {"http://h:8x/", NULL, 0, NULL, NULL},
        {"http://h?q", NULL, 0, NULL, NULL},
        {"http://u@h/", NULL, 0, NULL, NULL},
        {"http://[::1/", NULL, 0, NULL, NULL},
        {"http://[]/", NULL, 0, NULL, NULL},
        {"http://[::1]x/", NULL, 0, NULL, NULL},
};

static void text_is(struct span s, const char *text)
{
	assert_int_equal(s.len, strlen(text));
	assert_memory_equal(s.ptr, text, s.len);
}

static void parsing(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
		struct url u;
		const char *wrong = url_parse(urls[i].text, &u);

		if ((wrong == NULL) != (urls[i].host != NULL))
			fail_msg("%s: %s", urls[i].text, wrong != NULL ? wrong : "taken");
		if (wrong != NULL)
			continue;
		text_is(u.host, urls[i].host);
		text_is(u.authority, urls[i].authority);
		text_is(u.target, urls[i].target);
		assert_int_equal(u.port, urls[i].port);
	}
}

static const struct {
	const char *text;
	int family;
	uint32_t count; /* 0: refused */
	const char *last;
} ranges[] = {
        {"127.0.0.1", AF_INET, 1, "127.0.0.1"},
        {"127.0.0.2-127.0.0.9", AF_INET, 8, "127.0.0.9"},
        {"10.0.0.250-10.0.1.5", AF_INET, 12, "10.0.1.5"},
        {"fd00::1-fd00::10", AF_INET6, 16, "fd00::10"},
        {"127.0.0.9-127.0.0.2", AF_INET, 0, NULL},
        {"10.0.0.1-10.1.0.1", AF_INET, 0, NULL},
        {"fd00::1-fd01::1", AF_INET6, 0, NULL},
        {"fd00::1", AF_INET, 0, NULL},
        {"127.0.0.1", AF_INET6, 0, NULL},
        {"localhost", AF_INET, 0, NULL},
        {"", AF_INET, 0, NULL},
        {"127.0.0.1-", AF_INET, 0, NULL},
};

static void address_ranges(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
		struct address_range r;
		char err[TRANSPORT_ERR] = "";
		char text[INET6_ADDRSTRLEN];
		struct address a;
		enum status st = address_range_parse(&r, ranges[i].text, ranges[i].family, err);

		if ((st == ST_OK) != (ranges[i].count > 0))
			fail_msg("%s", ranges[i].text);
		if (st != ST_OK) {
			assert_string_not_equal(err, "");
			continue;
		}
		assert_int_equal(r.count, ranges[i].count);
		address_range_get(&r, r.count - 1, &a);
		const void *bytes =
		        ranges[i].family == AF_INET6
		                ? (const void *)&((struct sockaddr_in6 *)&a.ss)->sin6_addr
		                : (const void *)&((struct sockaddr_in *)&a.ss)->sin_addr;
		assert_non_null(inet_ntop(ranges[i].family, bytes, text, sizeof(text)));
		assert_string_equal(text, ranges[i].last);
	}
}

static void resolving(void **state)
{
	struct address a;
	char err[TRANSPORT_ERR] = "";

	(void)state;
	assert_int_equal(address_resolve(&a, "127.0.0.1", 81, err), ST_OK);
	assert_int_equal(a.ss.ss_family, AF_INET);
	assert_int_equal(ntohs(((struct sockaddr_in *)&a.ss)->sin_port), 81);
	assert_int_equal(address_resolve(&a, "::1", 82, err), ST_OK);
	assert_int_equal(a.ss.ss_family, AF_INET6);
	assert_int_equal(address_resolve(&a, "no such host", 80, err), ST_NOTFOUND);
	assert_string_not_equal(err, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(parsing),
	        cmocka_unit_test(address_ranges),
	        cmocka_unit_test(resolving),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
