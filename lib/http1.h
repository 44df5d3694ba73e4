/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The HTTP/1.1 syntax that both processes read (RFC 9110, RFC 9112): methods, known field names,
 * the field-section scanner with its SIMD paths, and the chunked coding. The dataplane's request
 * parser and control's response parser are made of these. Nothing here allocates, copies or keeps
 * state of its own; spans point into the caller's buffer. */
#ifndef LIB_HTTP1_H
#define LIB_HTTP1_H

#include "lib/base.h"
#include "lib/span.h"

enum http_method {
	HTTP_OTHER, /* a valid token that is none of these */
	HTTP_GET,
	HTTP_HEAD,
	HTTP_POST,
	HTTP_PUT,
	HTTP_DELETE,
	HTTP_OPTIONS,
	HTTP_PATCH,
	HTTP_TRACE,
	HTTP_CONNECT,
	/* Of extensions: RFC 4918, 3253, 5323, 3744, and QUERY, which is to become an RFC. */
	HTTP_PROPFIND,
	HTTP_REPORT,
	HTTP_SEARCH,
	HTTP_QUERY,
	HTTP_PROPPATCH,
	HTTP_MKCOL,
	HTTP_COPY,
	HTTP_MOVE,
	HTTP_LOCK,
	HTTP_UNLOCK,
	HTTP_ACL,
	HTTP_METHOD_COUNT
};

const char *http_method_name(enum http_method m);
/* Case-sensitive (RFC 9110 9.1); HTTP_OTHER when unknown. */
enum http_method http_method_parse(struct span name);
/* What a list of methods says by this word: bits (1 << enum http_method). "*" is every method,
 * known or not, but TRACE and CONNECT. Only the bit of HTTP_OTHER: no method of a name that is
 * known. */
uint32_t http_method_bits(struct span word);
#define HTTP_METHODS_SAFE                                                           \
	(1u << HTTP_GET | 1u << HTTP_HEAD | 1u << HTTP_OPTIONS | 1u << HTTP_TRACE | \
	 1u << HTTP_PROPFIND | 1u << HTTP_REPORT | 1u << HTTP_SEARCH | 1u << HTTP_QUERY)
/* RFC 9110 9.2.1, and IANA's register of methods. One that is not known is not safe. */
static inline bool http_method_safe(enum http_method m)
{
	return (HTTP_METHODS_SAFE >> m & 1) != 0;
}
/* The safe ones, PUT, DELETE (RFC 9110 9.2.2) and what the register calls so. */
bool http_method_idempotent(enum http_method m);
/* "OK" for 200 and so on; "Unknown" for a code without a registered phrase. */
const char *http_reason(unsigned status);

/* Field names with an id of their own; HDR_OTHER for the rest. */
enum http_hdr {
	HDR_OTHER,
#define HDR(id, name) HDR_##id,
#include "lib/http_hdr.def"
#undef HDR
	HDR_COUNT
};

/* Canonical spelling; "" for HDR_OTHER. */
const char *http_hdr_name(enum http_hdr id);
enum http_hdr http_hdr_lookup(struct span name);
/* Fields that a proxy never passes on as they are: those of one connection (RFC 9110 7.6.1, also
 * the older ones that it names) and those that frame a message. Fields that Connection lists come
 * on top: http_field_is_hop. */
bool http_hdr_is_hop(enum http_hdr id);

#define HTTP_MAX_FIELDS 100u

struct http_field {
	struct span name;
	struct span value; /* without surrounding white space */
	enum http_hdr id;
};

struct http_fields {
	uint64_t seen; /* bit 1 << id for each of f; set by http1_scan_fields, which is all that
	                  fills this */
	uint32_t count;
	struct http_field f[HTTP_MAX_FIELDS];
};

enum http_scan {
	HTTP_SCAN_DONE,
	HTTP_SCAN_PARTIAL, /* needs more bytes */
	HTTP_SCAN_BAD,     /* violates RFC 9112; answer 400, close */
	HTTP_SCAN_TOO_MANY /* more than HTTP_MAX_FIELDS fields */
};

/* Chooses the AVX2, SSE4.2 or scalar path by CPUID; called once at start. force may be "avx2",
 * "sse42" or "scalar" (tests, benchmarks), or NULL. Returns the name of the path in use, or NULL
 * when force names one that this CPU lacks. */
const char *http1_init(const char *force);

/* Finds the end of a head (CRLF CRLF) in buf[0, len). from: bytes known to hold no end, so that a
 * partial head is not scanned twice. Returns the head's length with the empty line, or 0. A head in
 * which LF follows no CR never ends here; http1_scan_fields then refuses it. */
size_t http1_head_end(const char *buf, size_t len, size_t from);

/* Reads a field section that begins at *pos (after the start line's CRLF) and ends with an empty
 * line; on DONE *pos is behind it. Refuses obs-fold, bare CR, bare LF, NUL and other control bytes,
 * an empty name, and white space before the colon (RFC 9112 5), also in a line that is not complete
 * yet. len may exceed the head. On PARTIAL *pos is where the first incomplete line begins; on every
 * result out holds the whole lines read before it. */
enum http_scan http1_scan_fields(const char *buf, size_t len, size_t *pos, struct http_fields *out);

static_assert(HDR_COUNT <= 64, "a set of field names is one word");

static inline uint64_t http_hdr_bit(enum http_hdr id)
{
	return 1ull << id;
}

/* Is there any field with this id? */
static inline bool http_fields_have(const struct http_fields *fs, enum http_hdr id)
{
	return (fs->seen & http_hdr_bit(id)) != 0;
}

/* The value of the field with this id if it occurs once, else an empty span; *count occurrences. */
struct span http_field_get(const struct http_fields *fs, enum http_hdr id, uint32_t *count);
/* Does a comma-separated list field contain this token (no case)? All occurrences are looked at. */
bool http_field_has_token(const struct http_fields *fs, enum http_hdr id, struct span token);

/* Is f, one of fs, for this connection only: by its name, or because Connection lists it? */
bool http_field_is_hop(const struct http_fields *fs, const struct http_field *f);

/* 1*DIGIT, no sign, no overflow past INT64_MAX. A list of equal values ("5, 5") is refused. */
bool http_parse_length(struct span value, int64_t *out);

/* Framing of a message body (RFC 9112 6). */
enum http_framing_kind {
	HTTP_BODY_NONE,
	HTTP_BODY_LENGTH,
	HTTP_BODY_CHUNKED,
	HTTP_BODY_CLOSE, /* responses only: until the connection closes */
	HTTP_BODY_BAD, /* two lengths, length with chunked, chunked not last, bad number: 400 or 502
	                */
	HTTP_BODY_UNKNOWN_CODING /* a transfer coding other than chunked: 501 */
};

struct http_framing {
	enum http_framing_kind kind;
	int64_t length; /* HTTP_BODY_LENGTH */
};

/* minor: 0 or 1, of the message's version; Transfer-Encoding in HTTP/1.0 is refused (RFC 9112 6.1).
 */
struct http_framing http1_request_framing(const struct http_fields *fs, unsigned minor);
struct http_framing http1_response_framing(const struct http_fields *fs, unsigned minor,
                                           enum http_method request_method, unsigned status);

/* Chunked coding, resumable (RFC 9112 7.1). Zero-initialise; feed bytes as they come. */
struct http_chunked {
	uint64_t left;      /* bytes of the current chunk still to come */
	uint32_t ext_bytes; /* extension and trailer bytes seen, against the limit */
	uint8_t state;
	uint8_t digits;
};

enum http_chunk {
	HTTP_CHUNK_DATA, /* *data is a run of body bytes; call again behind it */
	HTTP_CHUNK_MORE, /* all bytes used, not at the end */
	HTTP_CHUNK_END,  /* the last chunk and its trailer section were read */
	HTTP_CHUNK_BAD   /* a bad size, a missing CRLF, or too many extension or trailer bytes */
};

#define HTTP_CHUNK_EXT_MAX 8192u

/* Reads from buf[0, len); *used bytes were taken, among them those of *data. */
enum http_chunk http_chunked_read(struct http_chunked *c, const char *buf, size_t len, size_t *used,
                                  struct span *data);

/* A response head, for the control plane (origin answers) and for tests. */
struct http_response_head {
	unsigned status;
	unsigned minor;
	struct span reason;
	struct http_fields fields;
};

/* buf holds a response from its first byte. On DONE *head_len is the length with the empty line. */
enum http_scan http1_parse_response(const char *buf, size_t len, struct http_response_head *out,
                                    size_t *head_len);

#endif
