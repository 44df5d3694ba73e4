/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Methods, reason phrases and field names. */
#include "lib/http1.h"
#include "lib/http1_scan.h"

static const char *const method_names[HTTP_METHOD_COUNT] = {
        [HTTP_OTHER] = "OTHER",     [HTTP_GET] = "GET",           [HTTP_HEAD] = "HEAD",
        [HTTP_POST] = "POST",       [HTTP_PUT] = "PUT",           [HTTP_DELETE] = "DELETE",
        [HTTP_PATCH] = "PATCH",     [HTTP_OPTIONS] = "OPTIONS",   [HTTP_TRACE] = "TRACE",
        [HTTP_CONNECT] = "CONNECT", [HTTP_PROPFIND] = "PROPFIND", [HTTP_REPORT] = "REPORT",
        [HTTP_SEARCH] = "SEARCH",   [HTTP_QUERY] = "QUERY",       [HTTP_PROPPATCH] = "PROPPATCH",
        [HTTP_MKCOL] = "MKCOL",     [HTTP_COPY] = "COPY",         [HTTP_MOVE] = "MOVE",
        [HTTP_LOCK] = "LOCK",       [HTTP_UNLOCK] = "UNLOCK",     [HTTP_ACL] = "ACL",
};

const char *http_method_name(enum http_method m)
{
	return (unsigned)m < HTTP_METHOD_COUNT ? method_names[m] : method_names[HTTP_OTHER];
}

static inline enum http_method method_if(struct span name, struct span want, enum http_method m)
{
	return span_eq(name, want) ? m : HTTP_OTHER;
}

static NOINLINE enum http_method method_extension(struct span name)
{
	for (unsigned m = HTTP_PROPFIND; m < HTTP_METHOD_COUNT; m++)
		if (span_eq(name, span_cstr(method_names[m])))
			return (enum http_method)m;
	return HTTP_OTHER;
}

static inline enum http_method method_usual(struct span name)
{
	/* The first letter decides, save for those with P. */
	switch (name.ptr[0]) {
	case 'G':
		return method_if(name, SPAN_LIT("GET"), HTTP_GET);
	case 'H':
		return method_if(name, SPAN_LIT("HEAD"), HTTP_HEAD);
	case 'D':
		return method_if(name, SPAN_LIT("DELETE"), HTTP_DELETE);
	case 'O':
		return method_if(name, SPAN_LIT("OPTIONS"), HTTP_OPTIONS);
	case 'T':
		return method_if(name, SPAN_LIT("TRACE"), HTTP_TRACE);
	case 'C':
		return method_if(name, SPAN_LIT("CONNECT"), HTTP_CONNECT);
	case 'P':
		break;
	default:
		return HTTP_OTHER;
	}
	switch (name.ptr[1]) {
	case 'O':
		return method_if(name, SPAN_LIT("POST"), HTTP_POST);
	case 'U':
		return method_if(name, SPAN_LIT("PUT"), HTTP_PUT);
	default:
		return method_if(name, SPAN_LIT("PATCH"), HTTP_PATCH);
	}
}

enum http_method http_method_parse(struct span name)
{
	enum http_method m = name.len < 3 ? HTTP_OTHER : method_usual(name);

	return likely(m != HTTP_OTHER) ? m : method_extension(name);
}

uint32_t http_method_bits(struct span word)
{
	const uint32_t never = 1u << HTTP_TRACE | 1u << HTTP_CONNECT;

	if (span_eq(word, SPAN_LIT("*")))
		return ((1u << HTTP_METHOD_COUNT) - 1) & ~never;
	return 1u << http_method_parse(word);
}

bool http_method_idempotent(enum http_method m)
{
	const uint32_t more = 1u << HTTP_PUT | 1u << HTTP_DELETE | 1u << HTTP_PROPPATCH |
	                      1u << HTTP_MKCOL | 1u << HTTP_COPY | 1u << HTTP_MOVE |
	                      1u << HTTP_UNLOCK | 1u << HTTP_ACL;

	return ((HTTP_METHODS_SAFE | more) >> m & 1) != 0;
}

/* The registered phrases, by class; the index is the rest of the code. */
static const char *const reasons_1xx[] = {"Continue", "Switching Protocols", "Processing",
                                          "Early Hints"};
static const char *const reasons_2xx[] = {
        "OK",
        "Created",
        "Accepted",
        "Non-Authoritative Information",
        "No Content",
        "Reset Content",
        "Partial Content",
        "Multi-Status",
        "Already Reported",
        [26] = "IM Used",
};
static const char *const reasons_3xx[] = {
        "Multiple Choices",   "Moved Permanently", "Found", "See Other",
        "Not Modified",       "Use Proxy",         NULL,    "Temporary Redirect",
        "Permanent Redirect",
};
static const char *const reasons_4xx[] = {
        "Bad Request",
        "Unauthorized",
        "Payment Required",
        "Forbidden",
        "Not Found",
        "Method Not Allowed",
        "Not Acceptable",
        "Proxy Authentication Required",
        "Request Timeout",
        "Conflict",
        "Gone",
        "Length Required",
        "Precondition Failed",
        "Content Too Large",
        "URI Too Long",
        "Unsupported Media Type",
        "Range Not Satisfiable",
        "Expectation Failed",
        [21] = "Misdirected Request",
        [22] = "Unprocessable Content",
        [23] = "Locked",
        [24] = "Failed Dependency",
        [25] = "Too Early",
        [26] = "Upgrade Required",
        [28] = "Precondition Required",
        [29] = "Too Many Requests",
        [31] = "Request Header Fields Too Large",
        [51] = "Unavailable For Legal Reasons",
};
static const char *const reasons_5xx[] = {
        "Internal Server Error",
        "Not Implemented",
        "Bad Gateway",
        "Service Unavailable",
        "Gateway Timeout",
        "HTTP Version Not Supported",
        "Variant Also Negotiates",
        "Insufficient Storage",
        "Loop Detected",
        [11] = "Network Authentication Required",
};

static const struct {
	const char *const *phrases;
	size_t count;
} reasons[] = {
        [1] = {reasons_1xx, ARRAY_LEN(reasons_1xx)}, [2] = {reasons_2xx, ARRAY_LEN(reasons_2xx)},
        [3] = {reasons_3xx, ARRAY_LEN(reasons_3xx)}, [4] = {reasons_4xx, ARRAY_LEN(reasons_4xx)},
        [5] = {reasons_5xx, ARRAY_LEN(reasons_5xx)},
};

const char *http_reason(unsigned status)
{
	unsigned class = status / 100;
	unsigned rest = status % 100;
	const char *phrase = NULL;

	if (class < ARRAY_LEN(reasons) && rest < reasons[class].count)
		phrase = reasons[class].phrases[rest];
	return phrase != NULL ? phrase : "Unknown";
}

/* Field names, each padded with zeros so that whole words can be compared. */
#define HDR_NAME_ROOM 24u

static const struct hdr_name {
	char text[HDR_NAME_ROOM];
	uint8_t len;
} ALIGNED(32) hdr_names[HDR_COUNT] = {
#define HDR(id, name) [HDR_##id] = {name, sizeof(name) - 1},
#include "lib/http_hdr.def"
#undef HDR
};

#define HDR(id, name)                                                         \
	static_assert(sizeof(name) - 1 >= 2 && sizeof(name) <= HDR_NAME_ROOM, \
	              "field names of 2 to 23 letters");
#include "lib/http_hdr.def"
#undef HDR

/* Open addressing, at most one sixth full: a lookup mostly ends at its first slot. Filled once by
 * http1_init and read only after that; 0 (HDR_OTHER) marks a free slot. Before http1_init all slots
 * are free and the names are compared one by one. */
#define HDR_SLOTS 256u
static_assert(HDR_COUNT < HDR_SLOTS / 4 && HDR_COUNT < UINT8_MAX, "slots stay sparse");

static uint8_t hdr_slots[HDR_SLOTS];
static bool hdr_slots_filled;

static inline unsigned hdr_hash(const char *name, size_t len)
{
	/* The same for both cases of a letter: bit 5 is set before mixing. */
	unsigned first = (unsigned char)name[0] | 0x20u;
	unsigned mid = (unsigned char)name[len / 2] | 0x20u;
	unsigned last = (unsigned char)name[len - 1] | 0x20u;
	unsigned mix = (unsigned)len * 0x9e3779b1u + first * 0x85ebca6bu + mid * 0xc2b2ae35u +
	               last * 0x27d4eb2fu;

	return mix >> 24;
}

static_assert(HDR_SLOTS == 256, "hdr_hash gives 8 bits");

void http1_names_init(void)
{
	if (hdr_slots_filled)
		return;
	for (unsigned id = HDR_OTHER + 1; id < HDR_COUNT; id++) {
		unsigned at = hdr_hash(hdr_names[id].text, hdr_names[id].len);

		while (hdr_slots[at] != HDR_OTHER)
			at = (at + 1) % HDR_SLOTS;
		hdr_slots[at] = (uint8_t)id;
	}
	hdr_slots_filled = true;
}

static inline uint64_t load_u64(const char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint32_t load_u32(const char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* Bits in which a differs from the name's bytes, case of letters left out. Known names are made of
 * letters and '-'; only letters have bit 6, which moved to bit 5 gives the bits to leave out. */
static inline uint64_t case_diff(uint64_t a, uint64_t name)
{
	return (a ^ name) & ~((name & 0x4040404040404040ull) >> 1);
}

static bool hdr_equal(const struct hdr_name *h, struct span name)
{
	const char *a = name.ptr;
	const char *b = h->text;
	size_t len = name.len;

	if (h->len != len)
		return false;
	if (len >= 8) {
		uint64_t diff = case_diff(load_u64(a), load_u64(b)) |
		                case_diff(load_u64(a + len - 8), load_u64(b + len - 8));

		if (len > 16)
			diff |= case_diff(load_u64(a + 8), load_u64(b + 8));
		return diff == 0;
	}
	if (len >= 4)
		return (case_diff(load_u32(a), load_u32(b)) |
		        case_diff(load_u32(a + len - 4), load_u32(b + len - 4))) == 0;
	return span_eq_nocase(name, span_of(b, len));
}

static_assert(HDR_NAME_ROOM <= 24, "three words cover a name");

const char *http_hdr_name(enum http_hdr id)
{
	return (unsigned)id < HDR_COUNT ? hdr_names[id].text : "";
}

static NOINLINE enum http_hdr hdr_lookup_slow(struct span name)
{
	for (unsigned id = HDR_OTHER + 1; id < HDR_COUNT; id++)
		if (hdr_equal(&hdr_names[id], name))
			return (enum http_hdr)id;
	return HDR_OTHER;
}

enum http_hdr http_hdr_lookup(struct span name)
{
	if (unlikely(name.len < 2 || name.len >= HDR_NAME_ROOM))
		return HDR_OTHER;
	if (unlikely(!hdr_slots_filled))
		return hdr_lookup_slow(name);
	for (unsigned at = hdr_hash(name.ptr, name.len);; at = (at + 1) % HDR_SLOTS) {
		unsigned id = hdr_slots[at];

		if (id == HDR_OTHER || hdr_equal(&hdr_names[id], name))
			return (enum http_hdr)id;
	}
}
