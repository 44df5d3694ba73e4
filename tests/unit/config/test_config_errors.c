/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Every error says where, what is wrong and what would be right. */
#include "lib/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#define GOOD_LINES 9

static const char *const good[GOOD_LINES] = {
        "listeners:",
        "  - address: 192.0.2.10",
        "ports:",
        "  - interface: eth1",
        "upstreams:",
        "  - name: api",
        "    addresses: [\"127.0.0.1:8080\"]",
        "routes:",
        "  - upstream: api",
};

struct bad {
	unsigned line; /* replaced by text; past the end: appended */
	const char *text;
	const char *error; /* the whole message behind the file's name, or its beginning */
};

#define L2  "  - address: 192.0.2.10\n    "
#define L4  "  - interface: eth1\n    "
#define L7  "    addresses: [\"127.0.0.1:8080\"]\n    "
#define L9  "  - upstream: api\n    "
#define END 10

static const struct bad syntax[] = {
        {1, "", "3:1: not valid YAML: "},
        {2, "\t- address: 192.0.2.10", "2:1: not valid YAML: "},
        {7, "    addresses: [\"127.0.0.1:8080\"", "8:1: not valid YAML: "},
        {2, "  - address: &a 192.0.2.10", "2:14: anchors and tags have no use here"},
        {2, "  - address: *a", "2:14: aliases have no use here"},
        {2, "  - address: !ip 192.0.2.10", "2:14: anchors and tags have no use here"},
        {1, "listeners: &l", "1:12: anchors and tags have no use here"},
        {2, L2 "address: 192.0.2.11", "3:5: key 'address' is here twice; it stands in line 2"},
        {END, "routes: []", "10:1: key 'routes' is here twice; it stands in line 8"},
        {END, "---\nnode: b", "10:1: a second document; the file holds one"},
        {END, "? [a]\n: b", "10:3: a key must be a plain word"},
        {END, "node: \"a\\0b\"", "10:7: a NUL byte in a text"},
        {END, "tcp: [[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]", "10:21: nested too deeply"},
        {END, "node: \"\xff\"", "10:8: not valid YAML: "},
};

static const struct bad shape[] = {
        {2, L2 "prot: 80", "3:5: unknown key 'prot' in listeners[0]; did you mean 'port'?"},
        {4, L4 "core: [1]", "5:5: unknown key 'core' in ports[0]; did you mean 'cores'?"},
        {END, "limit: {}", "10:1: unknown key 'limit' in the file; did you mean 'limits'?"},
        {END, "limits:\n  head_byte: 1",
         "11:3: unknown key 'head_byte' in limits; did you mean "
         "'head_bytes'?"},
        {END, "timeouts:\n  hdea_ms: 1",
         "11:3: unknown key 'hdea_ms' in timeouts; did you mean "
         "'head_ms'?"},
        {END, "zzz: 1", "10:1: unknown key 'zzz' in the file; known are node, run_dir, "},
        {9, L9 "cache: {tls: 3}",
         "10:13: unknown key 'tls' in routes[0].cache; known are mode, ttl_s"},
        {2, "  - port: 80",
         "2:5: listeners[0] has no 'address'; add it, for example: address: "
         "192.0.2.10"},
        {6, "  - profile: staging", "6:5: upstreams[0] has no 'name'; add it"},
        {7, "", "6:5: upstreams[0] has no 'addresses'; add a list"},
        {9, "  - path: /", "9:5: routes[0] has no 'upstream'; add it"},
        {2, "  - 192.0.2.10", "2:5: listeners[0] is a single value; it must be a mapping"},
        {2, "", "1:11: listeners is empty; it must be a list of mappings"},
        {2, "  address: 192.0.2.10", "2:3: listeners is a mapping; it must be a list of mappings"},
        {END, "limits: 5", "10:9: limits is a single value; it must be a mapping"},
        {END, "limits:", "10:8: limits is empty; it must be a mapping"},
        {END, "limits: []", "10:9: limits is a list; it must be a mapping"},
        {END, "node: [a]", "10:7: node is a list; it must be a text"},
        {END, "node:", "10:6: node is empty; it must be a text"},
        {7, "    addresses: 127.0.0.1:8080",
         "7:16: upstreams[0].addresses is a single value; it "
         "must be a list"},
        {7, "    addresses: []", "7:16: upstreams[0].addresses has 0 items; it must have from 1 "},
        {7, "    addresses: [[a]]", "7:17: upstreams[0].addresses[0] is a list; it must be a text"},
        {4, L4 "cores: []", "5:12: ports[0].cores has 0 items; it must have from 1 to 64"},
};

static const struct bad values[] = {
        {2, L2 "port: 0",
         "3:11: listeners[0].port is '0'; it must be a whole number from 1 to "
         "65535"},
        {2, L2 "port: 65536", "3:11: listeners[0].port is '65536'; it must be"},
        {2, L2 "port: -1", "3:11: listeners[0].port is '-1'; it must be"},
        {2, L2 "port: 010", "3:11: listeners[0].port is '010'; it must be"},
        {2, L2 "port: 0x50", "3:11: listeners[0].port is '0x50'; it must be"},
        {2, L2 "port: 8e1", "3:11: listeners[0].port is '8e1'; it must be"},
        {2, L2 "port: http", "3:11: listeners[0].port is 'http'; it must be"},
        {2, L2 "port:", "3:10: listeners[0].port is empty; it must be a whole number"},
        {2, L2 "port: [80]", "3:11: listeners[0].port is a list; it must be a whole number"},
        {2, L2 "port: 99999999999999999999", "3:11: listeners[0].port is '99999999999999999999'"},
        {END, "memory: {hot_table_bytes: 64MiB}",
         "10:27: memory.hot_table_bytes is '64MiB'; it must be a whole number from 1048576 to "
         "60129542144 bytes"},
        {END, "memory: {hot_table_bytes: 60129542145}",
         "10:27: memory.hot_table_bytes is '60129542145'; it must be"},
        {END, "memory:\n  channel_ring_entries: 131072",
         "11:25: memory.channel_ring_entries is '131072'; it must be a power of two from 64 to "
         "65536"},
        {END, "memory:\n  channel_ring_entries: 5000",
         "11:25: memory.channel_ring_entries is '5000'; it must be a power of two from 64"},
        {END, "memory:\n  up_block_bytes: 12288",
         "11:19: memory.up_block_bytes is '12288'; it must be a power of two from 8192"},
        {4, L4 "rx_descriptors: 1000",
         "5:21: ports[0].rx_descriptors is '1000'; it must be a power "},
        {4, L4 "cores: [1, x]",
         "5:16: ports[0].cores[1] is 'x'; it must be a whole number from 0 "},
        {4, L4 "cores: [1024]", "5:13: ports[0].cores[0] is '1024'; it must be a whole number"},
        {4, L4 "type: afxdp", "5:11: ports[0].type is 'afxdp'; did you mean 'af_xdp'?"},
        {4, L4 "type: dpdk", "5:11: ports[0].type is 'dpdk'; it must be one of af_xdp, memif, "},
        {END, "idle: sleepy", "10:7: idle is 'sleepy'; it must be one of busy, adaptive"},
        {END, "log_level: warning", "10:12: log_level is 'warning'; it must be one of error, warn"},
        {END, "log_level: inof", "10:12: log_level is 'inof'; did you mean 'info'?"},
        {END, "memory: {huge_pages: yes}",
         "10:22: memory.huge_pages is 'yes'; it must be one of "
         "auto, on, off"},
        {END, "memory: {huge_pages: }",
         "10:22: memory.huge_pages is empty; it must be one of auto"},
        {7, L7 "profile: prod", "8:14: upstreams[0].profile is 'prod'; it must be one of "},
        {9, L9 "compress: {encodings: [deflate]}",
         "10:28: routes[0].compress.encodings[0] 'deflate' is no coding that Sluice makes; write br, "
         "zstd or gzip"},
        {9, L9 "compress: {encodings: [br, gzip, br]}",
         "10:38: routes[0].compress.encodings[2] 'br' is in the list twice; remove one"},
        {9, L9 "compress: {types: [text]}",
         "10:24: routes[0].compress.types[0] 'text' is no media type; write it as text/html or "
         "text/*, in lower case and without parameters"},
        {9, L9 "compress: {types: [text/HTML]}", "10:24: routes[0].compress.types[0] 'text/HTML' is"},
        {9, L9 "compress: {types: [\"text/html;q=1\"]}", "10:24: routes[0].compress.types[0] 'text"},
        {9, L9 "compress: {types: [/html]}", "10:24: routes[0].compress.types[0] '/html' is no"},
        {9, L9 "compress: {min_bytes: 4096, max_bytes: 2048}",
         "10:27: routes[0].compress.min_bytes is 4096, above max_bytes, which is 2048; nothing"},
        {9, L9 "compress: {gzip_level: 10}", "10:28: routes[0].compress.gzip_level is '10'; it must"},
        {9, L9 "compress: {encoding: [br]}",
         "10:16: unknown key 'encoding' in routes[0].compress; did you mean 'encodings'?"},
        {9, L9 "cache: {mode: on}", "10:19: routes[0].cache.mode is 'on'; it must be one of off"},
        {END, "limits: {fields: 101}",
         "10:18: limits.fields is '101'; it must be a whole number "
         "from 8 to 100"},
        {END, "tcp: {delayed_ack_ms: 500}", "10:23: tcp.delayed_ack_ms is '500'; it must be"},
};

static const struct bad rules[] = {
        {2, "  - address: 192.0.2",
         "2:14: listeners[0].address '192.0.2' is no IP address; write "},
        {2, "  - address: 192.0.2.0/24", "2:14: listeners[0].address '192.0.2.0/24' is no IP "},
        {2, "  - address: 0.0.0.0", "2:14: listeners[0].address '0.0.0.0' stands for every "},
        {2, "  - address: \"::\"", "2:14: listeners[0].address '::' stands for every address"},
        {2, "  - address: 127.0.0.1", "2:14: listeners[0].address '127.0.0.1' is a loopback "},
        {2, "  - address: \"::1\"", "2:14: listeners[0].address '::1' is a loopback address"},
        {2, "  - address: 224.0.0.1", "2:14: listeners[0].address '224.0.0.1' is a multicast"},
        {2, "  - address: ff02::1", "2:14: listeners[0].address 'ff02::1' is a multicast"},
        {2, "  - address: ::ffff:1.2.3.4",
         "2:14: listeners[0].address '::ffff:1.2.3.4' is an "
         "IPv4-mapped address; write it as IPv4"},
        {2, "  - address: 192.0.2.10\n  - address: 192.0.2.10",
         "3:14: listeners[1] is the same as listeners[0]; remove one"},
        {2, "  - address: 2001:db8::1\n  - address: 2001:DB8:0::1",
         "3:14: listeners[1] is the same as listeners[0]"},
        {4, "  - type: af_xdp",
         "4:5: ports[0] has no 'interface'; add it, for example: interface: "
         "eth1"},
        {4, "  - type: memif", "4:5: ports[0] has no 'device'; add it, for example: device: /run"},
        {4, "  - type: pci", "4:5: ports[0] has no 'device'; add it, for example: device: 0000:3b"},
        {4, L4 "type: pci",
         "4:5: ports[0] is named by 'device', given its type; remove "
         "'interface'"},
        {4, L4 "device: /x", "5:5: ports[0] is named by 'interface', given its type; remove "},
        {4, "  - interface: \"eth1,x=1\"", "4:16: ports[0].interface 'eth1,x=1' is no name of an "},
        {4, "  - interface: aninterfacename0",
         "4:16: ports[0].interface 'aninterfacename0' is no "},
        {4, "  - type: memif\n    device: memif.sock",
         "5:13: ports[0].device 'memif.sock' is no "
         "absolute path"},
        {4, "  - type: pci\n    device: 0000/3b",
         "5:13: ports[0].device '0000/3b' is no PCI address"},
        {4, L4 "role: server", "5:5: ports[0].role is for memif only; remove it"},
        {4, "  - {type: memif, device: /m, role: boss}", "4:37: ports[0].role 'boss' is neither "},
        {4, L4 "mtu: 1000", "5:10: ports[0].mtu is 1000; it must be 0 or at least 1280"},
        {4, "  - interface: eth1\n  - interface: eth1",
         "5:16: ports[1].interface 'eth1' is used by "},
        {4, L4 "cores: [1, 2, 1]",
         "5:19: ports[0].cores: CPU 1 polls queue 0 of ports[0] already; "
         "each queue needs its own"},
        {4, "  - {interface: a, cores: [3]}\n  - {interface: b, cores: [2, 3]}",
         "5:31: ports[1].cores: CPU 3 polls queue 0 of ports[0] already"},
        {4, "  - {interface: a}\n  - {interface: b}", "5:5: ports[1].cores: CPU "},
        {END, "memory:\n  packet_buffers: 8191",
         "11:19: memory.packet_buffers is 8191, too few for the descriptors of ports[0]; at least "
         "8192"},
        {4,
         "  - {type: memif, device: /m, rx_descriptors: 2048, tx_descriptors: 2048}\nmemory: "
         "{packet_buffers: 4607}",
         "5:26: memory.packet_buffers is 4607, too few for the descriptors of ports[0]; at least "
         "4608"},
        {END, "limits:\n  head_bytes: 12289",
         "11:15: limits.head_bytes is 12289; it must be at most memory.up_block_bytes - 4096, "
         "which "
         "is 12288"},
        {END, "limits:\n  response_head_bytes: 13313",
         "11:24: limits.response_head_bytes is 13313; it must be at most memory.down_block_bytes - "
         "3072, which is 13312"},
        {END, "limits: {target_bytes: 9000}",
         "10:24: limits.target_bytes is 9000; it must be at "
         "most limits.head_bytes, which is 8192"},
        {END, "memory: {hot_table_bytes: 1048576}\nlimits: {object_bytes: 262145}",
         "11:24: limits.object_bytes is 262145; it must be at most a quarter of "},
        {END, "memory: {store_bytes: 1048575}",
         "10:23: memory.store_bytes is 1048575; it must be at least 1048576, or 0 for none"},
        {END, "memory: {store_bytes: 1048576}\nlimits: {store_object_bytes: 262145}",
         "11:30: limits.store_object_bytes is 262145; it must be at most a quarter of "},
        {END, "tcp: {min_rto_ms: 2000, max_rto_ms: 1000}",
         "10:19: tcp.min_rto_ms is 2000; it must "
         "be at most tcp.max_rto_ms"},
        {END, "timeouts: {miss_ms: 1000, miss_grace_ms: 1001}",
         "10:42: timeouts.miss_grace_ms is 1001; it must be at most timeouts.miss_ms"},
        {END, "node: a b", "10:7: node 'a b' is no name for a node; write up to 64"},
        {END, "run_dir: run", "10:10: run_dir 'run' is no absolute path"},
        {END, "admin: {socket: a.sock}", "10:17: admin.socket 'a.sock' is no absolute path"},
        {END, "admin: {metrics_address: localhost}",
         "10:26: admin.metrics_address 'localhost' is "
         "no IP address"},
};

static const struct bad tiers[] = {
        {END, "cache: {l3: {backend: memcached}}",
         "10:23: cache.l3.backend is 'memcached'; it must be one of none, memory, redis"},
        {END, "cache: {l3: {backend: redis}}",
         "10:13: cache.l3 has no 'addresses'; add them, for example: addresses: [\"127.0"},
        {END, "cache: {l3: {addresses: [\"a:1\", \"b:1\"]}}",
         "10:25: cache.l3.addresses has 2; without 'cluster: on' there is one server"},
        {END, "cache: {l3: {addresses: [\"redis\"]}}",
         "10:26: cache.l3.addresses[0] 'redis' has no port; write "},
        {END, "cache: {l3: {addresses: [run/redis.sock]}}",
         "10:26: cache.l3.addresses[0] 'run/redis.sock' is no absolute path"},
        {END, "cache: {l3: {prefix: a b}}",
         "10:22: cache.l3.prefix 'a b' is no prefix; write 1 to"},
        {END, "cache: {l3: {prefix: \"{a}\"}}", "10:22: cache.l3.prefix '{a}' is no prefix"},
        {END, "cache: {l3: {user: a}}", "10:20: cache.l3.user needs a password; add "},
        {END, "cache: {warm: {on_start: maybe}}",
         "10:26: cache.warm.on_start is 'maybe'; it must be one of off, on"},
        {END, "cache: {warm: {rate_per_s: 0}}", "10:28: cache.warm.rate_per_s is '0'; it must be"},
        {END, "cache: {warm: {file: hot-list}}",
         "10:22: cache.warm.file 'hot-list' is no absolute path of a file; write "},
        {END, "cache: {warm: {file: /var/}}", "10:22: cache.warm.file '/var/' is no absolute"},
        {END, "cache: {warm: {peers: [\"http://a:1\", \"a:1\"]}}",
         "10:38: cache.warm.peers[1] 'a:1' is no address of a peer; write for "},
        {END, "cache: {warm: {peers: [\"http://a\"]}}",
         "10:24: cache.warm.peers[0] 'http://a' is no address of a peer"},
        {END, "cache: {l3: {password_file: a}}",
         "10:29: cache.l3.password_file 'a' is no absolute path"},
        {END, "cache: {l3: {timeout_ms: 0}}",
         "10:26: cache.l3.timeout_ms is '0'; it must be a whole number from 1 to 60000"},
};

static const struct bad upstreams[] = {
        {6, "  - name: a b", "6:11: upstreams[0].name 'a b' is no name of an upstream"},
        {5, "upstreams:\n  - {name: api, addresses: [\"a:1\"]}",
         "7:11: upstreams[1] has the name 'api' of upstreams[0]; each needs its own"},
        {7, "    addresses: [origin]",
         "7:17: upstreams[0].addresses[0] 'origin' has no port; write "},
        {7, "    addresses: [\"a:1\", \"a:1\"]",
         "7:24: upstreams[0].addresses[1] 'a:1' is in the "},
        {7, "    addresses: [\"a:0\"]",
         "7:17: upstreams[0].addresses[0] 'a:0' has no port from 1 "},
        {7, "    addresses: [\"a:65536\"]",
         "7:17: upstreams[0].addresses[0] 'a:65536' has no port"},
        {7, "    addresses: [\"a:8x\"]", "7:17: upstreams[0].addresses[0] 'a:8x' has no port"},
        {7, "    addresses: [\"2001:db8::1:80\"]",
         "7:17: upstreams[0].addresses[0] "
         "'2001:db8::1:80' has several ':'"},
        {7, "    addresses: [\"[2001:db8::1]\"]",
         "7:17: upstreams[0].addresses[0] '[2001:db8::1]' "
         "has no port"},
        {7, "    addresses: [\"[fe80::1%eth0]:1\"]",
         "7:17: upstreams[0].addresses[0] "
         "'[fe80::1%eth0]:1' has no IPv6 address"},
        {7, "    addresses: [\"[::1:1\"]", "7:17: upstreams[0].addresses[0] '[::1:1' has no IPv6"},
        {7, "    addresses: [\":80\"]", "7:17: upstreams[0].addresses[0] ':80' has no valid host"},
        {7, "    addresses: [\"a..b:80\"]",
         "7:17: upstreams[0].addresses[0] 'a..b:80' has no valid"},
        {7, "    addresses: [\"http://a:80\"]",
         "7:17: upstreams[0].addresses[0] 'http://a:80' has "},
        {7, "    addresses: [\"1.2.3.256:80\"]",
         "7:17: upstreams[0].addresses[0] '1.2.3.256:80' "
         "has no valid IPv4 address"},
        {7, L7 "max_idle: 101",
         "8:15: upstreams[0].max_idle is 101; it must be at most "
         "max_connections, which is 100"},
        {7, L7 "host_header: \"a\\r\\nb\"", "8:18: upstreams[0].host_header 'a??b' is no host"},
};

static const struct bad routes[] = {
        {9, "  - upstream: apy",
         "9:15: routes[0].upstream is 'apy', which is no upstream; did you "
         "mean 'api'?"},
        {9, "  - upstream: other",
         "9:15: routes[0].upstream is 'other', which is no upstream; the "
         "first one is named 'api'"},
        {9, L9 "host: \"a.*\"", "10:11: routes[0].host 'a.*' has a '*' in the wrong place"},
        {9, L9 "host: \"a:80\"",
         "10:11: routes[0].host 'a:80' has a ':'; routes choose by the name"},
        {9, L9 "host: a_b..c", "10:11: routes[0].host 'a_b..c' is no host name"},
        {9, L9 "host: a.", "10:11: routes[0].host 'a.' is no host name"},
        {9, L9 "path: v1", "10:11: routes[0].path 'v1' does not begin with '/'"},
        {9, L9 "path: /a*", "10:11: routes[0].path '/a*' has a '*' inside of a segment"},
        {9, L9 "path: /*/a", "10:11: routes[0].path '/*/a' has a '*' before its end"},
        {9, L9 "path: /a{b}", "10:11: routes[0].path '/a{b}' has a brace inside of a segment"},
        {9, L9 "path: \"/{}\"", "10:11: routes[0].path '/{}' has a parameter that is no {name}"},
        {9, L9 "path: \"/{a}b\"",
         "10:11: routes[0].path '/{a}b' has a parameter that is no {name}"},
        {9, L9 "path: \"/{a}/{a}\"",
         "10:11: routes[0].path '/{a}/{a}' has one parameter name "
         "twice"},
        {9, L9 "path: \"/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}/{l}/{m}/{n}/{o}/{p}/{q}\"",
         "10:11: routes[0].path '/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}/{l}/{m}/{n}/{o}' has "
         "more than 16 parameters"},
        {9, L9 "path: /a?b", "10:11: routes[0].path '/a?b' has a query or a fragment"},
        {9, L9 "path: /a b", "10:11: routes[0].path '/a b' has a byte that no path has"},
        {9, L9 "path: /a/../b", "10:11: routes[0].path '/a/../b' has a dot segment"},
        {9,
         L9 "path: "
            "//////////////////////////////////////////////////////////////////",
         "10:11: routes[0].path '////////////////////////////////////////////////////////////' has "
         "more than 64 segments"},
        {9, L9 "methods: [GET, TRACE]",
         "10:20: routes[0].methods[1] 'TRACE' is not served: it "
         "would echo credentials"},
        {9, L9 "methods: [CONNECT]",
         "10:15: routes[0].methods[0] 'CONNECT' is not served: Sluice "},
        {9, L9 "methods: [get]", "10:15: routes[0].methods[0] 'get' is not a method"},
        {9, L9 "methods: [GET, \"*\"]", "10:20: routes[0].methods[1] '*' is in the list twice"},
        {9, L9 "methods: [M-SEARCH]", "10:15: routes[0].methods[0] 'M-SEARCH' is not a method"},
        {9, L9 "methods: [PROPFIND, GET, QUERY, PROPFIND]",
         "10:37: routes[0].methods[3] 'PROPFIND' is in the list twice"},
        {9, L9 "methods: [GET, GET]", "10:20: routes[0].methods[1] 'GET' is in the list twice"},
        {9, L9 "methods: [GET]\n    cache: {write_through: always}",
         "11:13: routes[0].cache.write_through is for PUT, PATCH and POST, which the route"},
        {9, L9 "cache: {mode: off, write_through: \"on\"}",
         "10:24: routes[0].cache.write_through stands beside mode 'off'; remove one"},
        {9, L9 "cache: {mode: ttl}", "10:12: routes[0].cache has mode 'ttl' and no lifetime; add "},
        {9, L9 "cache: {mode: ttl, ttl_s: 0}", "10:31: routes[0].cache has mode 'ttl' and no "},
        {9, L9 "cache: {ttl_s: 5}", "10:13: routes[0].cache.ttl_s is for mode 'ttl' only; remove"},
        {9, L9 "path: \"/{a}\"\n  - upstream: api\n    path: \"/{b}\"",
         "11:5: routes[1] can never be used: routes[0] takes the same host, path and methods"},
        {9, "  - {upstream: api, methods: [GET]}\n  - {upstream: api, methods: [HEAD]}",
         "10:5: routes[1] can never be used"},
        {9, "  - {upstream: api, host: a.b}\n  - {upstream: api, host: A.b}",
         "10:5: routes[1] can never be used"},
};

static void compose(char *out, size_t room, const struct bad *bad)
{
	size_t used = 0;

	for (unsigned i = 0; i < GOOD_LINES; i++)
		used += (size_t)snprintf(out + used, room - used, "%s\n",
		                         bad && bad->line == i + 1 ? bad->text : good[i]);
	if (bad && bad->line > GOOD_LINES)
		(void)snprintf(out + used, room - used, "%s\n", bad->text);
}

static void check_all(const struct bad *cases, size_t count)
{
	static const char name[] = "edge.yaml:";
	char text[2048];
	unsigned wrong = 0;

	for (size_t i = 0; i < count; i++) {
		struct config_error err;
		struct config *cfg = NULL;

		compose(text, sizeof(text), &cases[i]);
		if (config_parse(text, strlen(text), "edge.yaml", &cfg, &err) == ST_OK) {
			print_error("accepted: %s\n", cases[i].text);
			wrong++;
		} else if (strncmp(err.text, name, strlen(name)) != 0 ||
		           strncmp(err.text + strlen(name), cases[i].error,
		                   strlen(cases[i].error)) != 0) {
			print_error("for: %s\n  is: %s\n  not: %s%s\n", cases[i].text, err.text,
			            name, cases[i].error);
			wrong++;
		}
		config_free(cfg);
	}
	assert_int_equal(wrong, 0);
}

#define CHECK(table)                                \
	static void test_##table(void **state)      \
	{                                           \
		(void)state;                        \
		check_all(table, ARRAY_LEN(table)); \
	}
CHECK(syntax)
CHECK(shape)
CHECK(values)
CHECK(rules)
CHECK(tiers)
CHECK(upstreams)
CHECK(routes)

/* The cases prove nothing if what they are made of is refused. */
static void test_good(void **state)
{
	struct config_error err;
	struct config *cfg;
	char text[2048];

	(void)state;
	compose(text, sizeof(text), NULL);
	assert_int_equal(config_parse(text, strlen(text), "edge.yaml", &cfg, &err), ST_OK);
	config_free(cfg);
}

static void test_empty(void **state)
{
	static const char *const texts[] = {"", "\n", "# nothing\n"};
	struct config_error err;
	struct config *cfg;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		assert_int_equal(config_parse(texts[i], strlen(texts[i]), "e", &cfg, &err),
		                 ST_INVALID);
		assert_null(cfg);
		assert_string_equal(err.text,
		                    "e:1:1: the file is empty; it needs listeners, ports, "
		                    "upstreams and routes");
	}
	assert_int_equal(config_parse("{}", 2, "e", &cfg, &err), ST_INVALID);
	assert_string_equal(
	        err.text, "e:1:1: the file has no 'listeners'; add a list with at least one item");
}

static void test_files(void **state)
{
	struct config_error err;
	struct config *cfg;
	char *big = calloc(1, (1u << 20) + 1);

	(void)state;
	assert_int_equal(config_load("/nonexistent.yaml", &cfg, &err), ST_NOTFOUND);
	assert_string_equal(err.text, "/nonexistent.yaml:1:1: cannot be read: No such file or "
	                              "directory");
	assert_int_equal(config_load("/", &cfg, &err), ST_IO);
	assert_null(cfg);
	assert_non_null(big);
	memset(big, '#', (1u << 20) + 1);
	assert_int_equal(config_parse(big, (1u << 20) + 1, "big", &cfg, &err), ST_TOOBIG);
	assert_string_equal(err.text, "big:1:1: the file has 1048577 bytes; at most 1048576");
	free(big);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_good),      cmocka_unit_test(test_syntax),
	        cmocka_unit_test(test_shape),     cmocka_unit_test(test_values),
	        cmocka_unit_test(test_rules),     cmocka_unit_test(test_tiers),
	        cmocka_unit_test(test_upstreams), cmocka_unit_test(test_routes),
	        cmocka_unit_test(test_empty),     cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
