/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Usage: test_pfsig docs/PF-SIG.md. The page shows these vectors, and the openssl command makes
 * the same. */
#include "lib/pfsig.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define POLICY_A "cdd01ef066bc6cf2cdd01ef066bc6cf2cdd01ef066bc6cf2cdd01ef066bc6cf2"
#define POLICY_0 "0000000000000000000000000000000000000000000000000000000000000000"
#define KEY_32   "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define KEY_64   KEY_32 KEY_32
/* Longer than SHA-256's block: hashed first (RFC 2104 2). */
#define KEY_65 KEY_64 "ff"
#define EMPTY  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static const struct {
	const char *key;
	const char *method;
	const char *target;
	const char *policy;
	const char *body;
	const char *value;
} vectors[] = {
        {KEY_32, "GET", "/v1/risks?page=1", POLICY_A, "",
         "pf-sig-v1:cdd01ef066bc6cf2cdd01ef066bc6cf2cdd01ef066bc6cf2cdd01ef066bc6cf2:"
         "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855:"
         "2acc172e0c95b68bba6ee2c92828287f696d02a499555d20cefcbccd3a719394"},
        {KEY_32, "POST", "/v1/receipts", POLICY_A, "{\"id\":\"1\"}",
         "pf-sig-v1:cdd01ef066bc6cf2cdd01ef066bc6cf2cdd01ef066bc6cf2cdd01ef066bc6cf2:"
         "5811967f540d300d249ab30ae681359a7815fdb5d3dc71a94be1d491006a6b27:"
         "593136d155832bfd0f8fd4942d7a8805ec30d0fd70523d8dafd687edaf0d7635"},
        {KEY_64, "GET", "/", POLICY_0, "",
         "pf-sig-v1:0000000000000000000000000000000000000000000000000000000000000000:"
         "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855:"
         "8f3700631dffd5a3dd5562bd9fd342510c777d670be1ee36b722daadb9d9a64c"},
        {KEY_65, "PUT", "/a", POLICY_0, "abc",
         "pf-sig-v1:0000000000000000000000000000000000000000000000000000000000000000:"
         "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad:"
         "cd061db69992ca40170e1421fc1f8a78ad92a28ececab8bcd462b3c5353957bf"},
        {"00", "DELETE", "*", POLICY_0, "",
         "pf-sig-v1:0000000000000000000000000000000000000000000000000000000000000000:"
         "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855:"
         "05c9c478b6c860d49e5dee6581c74632e0e313f634db2ca97fa318deb152c80b"},
};

static const char *page_path;

static struct pfsig_key *key_of(const char *hex)
{
	unsigned char bytes[128];
	size_t len = strlen(hex) / 2;

	for (size_t i = 0; i < len; i++)
		assert_int_equal(sscanf(hex + 2 * i, "%2hhx", &bytes[i]), 1);
	return pfsig_key_create(bytes, len);
}

static void sign(size_t i, char value[PFSIG_VALUE + 1], char *canonical, size_t room)
{
	struct pfsig_key *k = key_of(vectors[i].key);
	char body[PFSIG_HEX];
	const struct pfsig_request r = {
	        .method = span_cstr(vectors[i].method),
	        .target = span_cstr(vectors[i].target),
	        .policy = vectors[i].policy,
	        .body = body,
	};

	assert_non_null(k);
	pfsig_digest(k, span_cstr(vectors[i].body), body);
	pfsig_sign(k, &r, value);
	value[PFSIG_VALUE] = '\0';
	size_t len = pfsig_canonical(&r, canonical, room);
	assert_true(len < room);
	canonical[len] = '\0';
	pfsig_key_destroy(k);
}

static void vectors_hold(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		char value[PFSIG_VALUE + 1], canonical[512];

		sign(i, value, canonical, sizeof(canonical));
		assert_string_equal(value, vectors[i].value);
	}
}

static void a_signature_covers_all_that_it_should(void **state)
{
	struct pfsig_key *k = key_of(KEY_32);
	struct pfsig_request r = {SPAN_LIT("GET"), SPAN_LIT("/a"), POLICY_A, EMPTY};
	char mac[6][PFSIG_HEX];

	(void)state;
	pfsig_mac(k, &r, mac[0]);
	r.method = SPAN_LIT("GE");
	r.target = SPAN_LIT("T/a");
	pfsig_mac(k, &r, mac[1]);
	r.method = SPAN_LIT("GET");
	r.target = SPAN_LIT("/b");
	pfsig_mac(k, &r, mac[2]);
	r.target = SPAN_LIT("/a");
	r.policy = POLICY_0;
	pfsig_mac(k, &r, mac[3]);
	r.policy = POLICY_A;
	r.body = POLICY_0;
	pfsig_mac(k, &r, mac[4]);
	r.body = EMPTY;
	/* And the key is as it was. */
	pfsig_mac(k, &r, mac[5]);
	for (int i = 1; i < 5; i++)
		assert_memory_not_equal(mac[0], mac[i], PFSIG_HEX);
	assert_memory_equal(mac[0], mac[5], PFSIG_HEX);
	pfsig_key_destroy(k);
}

static void the_canonical_text_is_as_documented(void **state)
{
	const struct pfsig_request r = {SPAN_LIT("GET"), SPAN_LIT("/a"), POLICY_A, EMPTY};
	const char wants[] = "GET\n/a\n" POLICY_A "\n" EMPTY;
	char text[256];

	(void)state;
	(void)memset(text, '#', sizeof(text));
	assert_int_equal(pfsig_canonical(&r, text, sizeof(text)), sizeof(wants) - 1);
	assert_memory_equal(text, wants, sizeof(wants) - 1);
	assert_int_equal(text[sizeof(wants) - 1], '#');
	/* Cut to the room there is. */
	(void)memset(text, '#', sizeof(text));
	assert_int_equal(pfsig_canonical(&r, text, 5), sizeof(wants) - 1);
	assert_memory_equal(text, "GET\n/#", 6);
	assert_int_equal(pfsig_canonical(&r, NULL, 0), sizeof(wants) - 1);
}

/* One line of what a shell says. */
static void shell(const char *command, char line[256])
{
	FILE *p = popen(command, "r");

	assert_non_null(p);
	assert_non_null(fgets(line, 256, p));
	line[strcspn(line, "\n")] = '\0';
	assert_int_equal(pclose(p), 0);
}

static void openssl_makes_the_same(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		char value[PFSIG_VALUE + 1], canonical[512], command[1024], line[256];
		char wants[PFSIG_VALUE + 1], digest[256];

		sign(i, value, canonical, sizeof(canonical));
		(void)snprintf(command, sizeof(command),
		               "printf %%s '%s' | openssl dgst -sha256 -r | cut -d' ' -f1",
		               vectors[i].body);
		shell(command, digest);
		(void)snprintf(
		        command, sizeof(command),
		        "printf '%s\\n%s\\n%s\\n%s' | openssl dgst -sha256 -mac HMAC -macopt "
		        "hexkey:%s -r | cut -d' ' -f1",
		        vectors[i].method, vectors[i].target, vectors[i].policy, digest,
		        vectors[i].key);
		shell(command, line);
		(void)snprintf(wants, sizeof(wants), "pf-sig-v1:%.64s:%.64s:%.64s",
		               vectors[i].policy, digest, line);
		assert_string_equal(value, wants);
	}
}

static void the_page_shows_them(void **state)
{
	static char page[65536];
	FILE *f = fopen(page_path, "r");

	(void)state;
	assert_non_null(f);
	page[fread(page, 1, sizeof(page) - 1, f)] = '\0';
	(void)fclose(f);
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		assert_non_null(strstr(page, vectors[i].value));
		assert_non_null(strstr(page, vectors[i].key));
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(vectors_hold),
	        cmocka_unit_test(a_signature_covers_all_that_it_should),
	        cmocka_unit_test(the_canonical_text_is_as_documented),
	        cmocka_unit_test(openssl_makes_the_same),
	        cmocka_unit_test(the_page_shows_them),
	};

	page_path = argc > 1 ? argv[1] : "docs/PF-SIG.md";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
