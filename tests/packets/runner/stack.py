"""libsluice_tcp.so by ctypes: the few calls of sluice_tcp.h that the runner uses."""

import ctypes
import errno
import os
import socket
import struct
import subprocess

FRAME_MAX = 9100


class StackError(Exception):
    """The library refused: a wrong flag, or a name that it does not know."""


def sockaddr(address, port):
    if ":" in address:
        return struct.pack("=HHI16sI", socket.AF_INET6, socket.htons(port), 0,
                           socket.inet_pton(socket.AF_INET6, address), 0)
    return struct.pack("=HH4s8x", socket.AF_INET, socket.htons(port),
                       socket.inet_pton(socket.AF_INET, address))


class Library:
    def __init__(self, path):
        lib = ctypes.CDLL(path, use_errno=True)
        p, i, s = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
        self.lib = lib
        lib.sluice_tcp_create.restype = p
        lib.sluice_tcp_create.argtypes = [ctypes.c_char_p, ctypes.c_char_p, s]
        lib.sluice_tcp_free.argtypes = [p]
        lib.sluice_tcp_free.restype = None
        lib.sluice_tcp_now_ns.restype = ctypes.c_int64
        lib.sluice_tcp_now_ns.argtypes = [p]
        lib.sluice_tcp_run_until.argtypes = [p, ctypes.c_int64]
        lib.sluice_tcp_frame_send.argtypes = [p, ctypes.c_char_p, s]
        lib.sluice_tcp_frame_receive.argtypes = [p, p, p, p]
        lib.sluice_tcp_state.argtypes = [p, i, ctypes.c_char_p, p]
        lib.sluice_tcp_state_name.restype = ctypes.c_char_p
        lib.sluice_tcp_state_name.argtypes = [ctypes.c_uint]
        lib.sluice_tcp_counter.argtypes = [p, ctypes.c_char_p, p]
        lib.sluice_tcp_socket.argtypes = [p, i, i, i]
        lib.sluice_tcp_bind.argtypes = [p, i, p, ctypes.c_uint]
        lib.sluice_tcp_listen.argtypes = [p, i, i]
        lib.sluice_tcp_accept.argtypes = [p, i, p, p]
        lib.sluice_tcp_connect.argtypes = [p, i, p, ctypes.c_uint]
        lib.sluice_tcp_recv.argtypes = [p, i, p, s, i]
        lib.sluice_tcp_recv.restype = ctypes.c_ssize_t
        lib.sluice_tcp_send.argtypes = [p, i, p, s, i]
        lib.sluice_tcp_send.restype = ctypes.c_ssize_t
        lib.sluice_tcp_sendto.argtypes = [p, i, p, s, i, p, ctypes.c_uint]
        lib.sluice_tcp_sendto.restype = ctypes.c_ssize_t
        lib.sluice_tcp_shutdown.argtypes = [p, i, i]
        lib.sluice_tcp_close.argtypes = [p, i]
        lib.sluice_tcp_fcntl.argtypes = [p, i, i]
        lib.sluice_tcp_ioctl.argtypes = [p, i, ctypes.c_ulong, p]
        lib.sluice_tcp_getsockopt.argtypes = [p, i, i, i, p, p]
        lib.sluice_tcp_setsockopt.argtypes = [p, i, i, i, p, ctypes.c_uint]
        lib.sluice_tcp_poll.argtypes = [p, p, ctypes.c_ulong, i]
        self.state_names = []
        while (name := lib.sluice_tcp_state_name(len(self.state_names))) is not None:
            self.state_names.append(name.decode())


class Stack:
    """One stack of the library. Socket calls return (result, errno name or None)."""

    def __init__(self, stack_so, flags):
        why = ctypes.create_string_buffer(256)
        self.lib = stack_so.lib
        self.stack_so = stack_so
        self.st = self.lib.sluice_tcp_create(flags.encode(), why, len(why))
        if not self.st:
            raise StackError(why.value.decode())
        self.buf = ctypes.create_string_buffer(FRAME_MAX)
        self.start_ns = self.lib.sluice_tcp_now_ns(self.st)

    def free(self):
        self.lib.sluice_tcp_free(self.st)
        self.st = None

    # --- time and frames; times are seconds since the stack was made -----------------------------
    def now(self):
        return (self.lib.sluice_tcp_now_ns(self.st) - self.start_ns) / 1e9

    def run_until(self, t):
        """True when a frame waits; time then stands where it was sent, else at t."""
        return self.lib.sluice_tcp_run_until(self.st, self.start_ns + round(t * 1e9)) == 1

    def send_frame(self, frame):
        return self.lib.sluice_tcp_frame_send(self.st, frame, len(frame)) == 0

    def receive_frame(self):
        """(time, bytes) of the next frame that was sent, or None."""
        count = ctypes.c_size_t(FRAME_MAX)
        at = ctypes.c_int64(0)
        self.lib.sluice_tcp_frame_receive(self.st, self.buf, ctypes.byref(count), ctypes.byref(at))
        if count.value == 0:
            return None
        return (at.value - self.start_ns) / 1e9, self.buf.raw[:count.value]

    def state(self, fd, name):
        out = ctypes.c_int64(0)
        if self.lib.sluice_tcp_state(self.st, fd, name.encode(), ctypes.byref(out)) != 0:
            raise StackError(f"no such field of a connection, or no such descriptor: {fd} {name}")
        return out.value

    def counter(self, name):
        out = ctypes.c_int64(0)
        if self.lib.sluice_tcp_counter(self.st, name.encode(), ctypes.byref(out)) != 0:
            raise StackError(f"no such counter: {name}")
        return out.value

    # --- socket calls ------------------------------------------------------------------------------
    @staticmethod
    def _result(r):
        return (r, None) if r >= 0 else (r, errno.errorcode.get(ctypes.get_errno(), "?"))

    def socket(self, v6, kind, protocol):
        family = socket.AF_INET6 if v6 else socket.AF_INET
        return self._result(self.lib.sluice_tcp_socket(self.st, family, kind, protocol))

    def bind(self, fd, address, port):
        a = sockaddr(address, port)
        return self._result(self.lib.sluice_tcp_bind(self.st, fd, a, len(a)))

    def connect(self, fd, address, port):
        a = sockaddr(address, port)
        return self._result(self.lib.sluice_tcp_connect(self.st, fd, a, len(a)))

    def listen(self, fd, backlog):
        return self._result(self.lib.sluice_tcp_listen(self.st, fd, backlog))

    def accept(self, fd):
        """(result, errno name, the peer's port)"""
        addr, size = ctypes.create_string_buffer(28), ctypes.c_uint(28)
        r, e = self._result(self.lib.sluice_tcp_accept(self.st, fd, addr, ctypes.byref(size)))
        return r, e, struct.unpack("!H", addr.raw[2:4])[0]

    def recv(self, fd, count, flags):
        buf = ctypes.create_string_buffer(max(count, 1))
        r, e = self._result(self.lib.sluice_tcp_recv(self.st, fd, buf, count, flags))
        return r, e, buf.raw[:max(r, 0)]

    def send(self, fd, data, flags):
        return self._result(self.lib.sluice_tcp_send(self.st, fd, data, len(data), flags))

    def sendto(self, fd, data, flags, address, port):
        a = sockaddr(address, port)
        return self._result(self.lib.sluice_tcp_sendto(self.st, fd, data, len(data), flags, a,
                                                       len(a)))

    def shutdown(self, fd, how):
        return self._result(self.lib.sluice_tcp_shutdown(self.st, fd, how))

    def close(self, fd):
        return self._result(self.lib.sluice_tcp_close(self.st, fd))

    def fcntl(self, fd, cmd, arg):
        return self._result(self.lib.sluice_tcp_fcntl(self.st, fd, cmd, ctypes.c_int(arg)))

    def ioctl(self, fd, request):
        out = ctypes.c_int(0)
        r, e = self._result(self.lib.sluice_tcp_ioctl(self.st, fd, request, ctypes.byref(out)))
        return r, e, out.value

    def getsockopt(self, fd, level, name, room):
        buf = ctypes.create_string_buffer(room)
        size = ctypes.c_uint(room)
        r, e = self._result(self.lib.sluice_tcp_getsockopt(self.st, fd, level, name, buf,
                                                           ctypes.byref(size)))
        return r, e, buf.raw[:size.value]

    def setsockopt(self, fd, level, name, value):
        return self._result(self.lib.sluice_tcp_setsockopt(self.st, fd, level, name, value,
                                                           len(value)))

    def poll(self, fd, events):
        """(result, errno name, revents) without waiting."""
        entry = ctypes.create_string_buffer(struct.pack("=ihh", fd, events, 0))
        r, e = self._result(self.lib.sluice_tcp_poll(self.st, entry, 1, 0))
        return r, e, struct.unpack("=ihh", entry.raw[:8])[2]


def preload_for(path):
    """The sanitizers that must be in a process before it loads the library, for LD_PRELOAD."""
    env = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
    out = subprocess.run(["ldd", path], check=False, capture_output=True, text=True,
                         env=env).stdout
    found = [line.split("=>")[1].split()[0] for line in out.splitlines()
             if "=>" in line and any(w in line for w in ("libasan", "libubsan", "libclang_rt"))]
    return [p for p in found if os.path.exists(p)]
