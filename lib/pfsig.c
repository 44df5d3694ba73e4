/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/pfsig.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>

#define BLOCK_BYTES  64u /* of SHA-256 */
#define DIGEST_BYTES 32u
#define PIECES       7u

/* HMAC is two digests that begin with a block made of the key; both are kept as they stand behind
 * that block, so that a message costs a copy instead (RFC 2104 4). */
struct pfsig_key {
	EVP_MD *sha256;
	EVP_MD_CTX *inner;
	EVP_MD_CTX *outer;
	EVP_MD_CTX *work;
};

/* What OpenSSL is asked for here fails only without memory, which these contexts have already. */
static void must(int ok)
{
	if (unlikely(!ok))
		abort();
}

static void hex_write(const unsigned char bytes[DIGEST_BYTES], char hex[PFSIG_HEX])
{
	static const char digits[] = "0123456789abcdef";

	for (uint32_t i = 0; i < DIGEST_BYTES; i++) {
		hex[2 * i] = digits[bytes[i] >> 4];
		hex[2 * i + 1] = digits[bytes[i] & 15];
	}
}

static bool pads_prepare(struct pfsig_key *k, const unsigned char block[BLOCK_BYTES])
{
	unsigned char pad[2][BLOCK_BYTES];
	bool ok;

	for (uint32_t i = 0; i < BLOCK_BYTES; i++) {
		pad[0][i] = block[i] ^ 0x36;
		pad[1][i] = block[i] ^ 0x5c;
	}
	ok = EVP_DigestInit_ex2(k->inner, k->sha256, NULL) &&
	     EVP_DigestUpdate(k->inner, pad[0], BLOCK_BYTES) &&
	     EVP_DigestInit_ex2(k->outer, k->sha256, NULL) &&
	     EVP_DigestUpdate(k->outer, pad[1], BLOCK_BYTES) &&
	     EVP_MD_CTX_copy_ex(k->work, k->inner);
	OPENSSL_cleanse(pad, sizeof(pad));
	return ok;
}

struct pfsig_key *pfsig_key_create(const void *key, size_t len)
{
	struct pfsig_key *k = calloc(1, sizeof(*k));
	unsigned char block[BLOCK_BYTES] = {0};

	if (!k)
		return NULL;
	k->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	k->inner = EVP_MD_CTX_new();
	k->outer = EVP_MD_CTX_new();
	k->work = EVP_MD_CTX_new();
	if (!k->sha256 || !k->inner || !k->outer || !k->work)
		goto fail;
	if (len <= BLOCK_BYTES && len > 0)
		memcpy(block, key, len);
	else if (len > 0 && !EVP_Digest(key, len, block, NULL, k->sha256, NULL))
		goto fail;
	if (!pads_prepare(k, block))
		goto fail;
	OPENSSL_cleanse(block, sizeof(block));
	return k;
fail:
	OPENSSL_cleanse(block, sizeof(block));
	pfsig_key_destroy(k);
	return NULL;
}

void pfsig_key_destroy(struct pfsig_key *k)
{
	if (!k)
		return;
	EVP_MD_CTX_free(k->work);
	EVP_MD_CTX_free(k->outer);
	EVP_MD_CTX_free(k->inner);
	EVP_MD_free(k->sha256);
	free(k);
}

void pfsig_digest(struct pfsig_key *k, struct span body, char hex[PFSIG_HEX])
{
	unsigned char out[DIGEST_BYTES];

	must(EVP_DigestInit_ex2(k->work, k->sha256, NULL));
	must(EVP_DigestUpdate(k->work, body.ptr, body.len));
	must(EVP_DigestFinal_ex(k->work, out, NULL));
	hex_write(out, hex);
}

static void canonical_pieces(const struct pfsig_request *r, struct span out[PIECES])
{
	const struct span lf = SPAN_LIT("\n");
	const struct span all[PIECES] = {
	        r->method,
	        lf,
	        r->target,
	        lf,
	        span_of(r->policy, PFSIG_HEX),
	        lf,
	        span_of(r->body, PFSIG_HEX),
	};

	memcpy(out, all, sizeof(all));
}

size_t pfsig_canonical(const struct pfsig_request *r, char *to, size_t room)
{
	struct span pieces[PIECES];
	size_t len = 0;

	canonical_pieces(r, pieces);
	for (uint32_t i = 0; i < PIECES; i++) {
		size_t fits = len < room ? min_size(pieces[i].len, room - len) : 0;

		if (fits > 0)
			memcpy(to + len, pieces[i].ptr, fits);
		len += pieces[i].len;
	}
	return len;
}

void pfsig_mac(struct pfsig_key *k, const struct pfsig_request *r, char hex[PFSIG_HEX])
{
	unsigned char digest[DIGEST_BYTES];
	struct span pieces[PIECES];

	canonical_pieces(r, pieces);
	must(EVP_MD_CTX_copy_ex(k->work, k->inner));
	for (uint32_t i = 0; i < PIECES; i++)
		must(EVP_DigestUpdate(k->work, pieces[i].ptr, pieces[i].len));
	must(EVP_DigestFinal_ex(k->work, digest, NULL));
	must(EVP_MD_CTX_copy_ex(k->work, k->outer));
	must(EVP_DigestUpdate(k->work, digest, sizeof(digest)));
	must(EVP_DigestFinal_ex(k->work, digest, NULL));
	hex_write(digest, hex);
}

void pfsig_sign(struct pfsig_key *k, const struct pfsig_request *r, char value[PFSIG_VALUE])
{
	char *at = value;

	memcpy(at, "pf-sig-v1:", 10);
	at += 10;
	memcpy(at, r->policy, PFSIG_HEX);
	at += PFSIG_HEX;
	*at++ = ':';
	memcpy(at, r->body, PFSIG_HEX);
	at += PFSIG_HEX;
	*at++ = ':';
	pfsig_mac(k, r, at);
}
