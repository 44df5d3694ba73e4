/* SPDX-License-Identifier: BSD-2-Clause
 *
 * PF-Sig, the signature of a request:
 *
 *     PF-Sig: pf-sig-v1:POLICY:BODY:MAC
 *
 * each of the three 64 lower-case hex digits: the hash of the policy that the request is made
 * under, SHA-256 of the body as sent (of no bytes when there is none), and HMAC-SHA256 (RFC 2104,
 * FIPS 180-4) with the policy's key over the canonical text
 *
 *     METHOD LF TARGET LF POLICY LF BODY
 *
 * without a final LF; method and target are the bytes of the request line. Neither can hold an LF,
 * so no two requests have the same text. docs/PF-SIG.md has examples.
 *
 * For whoever signs (the load tool) and whoever verifies. It reads no header and knows no policy;
 * OpenSSL is used in pfsig.c only. */
#ifndef LIB_PFSIG_H
#define LIB_PFSIG_H

#include "lib/base.h"
#include "lib/span.h"

#define PFSIG_HEX   64u /* digits of a hash */
#define PFSIG_VALUE (10u + 3u * PFSIG_HEX + 2u)
#define PFSIG_NAME  "PF-Sig"

/* A key made ready, with room to work in: for one thread. */
struct pfsig_key;

struct pfsig_request {
	struct span method;
	struct span target;
	const char *policy; /* PFSIG_HEX digits */
	const char *body;
};

/* NULL: no memory, or no SHA-256 in this OpenSSL. len: any, 32 and more are wise (RFC 2104 3). */
struct pfsig_key *pfsig_key_create(const void *key, size_t len);
/* Wipes it. */
void pfsig_key_destroy(struct pfsig_key *k);

/* SHA-256 in hex; no NUL is written. */
void pfsig_digest(struct pfsig_key *k, struct span body, char hex[PFSIG_HEX]);
/* HMAC-SHA256 of the canonical text. */
void pfsig_mac(struct pfsig_key *k, const struct pfsig_request *r, char hex[PFSIG_HEX]);
/* The field's value, PFSIG_VALUE bytes. */
void pfsig_sign(struct pfsig_key *k, const struct pfsig_request *r, char value[PFSIG_VALUE]);
/* The canonical text into room bytes; returns its length, of which no more than room is written. */
size_t pfsig_canonical(const struct pfsig_request *r, char *to, size_t room);

#endif
